"""Names given as arguments or as lines of standard input."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def dashes(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        for queue in ("-", "./-", "mail"):
            await opened.enqueue(queue, library.job("-"))
            await opened.enqueue(queue, library.job("./-"))
        await opened.upsert_repeatable("-", {"task_id": "app.tick", "every": 60})

    library.with_backend(server.url, fill)


def test_a_queue_called_dash_can_be_paused_and_examined(dashes: None, client: redis.Redis, run: Run) -> None:
    assert run("queues", "pause", "./-").code == 0
    assert client.exists("queue:-:paused") == 1
    assert client.exists("queue:./-:paused", "queue:mail:paused") == 0
    assert run("queues", "show", "./-", "--json").json["name"] == "-"
    assert run("queues", "show", "-", "--json").json["name"] == "-"
    assert run("queues", "resume", "-", stdin="-\n").code == 0
    assert client.exists("queue:-:paused") == 0
    assert run("doctor", "./-", "--json").json["checked"] == ["-"]
    assert run("jobs", "list", "./-", "--json").json["queue"] == "-"
    assert run("repeatables", "list", "./-", "--json").json["repeatables"][0]["queue"] == "-"


def test_more_dots_stand_for_literal_names(dashes: None, client: redis.Redis, run: Run) -> None:
    assert run("queues", "pause", "././-").code == 0
    assert client.exists("queue:./-:paused") == 1
    assert run("jobs", "show", "mail", "././-", "--json").json["id"] == "./-"
    assert run("queues", "resume", "-", stdin="./-").code == 0
    assert client.exists("queue:./-:paused") == 0


def test_a_job_called_dash_can_be_removed(dashes: None, client: redis.Redis, run: Run) -> None:
    assert run("jobs", "show", "mail", "-", "--json").json["id"] == "-"
    assert run("jobs", "remove", "mail", "./-", "--yes").code == 0
    assert client.smembers("jobs:mail:ids") == {b"./-"}


def test_standard_input_without_names_says_what_a_dash_is(dashes: None, run: Run) -> None:
    nothing = run("queues", "pause", "-")
    assert (nothing.code, "'./-' is the queue named '-'" in nothing.stderr) == (0, True)


@pytest.mark.parametrize(
    "line",
    [
        ("jobs", "add", "", "--task", "app.send"),
        ("jobs", "add", " ", "--task", "app.send", "--yes"),
        ("repeatables", "add", "", "--task", "app.send", "--every", "1h"),
    ],
)
def test_nothing_is_put_into_a_new_queue_without_a_name(
    line: tuple[str, ...], client: redis.Redis, run: Run
) -> None:
    refused = run(*line)
    assert (refused.code, refused.stderr) == (
        2,
        "error: a new queue needs a name\nhint: is the variable set that names it?\n",
    )
    assert client.keys("*") == []


@pytest.mark.parametrize("option", ["--task", "--id", "--unique"])
def test_a_job_is_not_added_by_an_empty_option(option: str, client: redis.Redis, run: Run) -> None:
    for text in ("", " "):
        refused = run("jobs", "add", "mail", "--task=app.send", f"{option}={text}")
        assert (refused.code, client.keys("*")) == (2, [])
    line = run("jobs", "add", "mail", "-", stdin='{"task": "app.send", "id": "a"}\n{"task": "t", "id": ""}')
    assert (line.code, "line 2: --id is empty; nothing was added" in line.stderr) == (2, True)


@pytest.mark.parametrize("job_id", ["a\nb", "a\tb", " a", "a\u00a0", "\x1b[31m", "\u202egpj", "a\u2028b"])
def test_no_id_is_given_that_cannot_be_written_on_a_line(job_id: str, client: redis.Redis, run: Run) -> None:
    refused = run("jobs", "add", "mail", "--task", "app.send", "--id", job_id)
    assert (refused.code, "cannot be the id of a new job" in refused.stderr) == (1, True)
    assert client.keys("jobs:*") == []


def test_a_queue_without_a_name_that_is_there_is_used(client: redis.Redis, run: Run) -> None:
    client.set("queue::waiting:seq", 1)
    assert run("jobs", "add", "", "--task", "app.send").code == 0
    assert client.zcard("queue::waiting") == 1


@pytest.mark.parametrize("text", ["", "\n\r\n", " \n"])
def test_standard_input_without_ids_is_noted(text: str, dashes: None, run: Run) -> None:
    for line in (("jobs", "remove", "mail", "-", "--yes"), ("queues", "pause", "-", "mail")):
        done = run(*line, stdin=text)
        assert (done.code, "note: standard input has no names" in done.stderr) == (0, True)


def test_how_an_id_that_begins_with_a_dash_is_written(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("-rf")))
    refused = run("jobs", "show", "mail", "-rf")
    assert (refused.code, "-- comes before a name that begins with -" in refused.stderr) == (2, True)
    assert run("jobs", "show", "mail", "--json", "--", "-rf").json["id"] == "-rf"


def test_an_empty_filter_of_a_list_matches_everything(dashes: None, run: Run) -> None:
    listed = run("jobs", "list", "mail", "--q", "", "--task", "", "--job-id", "", "--json")
    assert listed.json["total"] == 2


def test_an_empty_argument_is_not_made_an_option(run: Run) -> None:
    refused = run("check", "")
    assert (refused.code, "--queue" in refused.stderr) == (3, False)


def test_a_byte_order_mark_is_no_part_of_a_name(server: PrivateRedis, client: redis.Redis, run: Run) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("a")))
    assert run("jobs", "remove", "mail", "-", "--yes", stdin=BOM + b"a\r\n").code == 0
    assert client.exists("jobs:mail:a") == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize(
    "line", [("jobs", "remove", "mail", "-", "--yes"), ("jobs", "add", "mail", "-", "--yes")]
)
def test_utf_16_on_standard_input_is_wrong_usage(line: tuple[str, ...], encoding: str, run: Run) -> None:
    text = ("" if encoding == "utf-16" else "\ufeff") + '{"task": "t"}\n'
    refused = run(*line, stdin=text.encode(encoding))
    assert (refused.code, refused.stderr) == (
        2,
        "error: standard input is UTF-16\nhint: write it as UTF-8\n",
    )


def test_blanks_around_an_id_are_dropped_unless_a_job_has_them(
    server: PrivateRedis, client: redis.Redis, run: Run
) -> None:
    async def fill(opened: RedisBackend) -> None:
        for job_id in ("a", "b", " b", "c"):
            await opened.enqueue("mail", library.job(job_id))

    library.with_backend(server.url, fill)
    assert run("jobs", "show", "mail", "\u00a0a ", "--json").json["id"] == "a"
    assert run("jobs", "remove", "mail", "-", "c\t", "--yes", stdin="  a\n b\n").code == 0
    assert client.smembers("jobs:mail:ids") == {b"b"}
    assert run("queues", "pause", "-", stdin="  mail  \n").code == 0
    assert client.exists("queue:mail:paused") == 1


def test_a_backup_may_start_with_a_byte_order_mark(
    server: PrivateRedis, client: redis.Redis, run: Run, tmp_path: Path
) -> None:
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("a")))
    file = tmp_path / "backup"
    assert run("jobs", "remove", "mail", "a", "--yes", "--backup", str(file)).code == 0
    file.write_bytes(BOM + file.read_bytes())
    assert run("jobs", "restore", str(file), " a ").code == 0
    assert client.exists("jobs:mail:a") == 1


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_name_of_a_backup_is_wrong_usage(path: str, dashes: None, run: Run) -> None:
    refused = run("jobs", "remove", "mail", "--all", "--yes", "--backup", path)
    assert (refused.code, refused.stderr.splitlines()[0]) == (2, "error: --backup needs a file name, not ''")


def test_a_backup_without_anything_is_noted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    done = run("jobs", "restore", str(tmp_path / "empty"), "--yes")
    assert (done.code, done.stdout, "note: the backup is empty" in done.stderr) == (0, "", True)


def test_an_empty_home_is_not_the_root_directory(run: Run) -> None:
    env = {"HOME": "", "ASYNCMQ_PASSWORD_FILE": "~/no-such-file-of-asyncmq"}
    refused = run("queues", "list", env=env)
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert refused.code == 2 and f"'{home}/no-such-file-of-asyncmq'" in refused.stderr


def test_a_byte_that_is_not_utf_8_is_searched_for(client: redis.Redis, run: Run) -> None:
    client.sadd("jobs:mail:ids", b"caf\xe9", "plain")
    client.hset("jobs:mail:states", mapping={b"caf\xe9": "completed", "plain": "completed"})
    for text in ("caf\udce9", "\udce9", "f\udce9 "):
        found = run("jobs", "list", "mail", "--state", "completed", "--q", text, "-o", "name")
        assert (found.code, found.lines) == (0, ["caf\udce9"])
    assert run("jobs", "list", "mail", "--state", "completed", "--q", "\udcff", "-o", "name").lines == []


def test_a_line_below_a_table_escapes_the_name_of_a_queue(client: redis.Redis, run: Run) -> None:
    name = "\u202egnp.exe"
    library.bury(client, name, [library.job("x", status="failed")], 1.6e9)
    shown = run("--color", "always", "jobs", "list", name)
    assert (shown.code, "in \\u202egnp.exe: 1 dead" in shown.stdout, "\u202e" in shown.stdout) == (
        0,
        True,
        False,
    )
    doctor = run("--color", "always", "doctor", name, "--code", "id_without_record")
    assert "\u202e" not in doctor.stdout + doctor.stderr
