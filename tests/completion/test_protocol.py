"""The answers to the completion scripts of the shells."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.app import SHELLS, _built
from asyncmq_cli.completion import scripts
from asyncmq_cli.completion.protocol import FILES, WORDS_VARIABLE
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.audit.actions import BY_NAME
from tests.conftest import Result, Run, environment, run_tool
from tests.faults.support import CHANGES, PASSWORD, seed
from tests.support import library
from tests.support.shells import ROOT

Tell = Callable[..., list[str]]


@pytest.fixture
def tell(cli: Run, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """The candidates after these words, of which the last is incomplete."""
    monkeypatch.setenv("ASYNCMQ_COMPLETION_TIMEOUT", "30")

    def ask(*words: str) -> list[str]:
        result = cli("__complete", "zsh", *words)
        assert (result.code, result.stderr) == (0, "")
        return [line.split("\t")[0] for line in result.lines]

    return ask


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    seed(server.url)


def test_every_command_and_option_that_there_is_is_offered(tell: Tell) -> None:
    """New commands are tested too, because none is named here."""
    root = _built()
    commands = {name: root.get_command(None, name) for name in root.list_commands(None)}
    assert sorted(tell("")) == sorted(name for name, one in commands.items() if not one.hidden)
    for noun, group in commands.items():
        for verb, command in getattr(group, "commands", {"": group}).items():
            words = [noun, verb] if verb else [noun]
            if noun not in ("demo", "help"):
                assert "--redis-url" in tell(*words, "--"), words
            known = {name for p in command.params for name in p.opts if name[:2] == "--" and not p.hidden}
            assert known <= set(tell(*words, "--"))


def test_a_given_option_is_not_offered_again(tell: Tell) -> None:
    assert "--state" not in tell("jobs", "list", "mail", "--state", "failed", "--")
    assert "--json" not in tell("--json", "jobs", "list", "--")
    assert "--yes" not in tell("jobs", "remove", "-y", "--")
    assert "--event" in tell("events", "tail", "--event", "queues", "--"), "which may be repeated"


def test_the_values_of_an_option_are_offered(tell: Tell) -> None:
    assert tell("jobs", "list", "mail", "--sort", "") == ["newest", "oldest", "queue"]
    assert tell("jobs", "retry", "mail", "--state", "") == ["failed", "expired"]
    assert tell("audit", "--status=f") == ["--status=failed"]
    assert tell("audit", "--action", "dlq") == ["dlq.retry", "dlq.remove"]
    assert tell("events", "tail", "--event", "run") == ["runtime"]
    assert tell("--color", "a") == ["auto", "always"]
    assert tell("jobs", "retry", "mail", "--reason", "") == [], "what is free is not guessed"


def test_columns_are_offered_one_behind_another(tell: Tell) -> None:
    columns = ["id", "queue", "task", "created", "prio", "tries", "error"]
    assert tell("jobs", "list", "mail", "--fields", "") == columns
    assert tell("jobs", "list", "--state", "delayed", "--fields", "d") == ["due"]
    assert tell("jobs", "list", "mail", "--fields", "id,t") == ["id,task", "id,tries"]
    assert tell("jobs", "list", "mail", "--fields", "id,task,t") == ["id,task,tries"]
    assert tell("audit", "--fields=time,ac") == ["--fields=time,action", "--fields=time,actor"]


def test_every_action_that_is_audited_is_offered(server: PrivateRedis, mail: None, cli: Run) -> None:
    for args in CHANGES.values():
        assert cli(*args, "--dry-run", "--json").json["action"] in BY_NAME


def test_queues_are_offered_once_each(tell: Tell, mail: None) -> None:
    assert tell("jobs", "list", "") == ["archive", "gone", "held", "mail"]
    assert tell("queues", "pause", "mail", "h") == ["held"]
    assert tell("queues", "pause", "mail", "m") == []
    assert tell("queues", "show", "archive", "") == tell("queues", "show", "mail", "")


def test_a_queue_is_found_by_its_jobs_alone(
    tell: Tell, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large queues are offered long before the whole keyspace has been read."""
    client.sadd("jobs:big:queue:ids", "job:1")
    for number in range(3000):
        client.set(f"jobs:big:queue:job:{number}g", "{}")
    assert tell("jobs", "list", "b") == ["big:queue"]


