"""Notes about filters: that one is empty, finds nothing, or that there are more matches."""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections import Counter

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "emails"
DEAD = 37
EMPTY = ["--q", "--task", "--job-id", "--group", "--older-than", "--newer-than"]


@pytest.fixture
def filled(server: PrivateRedis, client: redis.Redis) -> None:
    jobs = [("failed", library.job(f"dead-{n}", kwargs={"to": "marta"})) for n in range(DEAD)]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, jobs))


@pytest.mark.extended(first=8)
@pytest.mark.parametrize("option", EMPTY)
@pytest.mark.parametrize(
    "verb", [("jobs", "remove"), ("jobs", "retry"), ("jobs", "cancel"), ("dlq", "remove")]
)
def test_a_change_by_an_empty_filter_is_refused(
    verb: tuple[str, str], option: str, filled: None, client: redis.Redis, cli: Run
) -> None:
    before = library.dump(client)
    for text in ("", "  "):
        refused = cli(*verb, QUEUE, option, text, "--yes")
        assert (refused.code, refused.stdout) == (2, "")
        assert refused.stderr == f"error: {option} is empty\nhint: give it a value\n"
    assert library.dump(client) == before


def test_an_empty_filter_beside_another_is_refused_too(filled: None, client: redis.Redis, cli: Run) -> None:
    assert cli("jobs", "remove", QUEUE, "--state", "failed", "--q", "", "--yes").code == 2
    assert client.zcard(f"queue:{QUEUE}:dlq") == DEAD


def test_an_empty_search_in_a_list_matches_everything(filled: None, cli: Run) -> None:
    assert cli("jobs", "list", QUEUE, "--state", "failed", "--q", "", "--json").json["total"] == DEAD


@pytest.mark.parametrize("line", [("jobs", "list", QUEUE, "--state", "failed"), ("dlq", "list", QUEUE)])
def test_a_pipe_gets_a_note_about_further_pages(line: tuple[str, ...], filled: None, cli: Run) -> None:
    listed = cli(*line)
    assert len(listed.lines) == 20
    assert listed.stderr == "note: 20 of 37 jobs; --ndjson gives all, --size up to 1000\n"
    for asked in (("--page", "1"), ("--size", "20"), ("--json",), ("--ndjson",), ("-o", "name")):
        assert cli(*line, *asked).stderr == ""
    assert cli(*line, "--older-than", "1w").stderr.count("--ndjson") == 0


def test_a_list_without_a_match_names_what_it_searched(filled: None, server: PrivateRedis, cli: Run) -> None:
    note = f"note: no waiting job in {QUEUE} matches --q marta; --state all searches every state\n"
    for form in ((), ("-o", "name")):
        listed = cli("jobs", "list", QUEUE, "--q", "marta", *form)
        assert (listed.code, listed.stdout, listed.stderr) == (0, "", note)
    assert cli("jobs", "list", QUEUE, "--q", "marta", "--json").stderr == ""
    assert cli("jobs", "list", QUEUE).stderr == ""
    assert cli("jobs", "list", QUEUE, "--state", "all", "--q", "nobody", "--task", "x").stderr == (
        f"note: no job in {QUEUE} matches --q nobody --task x; leave the queue out to search all queues\n"
    )
    assert (
        cli("jobs", "list", "--state", "all", "--q", "nobody").stderr == "note: no job matches --q nobody\n"
    )
    assert cli("dlq", "list", QUEUE, "--q", "nobody").stderr == (
        f"note: no dead job in {QUEUE} matches --q nobody; "
        f"'asyncmq jobs list {QUEUE} --state all' searches every state\n"
    )


