"""The question before a change: states, tasks and errors of the jobs, and whether it can be undone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.schema.keys import QueueKeys
from tests.conftest import Run
from tests.support import library
from tests.support.terminal import on_terminal

QUEUE = "emails"
FAILED = "7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11"
ERROR = (
    "Traceback (most recent call last):\n"
    '  File "/srv/app/mail.py", line 3, in send\n'
    "app.errors.DeliveryError: no such mailbox"
)
NO_BACKUP = "no backup: this cannot be undone; --backup FILE keeps a copy"


@pytest.fixture(autouse=True)
def emails(server: PrivateRedis, client: redis.Redis) -> None:
    dead = library.job(FAILED, task="app.mail.send", status="failed", last_error=ERROR, created_at=1.6e9)
    waiting = [("waiting", library.job(f"w{n:02}", task="app.news", created_at=1.6e9 + n)) for n in range(13)]

    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, QUEUE, waiting)

    library.with_backend(server.url, fill)
    library.bury(client, QUEUE, [dead], 1.6e9)


MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
OLDEST = re.compile(rf"^oldest job: {MOMENT}; newest job: {MOMENT}\r?\n", re.MULTILINE)


def asked(server: PrivateRedis, *args: str, columns: int = 80) -> str:
    screen = on_terminal(*args, url=server.url, answer="n\n", columns=columns)
    assert screen.code == 5, screen.text
    text, where, _ = screen.text.partition(f" on {server.url}? [y/N]")
    assert where, "the question names the Redis"
    assert OLDEST.findall(text) == [] or "--" in " ".join(args)
    return OLDEST.sub("", f"{text}?")


@pytest.mark.parametrize(
    ("which", "remarks"),
    [(("--q", "mailbox", "--state", "failed"), ["filter: --q mailbox"]), ((FAILED,), [])],
)
def test_the_question_of_a_removal_names_state_task_and_error_and_that_it_is_final(
    which: tuple[str, ...], remarks: list[str], server: PrivateRedis
) -> None:
    assert asked(server, "jobs", "remove", QUEUE, *which, columns=100).splitlines() == [
        f"  {FAILED}  app.mail.send  DeliveryError: no such mailbox",
        *remarks,
        NO_BACKUP,
        f"Remove 1 failed job in {QUEUE}?",
    ]


def test_a_narrow_terminal_cuts_the_error_and_never_the_id(server: PrivateRedis) -> None:
    first, *_ = asked(server, "jobs", "remove", QUEUE, FAILED).splitlines()
    assert first == f"  {FAILED}  app.mail.send  DeliveryError: no such m…"
    first, *_ = asked(server, "jobs", "remove", QUEUE, FAILED, columns=40).splitlines()
    assert first == f"  {FAILED}  app…ail.send"


def test_all_of_a_queue_means_its_waiting_jobs_and_the_answer_says_so(server: PrivateRedis, run: Run) -> None:
    lines = asked(server, "jobs", "remove", QUEUE, "--all").splitlines()
    assert lines[0] == "  w00  app.news"
    assert lines[10:] == [
        "  … and 3 more",
        "only waiting jobs; --state chooses another state",
        NO_BACKUP,
        f"Remove 13 waiting jobs in {QUEUE}?",
    ]
    refused = run("jobs", "remove", QUEUE, "--all")
    assert (refused.code, refused.stdout) == (5, "")
    error, hint = refused.stderr.splitlines()
    deed = f"remove 13 waiting jobs in '{QUEUE}' on {server.url}"
    assert error == f"error: this would {deed}, and there is no terminal to confirm it on"
    assert re.sub(rf"oldest job: {MOMENT}; newest job: {MOMENT}", "SPAN", hint) == (
        "hint: --dry-run shows what it would do, --yes does it without asking; "
        f"only waiting jobs; --state chooses another state; SPAN; {NO_BACKUP}"
    )


def test_states_that_differ_are_counted_and_stand_beside_each_job(server: PrivateRedis) -> None:
    lines = asked(server, "jobs", "remove", QUEUE, "--state", "all", columns=120).splitlines()
    assert lines[0].split() == [FAILED, "failed", "app.mail.send", "DeliveryError:", "no", "such", "mailbox"]
    assert lines[1].split() == ["w00", "waiting", "app.news"]
    assert lines[-1] == f"Remove 14 jobs (13 waiting, 1 failed) in {QUEUE}?"
    lines = asked(server, "jobs", "cancel", QUEUE, "w00", "w01").splitlines()
    assert lines == ["  w00  app.news", "  w01  app.news", f"Cancel 2 waiting jobs in {QUEUE}?"]


def test_a_share_names_the_number_of_all_matches(server: PrivateRedis, run: Run) -> None:
    text = asked(server, "jobs", "remove", QUEUE, "--task", "news", "--limit", "2")
    assert text.endswith(f"Remove 2 waiting jobs (of 13 that match) in {QUEUE}?")
    args = ("jobs", "remove", QUEUE, "--task", "news", "--limit", "2")
    done = on_terminal(*args, "--yes", url=server.url)
    assert (done.code, done.text) == (0, "Removed 2 (of 13 that match)\n")


def test_a_removal_with_a_backup_says_how_to_restore_it(
    server: PrivateRedis, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "my backup"
    screen = on_terminal(
        *("jobs", "remove", QUEUE, FAILED, "--backup", str(file)), url=server.url, answer="y\n", columns=200
    )
    assert screen.code == 0
    assert f"\nbackup: {file}\nRemove 1 failed job in {QUEUE} on {server.url}? [y/N] " in screen.text
    assert screen.lines[-2:] == [
        f"Removed job {FAILED} in {QUEUE}",
        f"backup: `asyncmq jobs restore '{file}'` restores what was removed",
    ]
    text = asked(server, "jobs", "restore", str(file), columns=100).splitlines()
    assert text == [
        f"  {FAILED}  app.mail.send  DeliveryError: no such mailbox",
        f"Restore 1 failed job in {QUEUE}?",
    ]
    piped = run("jobs", "remove", QUEUE, "w00", "--yes", "--backup", str(tmp_path / "other"))
    assert (piped.code, piped.stderr) == (0, "")


def test_a_dry_run_on_a_terminal_names_what_it_does_not_show(server: PrivateRedis) -> None:
    screen = on_terminal("jobs", "remove", QUEUE, "--all", "--dry-run", url=server.url)
    assert screen.lines[-2:] == ["… and 3 more", "Would remove 13 waiting jobs"]
    assert sum(line.startswith("dry-run") for line in screen.lines) == 10
    some = on_terminal("jobs", "remove", QUEUE, "--all", "--limit", "1", "--dry-run", url=server.url)
    assert some.lines[-1] == "Would remove 1 waiting job (of 13 that match)"
    none = on_terminal("jobs", "remove", QUEUE, "--state", "delayed", "--dry-run", url=server.url)
    assert none.lines == [
        "note: there is no delayed job; --state chooses another state",
        "Nothing was done",
    ]


def test_a_hostile_task_and_error_are_shown_harmless(server: PrivateRedis, client: redis.Redis) -> None:
    error = "boom password=hunter2 \x9b31m"
    library.bury(
        client, QUEUE, [library.job("e", task="\x1b]0;owned\x07", status="failed", last_error=error)], 1.6e9
    )
    text = asked(server, "jobs", "remove", QUEUE, "e", columns=120)
    assert "\\x1b]0;owned\\x07" in text and "hunter2" not in text
    assert not set(text) & set("\x07\x9b")


@pytest.mark.parametrize("noun", ["jobs", "dlq"])
def test_standard_output_is_no_place_for_a_backup(
    noun: str, run: Run, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = library.dump(client)
    refused = run(noun, "remove", QUEUE, FAILED, "--yes", "--backup", "-")
    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "error: --backup needs a file name, not -\n"
        "hint: a backup must be on disk before anything is removed; a file called - is ./-\n"
    )
    assert (library.dump(client), list(tmp_path.iterdir())) == (before, [])


@pytest.mark.parametrize(
    ("children", "says"), [(("c",), "1 job waits for it"), (("c", "d"), "2 jobs wait for it")]
)
def test_the_result_of_a_wait_is_a_sentence(
    children: tuple[str, ...], says: str, server: PrivateRedis, client: redis.Redis
) -> None:
    client.sadd(QueueKeys(QUEUE).children("w00"), *children)
    lines = asked(server, "jobs", "remove", QUEUE, "w00").splitlines()
    assert lines[:2] == ["  w00  app.news", f"    ({says} and will never run)"]


@pytest.mark.parametrize("named", [False, True], ids=["filter", "named"])
def test_a_change_that_flushes_the_audit_trail_is_asked_about(
    named: bool, client: redis.Redis, server: PrivateRedis, run: Run
) -> None:
    dead = [library.job(f"d{n}", status="failed", created_at=1.6e9 + n) for n in range(5)]
    library.bury(client, QUEUE, dead, 1.6e9)
    targets = [job["id"] for job in dead] if named else ["--all"]
    few = {"ASYNCMQ_AUDIT_MAXLEN": "4"}
    reported = "push out every earlier one"
    screen = on_terminal("dlq", "retry", QUEUE, *targets, url=server.url, answer="n\n", columns=300, env=few)
    assert (screen.code, reported in screen.text) == (5, True), screen.text
    refused = run("dlq", "retry", QUEUE, *targets, env=few)
    assert (refused.code, library.events(client)) == (5, [])
    done = run("dlq", "retry", QUEUE, *targets, "--yes", env=few)
    assert (done.code, reported in done.stderr) == (0, True)


def test_a_question_about_a_filter_says_how_it_was_understood_and_what_it_spans(server: PrivateRedis) -> None:
    words = ("jobs", "remove", QUEUE, "--task", "news", "--older-than", "0s")
    screen = on_terminal(*words, url=server.url, answer="n\n", columns=200)
    remarks = screen.lines[11:]
    assert remarks[:2] == ["only waiting jobs; --state chooses another state", "filter: --task news"]
    assert remarks[2].startswith("--older-than: from before ")
    assert OLDEST.fullmatch(f"{remarks[3]}\n")
    assert remarks[4] == NO_BACKUP
    dry = on_terminal(*words, "--dry-run", url=server.url, columns=200)
    notes = [line.removeprefix("note: ") for line in dry.lines if line.startswith("note: ")]
    assert notes[0].startswith("--older-than: from before ")
    assert notes[1:3] == [f"dry run on {server.url}", "filter: --task news"]
    assert OLDEST.fullmatch(f"{notes[3]}\n") and notes[4] == NO_BACKUP