def test_jobs_are_offered_after_three_characters_and_where_they_can_be_hit(tell: Tell, mail: None) -> None:
    assert "dead" not in tell("jobs", "show", "mail", "de")
    assert tell("jobs", "show", "mail", "dea") == ["dead"]
    assert tell("jobs", "show", "mail", "don") == ["done"]
    assert tell("jobs", "retry", "mail", "don") == []
    assert tell("dlq", "remove", "mail", "lar") == ["large"]
    assert tell("jobs", "cancel", "mail", "lat") == ["late"]
    assert tell("jobs", "cancel", "mail", "dea") == []
    assert tell("jobs", "retry", "mail", "dead", "dea") == []
    assert tell("jobs", "show", "ghost", "dea") == []
    assert tell("jobs", "show", "dea") == tell("jobs", "show", "--queue", "mail", "dea") == ["dead"]
    assert tell("jobs", "remove", "ghost", "don") == ["done"]
    assert tell("jobs", "list", "--queue", "ma") == ["mail"]
    assert "--all" in tell("jobs", "retry", "mail", ""), "an id has no beginning yet, so options"


def test_a_beginning_is_no_pattern(tell: Tell, server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, "q[1]*", [("waiting", library.job(name)) for name in ("a*b-1", "axxb")])

    library.with_backend(server.url, fill)
    assert tell("jobs", "list", "q[1") == ["q[1]*"]
    assert tell("jobs", "list", "*") == []
    assert tell("jobs", "show", "q[1]*", "a*b") == ["a*b-1"]


def test_repeatables_groups_and_tasks(tell: Tell, mail: None, cli: Run) -> None:
    ids = {one["task_id"]: one["id"] for one in cli("repeatables", "list", "--json").json["repeatables"]}
    whole = ids["app.tick"]
    short, paused = (ids[task].removeprefix("repeatable:")[:10] for task in ("app.tick", "app.rest"))
    assert tell("repeatables", "pause", "mail", "") == [short]
    assert tell("repeatables", "pause", "mail", "rep") == [whole]
    assert cli("__complete", "zsh", "repeatables", "resume", "mail", "").stdout == (
        f"{paused}\tapp.rest (paused)\n"
    )
    (group,) = [one["id"] for one in cli("dlq", "groups", "mail", "--json").json["groups"]]
    assert tell("dlq", "retry", "mail", "--group", group[:3]) == [group]
    assert tell("jobs", "list", "mail", "--task", "") == ["app.rest", "app.send", "app.tick"]
    assert tell("repeatables", "add", "mail", "--task", "") == ["app.rest", "app.tick"]
    # Without a queue, those of all.
    assert tell("dlq", "retry", "--group", group[:3]) == [group]
    assert tell("tasks", "show", "") == tell("jobs", "list", "--task", "")
    assert tell("tasks", "show", "app.t") == ["app.tick"]


def test_a_name_with_a_dash_is_offered_only_after_two_dashes(tell: Tell, client: redis.Redis) -> None:
    client.zadd("queue:-rf:waiting", {"one": 1})
    assert "-rf" not in tell("jobs", "list", "")
    assert tell("jobs", "list", "--", "") == ["-rf"]
    assert tell("workers", "list", "--queue", "") == ["-rf"]


def test_descriptions_have_no_secrets_and_no_control_characters(
    server: PrivateRedis, mail: None, cli: Run
) -> None:
    record = library.job("sly", last_error="ValueError: password=hunter2 \x1b]0;x\x07\tand\nmore")
    library.with_backend(server.url, lambda opened: opened.move_to_dlq("odd", record))
    reported = cli("__complete", "zsh", "dlq", "retry", "odd", "--group", "").stdout
    assert reported.count("\t") == reported.count("\n") == 1
    assert "hunter2" not in reported and "\x1b" not in reported


def test_edits_that_can_be_undone_are_completed(mail: None, client: redis.Redis, cli: Run) -> None:
    for kept in ({"was": {}}, {}):
        event = {"action": "job.edit", "source": "jobs.single", "status": "success"}
        text = json.dumps({**event, "queue": "mail", "job_id": "one", "details": kept})
        client.xadd("asyncmq-cli:audit", {"timestamp": "1", "event": text})
    *_, edit, _ = (name.decode() for name, _ in client.xrange("asyncmq-cli:audit"))
    reported = cli("__complete", "zsh", "jobs", "restore", "--from-audit", "").stdout
    assert reported == f"{edit}\tjob.edit mail one\n"


def test_files_have_a_status_of_their_own(cli: Run, client: redis.Redis) -> None:
    result = cli("__complete", "zsh", "metrics", "prometheus", "--output", "")
    assert (result.code, result.stdout) == (FILES, "")


def test_powershell_hands_its_words_over_in_the_environment(mail: None, run: Run) -> None:
    env = {"ASYNCMQ_COMPLETION_TIMEOUT": "30"}
    words = "\n".join(["jobs", "list", "ma"])
    reported = run("__complete", "powershell", env={**env, WORDS_VARIABLE: words})
    assert reported.stdout == "mail\t\n"
    assert run("__complete", "powershell", env=env).stdout == run("__complete", "zsh", "").stdout