@pytest.mark.parametrize(
    ("line", "note"),
    [
        (
            "jobs list emails --q marta",
            "waiting job in emails matches --q marta, but 37 failed do: --state failed",
        ),
        (
            "jobs list emails --state failed --q dead-40",
            "failed job in emails matches --q dead-40, but 1 active does: --state active",
        ),
        (
            "jobs list emails --q nobody",
            "waiting job in emails matches --q nobody, and no waiting, active, delayed or dead job does; "
            "--state all also searches the completed ones",
        ),
        (
            "dlq list emails --q dead-40",
            "dead job in emails matches --q dead-40, but 1 active does: "
            "'asyncmq jobs list emails --state active'",
        ),
        ("dlq list emails --group abcdef", None),
    ],
)
def test_on_a_terminal_other_states_of_a_small_queue_are_searched_for_the_filter(
    line: str, note: str | None, filled: None, server: PrivateRedis
) -> None:
    active = [("active", library.job("dead-40"))]
    library.with_backend(server.url, lambda opened: library.fill(opened, QUEUE, active))
    screen = on_terminal(*line.split(), url=server.url, columns=200)
    assert f"note: no {note}" in screen.text if note else "error: no failure group" in screen.text


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("jobs remove emails --q marta", "no waiting job matches --q marta; --state chooses another state"),
        ("jobs cancel emails --all", "there is no waiting job; --state chooses another state"),
        ("jobs remove emails --state all --q nobody", None),
        ("jobs retry emails --q nobody", "no failed job matches --q nobody; --state expired searches those"),
        ("jobs retry emails --state expired", "there is no expired job; --state failed searches those"),
        ("dlq retry emails --q nobody", "no dead job matches --q nobody"),
    ],
)
def test_a_change_without_a_match_names_what_it_searched(
    line: str, note: str | None, filled: None, server: PrivateRedis, cli: Run
) -> None:
    done = cli(*line.split())
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == (f"note: {note}\n" if note else "")
    assert "Nothing was done" in on_terminal(*line.split(), url=server.url).text


@pytest.mark.parametrize(
    "line",
    [
        ("jobs", "list", QUEUE, "--state", "failed"),
        ("jobs", "list", QUEUE, "--ndjson"),
        ("dlq", "list", QUEUE),
        ("dlq", "groups", QUEUE),
        ("dlq", "retry", QUEUE, "--yes"),
        ("dlq", "remove", QUEUE, "--dry-run"),
        ("jobs", "retry", QUEUE, "--yes"),
    ],
)
def test_a_group_that_there_is_not_is_an_error_with_the_nearest(
    line: tuple[str, ...], filled: None, client: redis.Redis, cli: Run
) -> None:
    group = cli("dlq", "groups", QUEUE, "--json").json["groups"][0]["id"]
    wrong = group[:4] + "z" + group[5:]
    missing = cli(*line, "--group", wrong, "--json" if "--ndjson" not in line else "--ndjson")
    assert (missing.code, missing.stdout) == (4, "")
    assert f'"code":"group_not_found","message":"no failure group \'{wrong}\'' in missing.stderr
    assert f'"hint":"did you mean {group}?"' in missing.stderr
    plain = cli(*(word for word in line if word != "--ndjson"), "--group", "zzzz")
    assert (plain.code, plain.stdout) == (4, "")
    assert plain.stderr.endswith(f"\nhint: 'asyncmq dlq groups {QUEUE}' lists them\n")
    assert client.zcard(f"queue:{QUEUE}:dlq") == DEAD


@pytest.mark.parametrize(
    "line",
    [
        ("jobs", "list", QUEUE, "--state", "failed"),
        ("dlq", "list", QUEUE, "--ndjson"),
        ("dlq", "groups", QUEUE),
        ("dlq", "retry", QUEUE, "--yes"),
        ("dlq", "remove", QUEUE, "--dry-run"),
        ("jobs", "remove", QUEUE, "--state", "failed", "--yes"),
    ],
)
def test_a_beginning_of_two_groups_is_none_of_them(
    line: tuple[str, ...], client: redis.Redis, cli: Run
) -> None:
    # Of seventeen causes two begin alike.
    causes = [f"app.Cause{letter}: no" for letter in string.ascii_uppercase[:17]]
    jobs = [library.job(cause, status="failed", last_error=cause) for cause in causes]
    library.bury(client, QUEUE, jobs, 1.6e9)
    groups = [group["id"] for group in cli("dlq", "groups", QUEUE, "--json").json["groups"]]
    begins = Counter(group[0] for group in groups)
    shared, count = begins.most_common(1)[0]
    assert len(groups) == 17 and count > 1
    refused = cli(*line, "--group", shared)
    assert refused.code == 2
    assert f"more than one failure group in queue 'emails' begins with '{shared}'" in refused.stderr
    named = [group for group in groups if group in refused.stderr]
    assert len(named) == 2 and all(group.startswith(shared) for group in named)
    assert client.zcard(f"queue:{QUEUE}:dlq") == 17
    events = library.events(client)
    assert [event["status"] for event in events] == (["failed"] if "--yes" in line else [])
    assert cli(*line, "--group", named[0]).code == 0


