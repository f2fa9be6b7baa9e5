"""A program that knows this tool from its documents alone operates a broken queue, as docs/agents.md says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run

ACTOR = "night-agent"


class Agent:
    """Uses no command, option or exit status that `help --json` does not have."""

    def __init__(self, tool: Run) -> None:
        self._tool = tool
        document = tool("help", "--json").json
        self.commands: dict[str, dict[str, Any]] = {one["name"]: one for one in document["commands"]}
        self._options = document["global_options"]
        self._statuses = {one["status"] for one in document["exit_statuses"]}

    def is_reading(self, name: str) -> bool:
        return self.commands[name]["changes"] == []

    def __call__(self, *words: str, code: int = 0) -> dict[str, Any]:
        name = next(name for name in (" ".join(words[:2]), words[0]) if name in self.commands)
        command = self.commands[name]
        known = {each for option in command["options"] + self._options for each in option["names"]}
        assert {word for word in words if word[:2] == "--"} <= known
        assert code in {one["status"] for one in command["exit_statuses"]} | self._statuses
        done = self._tool(*words, "--json")
        assert done.code == code, done
        found: dict[str, Any] = json.loads(done.stdout or done.stderr.splitlines()[-1])
        return found


def test_an_agent_reads_plans_confirms_acts_and_undoes(
    tool: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASYNCMQ_ACTOR", ACTOR)
    agent = Agent(tool)

    # What is wrong, and why.
    assert agent.is_reading("check") and agent.is_reading("dlq groups") and agent.is_reading("jobs show")
    assert agent("check", code=2)["state"] == "critical"
    groups = agent("dlq", "groups", "emails")["groups"]
    worst = max(groups, key=lambda one: one["count"])
    shown = agent("jobs", "show", worst["sample_queue"], worst["sample_job_id"])
    assert shown["error"]["type"] == "app.errors.DeliveryError"
    assert "sk-live" not in json.dumps(shown), "no secret without --show-secrets"
    assert agent("dlq", "groups", "emails-", code=4)["error"]["code"] == "queue_not_found"

    # A plan changes nothing, and neither does the change without a confirmation.
    assert not agent.is_reading("dlq retry") and not agent.is_reading("dlq remove")
    chosen = ("emails", "--group", worst["id"])
    plan = agent("dlq", "retry", *chosen, "--dry-run")
    assert (plan["dry_run"], plan["matched"]) == (True, worst["count"])
    assert agent("dlq", "remove", *chosen, code=5)["error"]["code"] == "not_confirmed"
    assert agent("audit", "list", "--by", ACTOR)["events"] == []

    # A few first, with a reason; then the rest.
    few = agent("dlq", "retry", *chosen, "--limit", "1", "--reason", "mail server is back", "--yes")
    assert (few["succeeded"], few["failed"]) == (1, 0)
    rest = agent("dlq", "retry", *chosen, "--rate", "500/s", "--yes")
    assert rest["succeeded"] == worst["count"] - 1
    assert worst["id"] not in [one["id"] for one in agent("dlq", "groups", "emails")["groups"]]

    # What was removed comes back.
    other = ("emails", "--group", next(one["id"] for one in groups if one["id"] != worst["id"]))
    kept = str(tmp_path / "removed.jsonl")
    removed = agent("dlq", "remove", *other, "--backup", kept, "--yes")
    assert removed["succeeded"] == removed["matched"] > 0
    assert agent("jobs", "restore", kept, "--yes")["succeeded"] == removed["succeeded"]

    events = agent("audit", "list", "--by", ACTOR)["events"]
    assert {event["action"] for event in events} == {"dlq.retry", "dlq.remove", "job.restore"}
    assert [e["details"].get("reason") for e in events].count("mail server is back") == 1
    assert agent("audit", "verify")["intact"] is True