@pytest.mark.parametrize("line", [(), ("bash",), ("bash", " "), ("zsh",), ("tcsh",), ("bash", " ", "`x`; ")])
def test_an_invalid_completion_request_prints_nothing(line: tuple[str, ...], cli: Run) -> None:
    result = cli("__complete", *line)
    assert (result.stdout, result.stderr) == ("", "")


LIVE = [
    ("jobs", "list", ""),
    ("jobs", "show", "mail", "dead"),
    ("dlq", "retry", "mail", "--group", ""),
    ("repeatables", "pause", "mail", ""),
    ("jobs", "list", "mail", "--task", ""),
]


def silent(result: Result) -> None:
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("words", LIVE, ids=" ".join)
def test_a_redis_that_is_away_or_hangs_is_not_worth_a_word(words: tuple[str, ...]) -> None:
    silent(run_tool("__complete", "zsh", *words, url="unix:///nowhere/redis.sock"))
    silent(run_tool("__complete", "zsh", *words, url="no url at all"))
    silent(run_tool("__complete", "zsh", *words, env={"ASYNCMQ_CONFIG": "/nowhere/config.toml"}))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent(run_tool("__complete", "zsh", *words, url=f"redis://127.0.0.1:{mute.getsockname()[1]}/0"))


@pytest.mark.parametrize("words", LIVE, ids=" ".join)
def test_a_redis_that_refuses_is_not_worth_a_word(
    words: tuple[str, ...], server: PrivateRedis, mail: None, client: redis.Redis
) -> None:
    client.execute_command("ACL", "SETUSER", "typist", "reset", "on", f">{PASSWORD}", "~*", "-@all")
    try:
        url = server.url.replace("unix://", f"unix://typist:{PASSWORD}@")
        silent(run_tool("__complete", "zsh", *words, url=url))
    finally:
        client.execute_command("ACL", "DELUSER", "typist")


@pytest.mark.parametrize("words", LIVE, ids=" ".join)
def test_keys_of_another_type_are_not_worth_a_word(
    words: tuple[str, ...], client: redis.Redis, cli: Run
) -> None:
    for key in ("queue:mail:dlq", "queue:mail:repeatables", "jobs:mail:ids", "jobs:mail:states"):
        client.rpush(key, "x")
    assert cli("__complete", "zsh", *words).stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        *(("jobs", ""), ("jobs", "list", "--state", ""), ("--",), ("jobs", "show", "q", "")),
        *(("jobs", "list", "--fields", ""), ("metrics", "history", "--fields", "time,")),
    ],
)
def test_fixed_words_are_completed_without_redis(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from asyncmq_cli.app import run; "
        f"status = run(['__complete', 'zsh', *{list(words)!r}]); "
        "loaded = {'redis', 'rich', 'orjson'} & set(sys.modules); "
        "sys.stderr.write(' '.join(loaded)); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(None)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_scripts_that_are_checked_in_are_those_that_the_program_prints(tmp_path: Path, cli: Run) -> None:
    made = list(scripts.write_all(tmp_path))
    assert tuple(scripts.SHELLS) == SHELLS
    assert {path.name for path in made} == {path.name for path in (ROOT / "completions").iterdir()}
    for shell, path in zip(SHELLS, made, strict=True):
        text = path.read_text()
        assert text == (ROOT / "completions" / path.name).read_text(), "make completions"
        assert text == cli("--show-completion", shell).stdout
        assert not re.search("@[A-Z]+@", text), "what stands for something is replaced"
        assert all(name in text for name in scripts.PROGRAMS)


def test_the_script_of_powershell_quotes_as_powershell_does() -> None:
    text = scripts.script("powershell")
    assert "Invoke-Expression" not in text and "iex" not in text
    assert "::EscapeSingleQuotedStringContent($value)" in text
    assert f"$env:{WORDS_VARIABLE} = $words -join" in text
    assert "& $program __complete powershell" in text
    assert [text.count(left) for left in "({["] == [text.count(right) for right in ")}]"]
    assert "eval" not in "".join(map(scripts.script, SHELLS)).replace("evaluate", "")


def test_contexts_are_offered_by_their_names(
    tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asyncmq").mkdir()
    (tmp_path / "asyncmq/config.toml").write_text(
        '[context.prod]\nredis_url = "redis://prod"\n[context.dev]\nredis_url = "redis://dev"\n'
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert tell("--context", "") == ["prod", "dev"]
    assert tell("queues", "list", "--context", "p") == ["prod"]
    assert tell("queues", "list", "--context", "prod,") == ["prod,dev"]
    assert tell("queues", "list", "--context=dev,p") == ["--context=dev,prod"]
    assert tell("context", "use", "") == ["prod", "dev"]
    assert tell("context", "show", "d") == ["dev"]
