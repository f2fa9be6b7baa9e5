"""Command lines of the library's own program, which has the same name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, environment, run_tool
from tests.demo.processes import eventually
from tests.support import library

TOOL = [sys.executable, "-m", "asyncmq_cli"]

SETTINGS = """
from asyncmq.backends.redis import RedisBackend
from asyncmq.conf.global_settings import Settings as Base

class Settings(Base):
    @property
    def backend(self):
        return RedisBackend({url!r})
"""


def without_the_library(tmp_path: Path) -> dict[str, str]:
    """An environment in which `asyncmq` cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'asyncmq':\n"
        "            raise ModuleNotFoundError(name)\n"
        "from importlib import util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'asyncmq' else found(name, package)\n"
    )
    return {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)}


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def tool(*args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOOL, *args], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_library_is_found_in_this_environment() -> None:
    reported = tool("info", "version", env=environment(None))
    assert (reported.returncode, reported.stderr) == (0, "")
    assert "AsyncMQ version: 0.10.1" in reported.stdout
    wrong = ["worker", "start", "emails", "--nonsense"]
    env = environment(None)
    theirs = subprocess.run(
        [sys.executable, "-m", "asyncmq.cli", *wrong], env=env, capture_output=True, check=False
    )
    assert tool(*wrong, env=env).returncode == theirs.returncode


