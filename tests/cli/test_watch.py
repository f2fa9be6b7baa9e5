"""`--watch`: the screen is correct, follows changes, and restores the terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.processes import exit_status
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library
from tests.support.screen import ALTERNATE, CURSOR_HIDDEN, TOOL, LiveTerminal
from tests.support.servers import Comeback
from tests.support.terminal import on_terminal

WATCHED = (["overview"], ["queues", "list"], ["workers", "list"], ["metrics", "show"])
HOSTILE = "evil\x1b[2J\x1b]0;title\x07\n[bold]%s\u202e界"


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(5):
            await library.fill(opened, f"queue-{number}", [("waiting", library.job(f"job-{number}"))] * 1)
        for number in range(7):
            await opened.enqueue("queue-0", library.job(f"more-{number}"))
        for number in range(2):
            await library.enlist(opened, f"worker-{number}", "queue-0", 4)

    library.with_backend(server.url, fill)


def enqueue(server: PrivateRedis, *ids: str, queue: str = "queue-0") -> None:
    async def put(opened: RedisBackend) -> None:
        for job_id in ids:
            await opened.enqueue(queue, library.job(job_id))

    library.with_backend(server.url, put)


@pytest.mark.parametrize("command", WATCHED, ids=" ".join)
def test_numbers_change_with_what_happens_and_ctrl_c_gives_the_terminal_back(
    command: list[str], mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal(*command, "--watch", "0.2", url=server.url) as terminal:
        assert_counts(terminal, 12)
        enqueue(server, "late-1", "late-2")
        assert_counts(terminal, 14)
        terminal.press("\x03")
        assert terminal.end() == 130
        assert terminal.is_given_back and terminal.echoes
        assert terminal.after == ""
        assert terminal.raw.count(ALTERNATE) == 1


def assert_counts(terminal: LiveTerminal, jobs: int) -> None:
    """Assert that the totals and the trends show this number of jobs."""
    terminal.shows(f"5 queues, {jobs} jobs, 2 workers", "every 0.2s")
    terminal.until(lambda text: re.search(rf"backlog .*{jobs}", text) is not None)


def test_eighty_by_twenty_four_has_room_for_problems_five_queues_and_workers(
    mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal("overview", "--watch", url=server.url) as terminal:
        text = terminal.shows("every 2s", "failed/min")
    lines = text.splitlines()
    assert "unix:" in lines[0]
    problems, queues, workers = (
        next(number for number, line in enumerate(lines) if line.startswith(title))
        for title in ("PROBLEMS", "QUEUES", "WORKERS")
    )
    assert [line.split()[0] for line in lines[problems + 1 : queues]] == [f"queue-{n}" for n in range(1, 5)]
    assert sum(line.startswith("queue-") for line in lines[queues:workers]) == 5
    assert lines[workers] == "WORKERS  2 healthy; room for 8 jobs at once"
    assert "more queue" not in text and "more problem" not in text


def test_the_screen_follows_a_resize_at_once(mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("overview", "--watch", "600", url=server.url) as terminal:
        terminal.shows("every 600s", "failed/min")
        assert "DEAD  REPEAT" not in terminal.text
        terminal.resize(160, 40)
        terminal.shows("every 600s", "DEAD  REPEAT", "failed/min")
        assert len(terminal.lines[0]) == 160
        terminal.resize(60, 16)
        small = terminal.shows("every 600s", "failed/min", "widen the terminal")
        assert max(map(len, small.splitlines())) <= 60


def test_the_screen_follows_a_resize_while_redis_hangs() -> None:
    with PrivateRedis() as server:
        enqueue(server, "one")
        with redis.Redis.from_url(server.url) as admin:
            process = int(admin.info()["process_id"])
        with LiveTerminal("overview", "--watch", "0.2", "--timeout", "60", url=server.url) as terminal:
            terminal.shows("1 job,", "every 0.2s")
            os.kill(process, signal.SIGSTOP)
            try:
                terminal.resize(160, 40)
                terminal.shows("every 0.2s", "DEAD  REPEAT", "failed/min")
                terminal.resize(60, 16)
                terminal.shows("every 0.2s", "widen the terminal", "failed/min")
            finally:
                os.kill(process, signal.SIGCONT)
            enqueue(server, "two")
            terminal.shows("2 jobs,")


def test_typed_keys_are_not_echoed_and_not_left_to_the_shell(mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("overview", "--watch", "0.2", url=server.url) as terminal:
        terminal.shows("5 queues, 12 jobs")
        terminal.press("rm -rf x\r")
        enqueue(server, "late")
        text = terminal.shows("5 queues, 13 jobs")
        assert "rm -rf" not in text and not terminal.echoes
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back and terminal.echoes
        assert terminal.after == "" and b"rm -rf" not in terminal.raw


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again(
    mail: None, server: PrivateRedis
) -> None:
    shell = ("bash", "--norc", "--noprofile", "-i")
    with LiveTerminal(url=server.url, program=shell, env={"PS1": "shell> "}) as terminal:
        terminal.shows("shell>")
        terminal.press(f"{' '.join(TOOL)} overview --watch 0.2\n")
        terminal.shows("5 queues, 12 jobs", "every 0.2s")
        terminal.press("\x1a")
        terminal.shows("Stopped", "shell>")
        assert terminal.is_given_back
        terminal.press("stty -a | tr ' ' '\\n' | grep -x echo; echo $((6*7))\n")
        terminal.shows("\necho\n42\n")
        enqueue(server, "late")
        terminal.press("fg\n")
        terminal.shows("5 queues, 13 jobs", "every 0.2s")
        terminal.press("q")
        terminal.until(lambda text: "every 0.2s" not in text and "shell>" in text)
        terminal.press("echo it was $?\n")
        terminal.shows("it was 0")
        assert terminal.raw.count(ALTERNATE) == 2 and terminal.is_given_back


def test_a_watch_that_was_stopped_from_outside_takes_the_terminal_again(
    mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal("queues", "list", "--watch", "0.2", url=server.url) as terminal:
        terminal.shows("12 jobs", "every 0.2s")
        terminal.send(signal.SIGSTOP)
        terminal.send(signal.SIGCONT)
        terminal.until(lambda text: terminal.raw.count(ALTERNATE) == 2 and "12 jobs" in text)
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back and terminal.echoes


def test_the_columns_of_a_list_that_is_watched_may_be_chosen(mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("queues", "list", "--watch", "--fields", "waiting,name", url=server.url) as terminal:
        lines = terminal.shows("every 2s", "queue-0", "queue-4").splitlines()
    assert (lines[1].split(), lines[2].split()) == (["WAITING", "NAME"], ["8", "queue-0"])
    with LiveTerminal("workers", "list", "--watch", "--fields", "id,health", url=server.url) as terminal:
        lines = terminal.shows("every 2s", "worker-1").splitlines()
    assert (lines[1].split(), lines[2].split()) == (["ID", "HEALTH"], ["worker-0", "healthy"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fields", "nmae"], "unknown field 'nmae'"),
        (["-o", "name"], "--watch and --output exclude each other"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_wrong_usage(words: list[str], says: str, server: PrivateRedis) -> None:
    for noun in ("queues", "workers"):
        screen = on_terminal(noun, "list", "--watch", *words, url=server.url)
        assert screen.code == 2 and says in screen.text
        assert "\x1b[?1049h" not in screen.raw


def test_a_long_name_breaks_no_screen(server: PrivateRedis, client: redis.Redis) -> None:
    name = "billing-invoices-for-customers-of-all-kinds-in-production-eu7"

    async def fill(opened: RedisBackend) -> None:
        for queue in (name, "mail", "reports"):
            await library.fill(
                opened, queue, [("waiting", library.job(f"{queue[:4]}-{n}")) for n in range(4)]
            )
            await library.enlist(opened, f"worker-of-{queue}", queue, 4)

    library.with_backend(server.url, fill)
    for command in (["overview"], ["queues", "list"], ["workers", "list"]):
        for utc in ([], ["--utc"]):
            with LiveTerminal(*command, "--watch", *utc, url=server.url) as terminal:
                lines = terminal.shows("3 queues, 12 jobs, 3 workers", "failed/min").splitlines()
            assert lines[0].startswith("3 queues"), "nothing has pushed it off the screen"
            assert any("…" in line and "ion-eu7" in line for line in lines)
            assert all("  " not in line or not line.startswith("…") for line in lines)


def test_a_queue_without_a_worker_is_seen_as_such(mail: None, server: PrivateRedis) -> None:
    for command in (["overview"], ["queues", "list"]):
        with LiveTerminal(*command, "--watch", url=server.url) as terminal:
            lines = terminal.shows("every 2s", "queue-0", "queue-4", "no worker").splitlines()
        states = {line.split("  ")[0]: line for line in lines if line.startswith("queue-")}
        assert "running" in states["queue-0"]
        assert all(
            "no worker" in states[f"queue-{n}"] and " none " in states[f"queue-{n}"] for n in range(1, 5)
        )
        assert b"\x1b[31mno worker" in terminal.raw


def test_a_screen_is_drawn_over_and_never_cleared(mail: None, server: PrivateRedis) -> None:
    """A screen that is cleared before it is redrawn flickers."""
    with LiveTerminal("queues", "list", "--watch", "0.2", url=server.url) as terminal:
        terminal.shows("12 jobs")
        enqueue(server, "late")
        terminal.shows("13 jobs")
        started = terminal.raw.index(b"12 jobs")
        assert b"\x1b[2J" not in terminal.raw[started:]


def test_an_outage_is_reported_and_reading_continues_afterwards() -> None:
    with Comeback() as server:
        enqueue(server, "one", "two")
        with LiveTerminal("overview", "--watch", "0.2", url=server.url) as terminal:
            terminal.shows("2 jobs", "every 0.2s")
            server.go_away()
            text = terminal.shows(
                "trying again: cannot reach Redis: No such file or directory (unix://", "as of "
            )
            assert "2 jobs" in text, "what was last known stays"
            server.come_back()
            enqueue(server, "three")
            terminal.until(lambda text: "1 job," in text and "trying again" not in text)
            terminal.press("\x03")
            assert terminal.end() == 130
            assert "Traceback" not in terminal.raw.decode("utf-8", "replace")


def test_a_password_that_is_changed_ends_it_with_an_error() -> None:
    with PrivateRedis() as server:
        enqueue(server, "one")
        with LiveTerminal("queues", "list", "--watch", "0.2", url=server.url) as terminal:
            terminal.shows("1 job,")
            with redis.Redis.from_url(server.url) as admin:
                admin.config_set("requirepass", "secret")
                admin.client_kill_filter(_type="normal", skipme=True)
            assert terminal.end() == 3
            assert terminal.is_given_back and terminal.echoes
            assert terminal.after.startswith("error: Redis asks for a password")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda one: one.name)
def test_a_terminated_watch_gives_the_terminal_back(
    number: signal.Signals, mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal("overview", "--watch", url=server.url) as terminal:
        terminal.shows("5 queues")
        terminal.send(number)
        assert terminal.end() == 128 + number
        assert terminal.is_given_back and terminal.echoes
        assert terminal.after == ""


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT, signal.SIGINT),
        (signal.SIGQUIT, signal.SIGINT),
    ],
    ids=lambda numbers: " ".join(number.name for number in numbers),
)
def test_several_signals_at_once_give_the_terminal_back_as_one_does(
    numbers: tuple[signal.Signals, ...], mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal("overview", "--watch", url=server.url) as terminal:
        terminal.shows("5 queues")
        for number in numbers:
            terminal.send(number)
        # The last of them may come when all is done, and end the interpreter itself.
        assert exit_status(terminal.end()) in {128 + number for number in numbers}
        assert terminal.is_given_back and terminal.echoes


def test_a_watch_without_a_shell_restores_the_terminal_when_it_is_stopped(
    mail: None, server: PrivateRedis
) -> None:
    with LiveTerminal("overview", "--watch", "0.2", url=server.url) as terminal:
        terminal.shows("5 queues, 12 jobs", "every 0.2s")
        terminal.press("\x1a")
        enqueue(server, "late")
        # Ctrl-Z would stop it for good.
        terminal.shows("5 queues, 13 jobs")
        terminal.send(signal.SIGTSTP)
        terminal.until(lambda text: terminal.is_stopped and terminal.is_given_back)
        assert terminal.echoes
        terminal.send(signal.SIGCONT)
        enqueue(server, "later")
        terminal.shows("5 queues, 14 jobs")
        assert not terminal.echoes
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back and terminal.echoes


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL],
    ids=lambda one: one.name,
)
@pytest.mark.parametrize("words", [("wait", "queue-0"), ("jobs", "cancel", "queue-0")], ids=" ".join)
def test_a_bar_never_hides_the_cursor(
    words: tuple[str, ...], number: signal.Signals, mail: None, server: PrivateRedis
) -> None:
    enqueue(server, *(f"much-{n}" for n in range(150)))
    rest = ("--keep-waiting",) if words[0] == "wait" else ("--all", "--yes", "--rate", "2/s")
    with LiveTerminal(*words, *rest, url=server.url) as terminal:
        terminal.until(lambda text: "/158" in text)
        terminal.send(number)
        assert terminal.end() == (-number if number == signal.SIGKILL else 128 + number)
        assert CURSOR_HIDDEN not in terminal.raw and ALTERNATE not in terminal.raw
        assert terminal.echoes


def test_a_bar_is_drawn_again_by_fg(mail: None, server: PrivateRedis) -> None:
    enqueue(server, *(f"much-{n}" for n in range(150)))
    shell = ("bash", "--norc", "--noprofile", "-i")
    with LiveTerminal(url=server.url, program=shell, env={"PS1": "shell> "}) as terminal:
        terminal.shows("shell>")
        terminal.press(f"{' '.join(TOOL)} wait queue-0 --keep-waiting\n")
        terminal.until(lambda text: "/158" in text)
        terminal.press("\x1a")
        terminal.shows("Stopped", "shell>")
        terminal.press("clear; echo $((6*7))\n")
        terminal.until(lambda text: "42" in text and "/158" not in text)
        terminal.press("fg\n")
        terminal.until(lambda text: "/158" in text)
        terminal.press("\x03")
        terminal.shows("error: interrupted", "shell>")
        assert CURSOR_HIDDEN not in terminal.raw


def test_a_watch_ends_with_its_terminal(mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("overview", "--watch", "600", url=server.url) as terminal:
        terminal.shows("5 queues")
        assert terminal.hang_up() != 0


def test_names_cannot_break_the_screen(server: PrivateRedis, client: redis.Redis) -> None:
    enqueue(server, HOSTILE, queue=HOSTILE)
    enqueue(server, "x" * 300, queue="y" * 300)
    for command in (["overview"], ["queues", "list"]):
        with LiveTerminal(*command, "--watch", "0.2", url=server.url) as terminal:
            text = terminal.shows("2 queues, 2 jobs", "backlog", "done/min")
            assert "\nevil\\x1b[" in text
            assert all(control not in terminal.raw for control in (b"\x1b]0", b"\x07", "\u202e".encode()))
            assert text.splitlines()[-1].startswith("done/min") or text.count("done/min") == 1


def test_what_cannot_be_read_is_said_until_it_is_mended(
    mail: None, server: PrivateRedis, client: redis.Redis
) -> None:
    remember(client, (40, 90), (20, 50))
    client.delete("queue:queue-3:dlq")
    client.set("queue:queue-3:dlq", "text")
    with LiveTerminal("overview", "--watch", "0.2", url=server.url) as terminal:
        text = terminal.shows("an unknown number of jobs", "warning: queue 'queue-3': the key")
        assert "failed ?" in text
        assert re.search("backlog .*[^ ] -  failed/min", text), "what was is not what is"
        client.delete("queue:queue-3:dlq")
        text = terminal.until(lambda text: "12 jobs" in text and "warning" not in text)
        assert "failed 0" in text


def test_the_history_is_where_the_trends_begin(mail: None, server: PrivateRedis, client: redis.Redis) -> None:
    remember(client, (40, 90), (20, 50))
    with LiveTerminal("queues", "list", "--watch", url=server.url) as terminal:
        text = terminal.shows("failed/min")
    assert re.search(r"backlog █[▄▅]▂ 12  ", text), text


def test_the_trends_cover_half_an_hour_and_not_only_the_last_reads(
    mail: None, server: PrivateRedis, client: redis.Redis
) -> None:
    """Most of the line is high if the backlog was high for most of the time, whatever the number of reads."""
    remember(client, (4000, 90_000), *((60 * age, 1000 if age > 8 else 12) for age in range(28, 0, -1)))
    with LiveTerminal("queues", "list", "--watch", "0.2", url=server.url) as terminal:
        terminal.shows("failed/min")
        for number in range(12):
            enqueue(server, f"late-{number}")
            terminal.shows(f"{13 + number} jobs")
        terminal.until(lambda text: re.search(r"backlog █{7,9}.?▁{3,5} 24  ", text) is not None)


def remember(client: redis.Redis, *backlogs: tuple[float, int]) -> None:
    """Write a history of the metrics: pairs of an age in seconds and a number of waiting jobs."""
    counts = dict.fromkeys(("active", "delayed", "completed", "failed", "total_queues", "total_workers"), 1)
    for age, waiting in backlogs:
        stored = json.dumps({**counts, "waiting": waiting})
        client.xadd("asyncmq-cli:metrics", {"timestamp": time.time() - age, "snapshot": stored})


def test_a_history_that_cannot_be_read_does_not_keep_anybody_from_watching(
    mail: None, server: PrivateRedis, client: redis.Redis
) -> None:
    client.set("asyncmq-cli:metrics", "text")
    for command in WATCHED:
        with LiveTerminal(*command, "--watch", "0.2", url=server.url) as terminal:
            terminal.shows("5 queues, 12 jobs")
            terminal.press("\x03")
            assert terminal.end() == 130


def test_the_workers_that_are_watched_are_summed_up(mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("workers", "list", "--watch", url=server.url) as terminal:
        text = terminal.shows("2 workers on 1 queue: 2 healthy", "room for 8 jobs at once")
    assert "no live worker, and jobs wait: queue-1, queue-2, queue-3, queue-4" in text


@pytest.mark.parametrize("command", WATCHED, ids=" ".join)
def test_watch_is_refused_without_a_terminal(command: list[str], run: Run) -> None:
    result = run(*command, "--watch")
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: --watch needs a terminal, but stdout is not one\n"
        "hint: 'asyncmq events tail' follows changes in a pipe\n"
    )
    result = run(*command, "--watch", "--json")
    assert (result.code, result.stdout) == (2, "")
    assert '"message":"--watch and --json exclude each other"' in result.stderr
    assert run(*command, "--watch", "--color", "always").code == 2


def test_a_dumb_terminal_is_not_drawn_upon(server: PrivateRedis) -> None:
    screen = on_terminal("overview", "--watch", url=server.url, env={"TERM": "dumb"})
    assert screen.code == 2
    assert screen.text.startswith("error: --watch needs a terminal that can draw, but TERM is dumb\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--watch", "0"], "--watch must be at least 0.2 seconds"),
        (["--watch=0.1"], "--watch must be at least 0.2 seconds"),
        (["--watch", "x"], "takes no further argument 'x'"),
        (["--watch=x"], "'x' is not a duration"),
        (["--watch", "1e3"], "'1e3' is not a duration"),
        (["--watch", "-1"], "no such option"),
    ],
    ids=str,
)
def test_an_interval_that_is_none_is_wrong_usage(words: list[str], says: str, server: PrivateRedis) -> None:
    screen = on_terminal("overview", *words, url=server.url)
    assert screen.code == 2
    assert screen.text.startswith("error: ") and says in screen.text


@pytest.mark.parametrize(
    ("words", "every"),
    [
        (["--watch"], "2s"),
        (["--watch", "--color", "never"], "2s"),
        (["--watch", "1.5"], "1.5s"),
        (["--watch=3"], "3s"),
        (["--watch", "2m"], "120s"),
    ],
    ids=str,
)
def test_an_interval_may_be_given(words: list[str], every: str, mail: None, server: PrivateRedis) -> None:
    with LiveTerminal("overview", *words, url=server.url) as terminal:
        terminal.shows(f"every {every}")


def test_where_redis_is_not_from_the_start_no_screen_is_drawn(client: redis.Redis) -> None:
    screen = on_terminal("overview", "--watch", url="unix:///nonexistent/redis.sock")
    assert screen.code == 3
    assert screen.text.startswith("error: cannot reach Redis at ")
    assert "\x1b[?1049h" not in screen.raw