def test_an_id_by_the_outermost_error_is_an_error_that_says_so(client: redis.Redis, cli: Run) -> None:
    text = library.TRACEBACK
    jobs = [library.job("one", status="failed", last_error=text, error_traceback=text)]
    library.bury(client, QUEUE, jobs, 1.6e9)
    name = "app.errors.DeliveryError\0no mail server"
    former = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:12]
    refused = cli("dlq", "retry", QUEUE, "--group", former[:6], "--yes", "--json")
    assert refused.code == 4 and '"code":"former_group"' in refused.stderr
    plain = cli("dlq", "list", QUEUE, "--group", former)
    assert (plain.code, plain.stdout) == (4, "")
    assert plain.stderr == (
        f"error: {former!r} is a group id of an older version, which grouped by the outermost error\n"
        f"hint: 'asyncmq dlq groups {QUEUE}' lists the groups by root cause, with their new ids\n"
    )
    assert client.zcard(f"queue:{QUEUE}:dlq") == 1


def test_a_change_of_a_group_that_there_is_not_is_recorded(
    filled: None, client: redis.Redis, cli: Run
) -> None:
    cli("dlq", "retry", QUEUE, "--group", "zzzz", "--yes")
    recorded = library.events(client)
    assert [(event["action"], event["status"]) for event in recorded] == [("dlq.retry", "failed")]
    assert "no failure group 'zzzz'" in recorded[0]["error"]


def test_a_group_without_a_match_of_another_filter_is_not_called_missing(filled: None, cli: Run) -> None:
    group = cli("dlq", "groups", QUEUE, "--json").json["groups"][0]["id"]
    assert cli("dlq", "list", QUEUE, "--group", group[:5], "--q", "nobody").code == 0
    assert cli("jobs", "list", QUEUE, "--group", group).code == 0


def test_an_abort_limit_that_cannot_be_checked_is_noted(filled: None, cli: Run) -> None:
    retry = (
        "dlq",
        "retry",
        QUEUE,
        "--all",
        "--limit",
        "1",
        "--rate",
        "100/s",
        "--abort-above",
        "20%",
        "--yes",
    )
    nothing = "so --abort-above has no finished jobs to judge by\n"
    assert cli(*retry).stderr == f"warning: queue '{QUEUE}': no live worker serves it, {nothing}"
    cli("queues", "pause", QUEUE)
    assert cli(*retry).stderr == f"warning: queue '{QUEUE}': it is paused, {nothing}"
    assert cli(*retry, "--dry-run").stderr == ""


def test_the_dry_run_and_the_question_show_the_cut_off_as_a_date(
    filled: None, server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    line = ("dlq", "remove", QUEUE, "--newer-than", "3 hours")
    shown = run("--utc", *line, "--dry-run", env={"TZ": "UTC"})
    assert shown.code == 0
    assert re.match(r"note: --newer-than: since \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ \(3h ago\)\n", shown.stderr)
    here = run(*line, "--older-than", "0001-01-01", "--dry-run", env={"TZ": "Asia/Kolkata"}).stderr
    assert (
        "note: --older-than: from before 0001-01-01 00:00:00Z (" in here and " UTC+05:30 (3h ago)\n" in here
    )
    refused = run(*line)
    assert (refused.code, "--newer-than: since 20" in refused.stderr) == (5, True)
    asked = on_terminal(*line, url=server.url, answer="n\n")
    assert "--newer-than: since 20" in asked.text
    assert client.zcard(f"queue:{QUEUE}:dlq") == DEAD


def test_a_job_without_an_id_is_left_out_aloud(client: redis.Redis, cli: Run) -> None:
    client.zadd(f"queue:{QUEUE}:dlq", {json.dumps({"id": "", "task": "app.x", "status": "failed"}): 1.6e9})
    done = cli("dlq", "retry", QUEUE, "--all", "--yes")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == "warning: 1 job without an id left out; use '' as the id of such a job\n"
    assert cli("dlq", "remove", QUEUE, "", "--yes").code == 0
    assert client.zcard(f"queue:{QUEUE}:dlq") == 0
