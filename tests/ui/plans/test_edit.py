"""Edits of one job in an editor and of several by paths, and the jobs in Redis afterwards."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.changes.edits import parse
from asyncmq_cli.ui.plans.edit import words_of
from tests.ui.stage import Stage, changes, play, state_of


def use_editor(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"sed -i -e {shlex.quote(script)}")


def record_of(client: redis.Redis, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get(f"jobs:emails:{job_id}") or b"{}")
    return found


def test_a_dead_job_is_edited_and_retried(
    server: PrivateRedis, town: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "kept.ndjson"
    use_editor(monkeypatch, "s/acme-249/acme-new/")

    async def story(stage: Stage) -> None:
        await stage.press("down", "enter")
        await stage.sees("mail-249")
        await stage.press("e")
        text = await stage.sees(
            "Edit mail-249 in emails", "then-retry:", "asyncmq jobs retry emails mail-249"
        )
        assert '-    "customer": "acme-249"' in text and '+    "customer": "acme-new"' in text
        assert "hunter2" not in text
        await stage.press("tab", "tab")
        await stage.type(str(backup))
        await stage.press("enter", "enter")
        await stage.sees("Retried job mail-249 in emails", "with what was edited")
        await stage.press("enter")
        await stage.sees("of 250 jobs")

    play(server.url, story)
    assert state_of(town, "mail-249") == "waiting"
    assert record_of(town, "mail-249")["kwargs"] == {"customer": "acme-new", "password": "hunter2"}
    assert [one[:4] for one in changes(town)] == [
        ("job.edit", "ui", "success", "mail-249"),
        ("job.retry", "ui", "success", "mail-249"),
    ]
    assert backup.exists()


def test_several_jobs_are_edited_by_paths_and_stay_where_they_are(
    server: PrivateRedis, town: redis.Redis
) -> None:
    async def story(stage: Stage) -> None:
        await stage.press("down", "enter", "left", "left", "left")
        await stage.sees("wait-0", "wait-1")
        await stage.press("space", "space", "e")
        await stage.sees("Edit 2 jobs in emails", "wait-0", "wait-1")
        await stage.press("enter", "enter")
        await stage.sees("error: nothing is set")
        await stage.press("shift+tab", "shift+tab", "shift+tab", "shift+tab")
        await stage.type("kwargs.to='ana b' args[0]=7")
        await stage.sees("asyncmq jobs edit emails wait-0 wait-1 --set 'kwargs.to=ana b' --set 'args[0]=7'")
        await stage.press("enter", "enter")
        await stage.sees("Edited 2 of 2")

    play(server.url, story, size=(110, 30))
    assert [record_of(town, f"wait-{n}")["kwargs"]["to"] for n in range(3)] == [
        "ana b",
        "ana b",
        "a@example.org",
    ]
    assert [state_of(town, f"wait-{n}") for n in range(2)] == ["waiting", "waiting"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("s/nothing/like this/", "nothing was changed"),
        ("1d", "error: the edited text is not JSON"),
        ('s/"args"/"status"/', "error: 'status' says where a job is"),
    ],
)
def test_an_edit_without_effect_says_so(
    server: PrivateRedis, production: redis.Redis, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    use_editor(monkeypatch, script)

    async def story(stage: Stage) -> None:
        stage.app.open_job("emails", "mail-100")
        await stage.sees("Root cause:")
        await stage.press("e")
        await stage.sees(said)

    play(server.url, story)
    assert state_of(production, "mail-100") == "failed"


def test_edits_as_options_say_the_same() -> None:
    edits = parse(["kwargs=7", '["a.b"]={"x": [1, "y"]}', "n=null"], ["ttl"])
    words = words_of(edits)
    again = parse(words[1:6:2], words[7::2])
    assert [(one.path, one.value, one.removes) for one in again] == [
        (one.path, one.value, one.removes) for one in edits
    ]