def test_a_worker_is_started_and_ends_as_the_library_ends_it(server: PrivateRedis, tmp_path: Path) -> None:
    (tmp_path / "handed_settings.py").write_text(SETTINGS.format(url=server.url))
    env = {**environment(server.url), "ASYNCMQ_SETTINGS_MODULE": "handed_settings.Settings"}
    process = subprocess.Popen(
        [*TOOL, "worker", "start", "handed", "--concurrency", "1"],
        env={**env, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process, redis.Redis.from_url(server.url) as client:
        try:
            eventually(lambda: client.exists("queue:handed:worker_heartbeats"))
            # exec: it is the same process, which a supervisor stops.
            os.kill(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
    # Whether it has set its own handler by then is the library's affair.
    assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_the_library_is_found_as_a_program_on_path(tmp_path: Path) -> None:
    env = {**environment(None), **without_the_library(tmp_path)}
    program(tmp_path / "asyncmq", '#!/bin/sh\nprintf "%s|" "$@"; exit 7\n')
    reported = tool("worker", "start", "a b", "--concurrency", "2", env=env)
    assert (reported.returncode, reported.stdout, reported.stderr) == (
        7,
        "worker|start|a b|--concurrency|2|",
        "",
    )


def test_a_missing_library_is_an_error_with_a_hint(tmp_path: Path) -> None:
    env = {**environment(None), **without_the_library(tmp_path)}
    reported = tool("worker", "start", "emails", env=env)
    assert (reported.returncode, reported.stdout) == (1, "")
    error, hint = reported.stderr.splitlines()
    assert error.startswith("error: 'worker start' is a command of the AsyncMQ library, which is neither")
    assert "pip install asyncmq" in hint
    inspect = tool("job", "inspect", "7f3a", "--queue", "emails", "--json", env=env)
    error_document = json.loads(inspect.stderr)["error"]
    assert error_document["code"] == "library_missing"
    assert "'asyncmq-cli jobs show emails 7f3a --json'" in error_document["hint"]


def test_two_of_us_do_not_hand_over_to_each_other_for_ever(tmp_path: Path) -> None:
    env = {**environment(None), **without_the_library(tmp_path)}
    # As a shim that does not say what it starts.
    program(tmp_path / "asyncmq", f'#!/bin/sh\nM=asyncmq; exec {sys.executable} -m "$M"_cli "$@"\n')
    began = time.monotonic()
    reported = tool("worker", "start", "emails", env=env)
    assert reported.returncode == 1
    assert "neither in this environment nor on PATH" in reported.stderr
    assert time.monotonic() - began < 50
    # What says so is not tried at all.
    program(tmp_path / "asyncmq", f"#!{sys.executable}\nfrom asyncmq_cli.__main__ import main\nmain()\n")
    assert tool("worker", "start", "emails", env=env).returncode == 1


@pytest.fixture
def queue(server: PrivateRedis, client: redis.Redis) -> str:
    jobs = [
        ("waiting", library.job("one")),
        ("waiting", library.job("two")),
        ("delayed", library.job("later")),
    ]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs))
    return "mail"


def test_the_librarys_forms_are_read_as_our_commands(queue: str, cli: Run) -> None:
    shown = json.loads(cli("queue", "info", queue, "--json").stdout)
    assert (shown["waiting"], shown["delayed"]) == (2, 1)
    assert cli("queue", "list-delayed", queue, "-o", "name").stdout == "later\n"
    listed = cli("job", "list", "--queue", queue, "--state", "waiting", "-o", "name")
    assert (sorted(listed.stdout.split()), listed.stderr) == (["one", "two"], "")


def test_changes_say_what_they_do_and_ask(queue: str, cli: Run) -> None:
    refused = cli("queue", "drain", queue)
    assert refused.code == 5
    assert refused.stderr.startswith("error: this would drain 2 waiting jobs in 'mail' on ")
    assert cli("queue", "drain", queue, "--include-delayed", "--yes").code == 0
    assert json.loads(cli("queue", "info", queue, "--json").stdout)["waiting"] == 0
    assert cli("jobs", "list", queue, "--state", "all", "-o", "name").stdout == ""


def test_a_job_is_named_after_its_queue_option(queue: str, cli: Run) -> None:
    done = cli("job", "remove", "one", "--queue", queue, "--yes", "--json")
    assert json.loads(done.stdout)["results"][0]["job_id"] == "one"
    cleaned = cli("queue", "clean", queue, "--state", "delayed", "--grace", "0", "--yes", "--json")
    assert (
        cleaned.stderr.startswith('{"note":') and "queues clean --older-than 0 --limit 1000" in cleaned.stderr
    )
    assert json.loads(cleaned.stdout)["succeeded"] == 1


def test_a_definition_is_named_by_itself(cli: Run) -> None:
    added = cli("repeatables", "add", "mail", "--task", "app.poll", "--every", "90s", "--yes")
    assert added.code == 0
    row = json.loads(cli("queue", "list-repeatables", "mail", "--json").stdout)["repeatables"][0]
    text = json.dumps(row["job_def"])
    assert cli("queue", "pause-repeatable", "mail", text).code == 0
    assert json.loads(cli("repeatables", "list", "mail", "--json").stdout)["repeatables"][0]["paused"]
    assert cli("queue", "resume-repeatable", "mail", text).code == 0
    other = json.dumps({**row["job_def"], "every": 91})
    assert cli("queue", "pause-repeatable", "mail", other).code == 4


def test_some_fields_of_a_definition_name_it_if_they_name_one(cli: Run) -> None:
    for task, schedule in (("app.poll", "*/5 * * * *"), ("app.poll", "0 7 * * *"), ("app.send", "0 7 * * *")):
        assert cli("repeatables", "add", "mail", "--task", task, "--cron", schedule, "--yes").code == 0
    paused = cli("queue", "pause-repeatable", "mail", '{"task": "app.poll", "cron": "*/5  * * * *"}')
    assert (paused.code, paused.stdout.split()[:3]) == (0, ["success", "mail", "app.poll"])
    rows = json.loads(cli("repeatables", "list", "mail", "--json").stdout)["repeatables"]
    assert [row["cron"] for row in rows if row["paused"]] == ["*/5 * * * *"]
    several = cli("queue", "pause-repeatable", "mail", '{"cron": "0 7 * * *"}')
    assert several.code == 2
    assert "app.poll, 0 7 * * *" in several.stderr and "app.send, 0 7 * * *" in several.stderr
    for text, code in (("{}", 4), ('{"task_id": "app.send", "every": 60}', 4), ('{"task_id"', 2)):
        assert cli("queue", "pause-repeatable", "mail", text).code == code, text


def test_a_queue_is_obliterated_when_that_is_confirmed(queue: str, client: redis.Redis, cli: Run) -> None:
    assert cli("queue", "obliterate", queue, "--force").code == 5
    assert cli("queue", "obliterate", queue, "--force", "--yes").code == 0
    assert all(key.startswith(b"asyncmq-cli:") for key in client.keys("*"))


def test_a_worker_is_deregistered(server: PrivateRedis, client: redis.Redis) -> None:
    client.hset("queue:mail:worker_heartbeats", "gone", json.dumps({"heartbeat": 1.0, "concurrency": 1}))
    done = run_tool("worker", "deregister", "gone", "--yes", url=server.url)
    assert done.code == 0
    assert not client.exists("queue:mail:worker_heartbeats")
