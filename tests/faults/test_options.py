"""Any value of any option gives a list, a change or a usage error, and never a bug of the tool.

The options are read from the built program, so new ones are tested too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncmq_cli.cli.help import command_tree
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.faults.scale import WHOLE, record, scaled, seeded
from tests.faults.support import LOST, QUEUE, Keyspace, Tool
from tools import commandtree

NUMBERS = [
    *("0", "-0", "-1", "1", "0.5", "1e309", "-1e309", "nan", "inf", "-inf", "0x10", "1_000", "+1", "\u0663"),
    *("9" * 19, "9" * 30, "9" * 400, "9" * 5000, "1e-400", "100%", "101%", "-5%", "%"),
]
TIMES = [
    *("0001-01-01", "0001-01-01T00:00", "0001-01-01T00:00:00+23:59", "1969-12-31", "today", "yesterday"),
    *("9999-12-31", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59-23:59", "10000-01-01", "2026-02-30"),
    *(
        "2026-W01",
        "20260101",
        "0000-00-00",
        "9999999999",
        "999999999999999999",
        "1970-01-01T00:00:00Z",
        "24:00",
    ),
    *("1M", "5 min", "1000000d", "99999999999y", "9" * 18 + "y", "0ms", "0.000001ms", "1h1", "now"),
]
SHAPES = [
    *("60 0 * * *", "*/0 * * * *", "0-99999999 * * * *", "0 0 31 2 *", "R R * * *", "@every 5m", "@daily"),
    *("* * * * * *", "* * * * * * *", "L L L L L", "*/10 * * * * *", "# # # # #", "0 0 * * 5#6", "@reboot"),
    *(
        ":",
        "::",
        "1:2:3",
        "10m:1h",
        "99:1",
        "1:",
        ":1",
        "~:1",
        "@1:2",
        "/s",
        "0/s",
        "1e9/s",
        "5/0s",
        "9" * 30 + "/s",
    ),
    *(
        "[]",
        "{}",
        "null",
        "NaN",
        '{"a": NaN}',
        '["\\ud800"]',
        "[" * 5000,
        '{"a":' * 2000,
        "[1e999]",
        '"x"',
        "[1,",
    ),
    *("9" * 5000, "[" + "9" * 5000 + "]", "redis://", "redis://h:x/", "unix://", "http://x", "redis://[::1"),
]
TEXTS = [
    *(
        "",
        " ",
        "-",
        "--",
        "---",
        "-x",
        "=",
        ",",
        ",,",
        "\\",
        "%s",
        "%(x)s",
        "{0}",
        "{x!r}",
        "$HOME",
        "`x`",
        "'",
        '"',
    ),
    *(
        "\udcff",
        "caf\udce9",
        "\udcf0\udc9f\udc98",
        "a\udc80\u20ac",
        "\x1b[31m",
        "\n",
        "\r\n",
        "\t",
        "\x7f",
        "\u2028",
    ),
    *(
        "\u202e",
        "\U0001f600",
        "\u0130",
        "\ufeff",
        "*",
        "?",
        "[",
        "[a-",
        "[^]",
        "../..",
        "/",
        "/dev/full",
        "~",
        "~x",
    ),
    *("a" * 100_000, "true", "none", "id,id", "id,,", "\u00e9" * 5000),
]
VALUES = [*NUMBERS, *TIMES, *SHAPES, *TEXTS]

STANDS = {"QUEUE": QUEUE, "ID": "dead", "FILE": LOST, "NOUN": "jobs", "VERB": "list"}
"""A value for each required argument; `wait` waits for a drained queue."""
BESIDE = {
    "wait": {"--timeout": "0.2s"},
    "jobs follow": {"--timeout": "0.2s"},
    "tasks top": {"--for": "0.1s"},
    "events tail": {"--once": None, "--no-record": None},
    "repeatables add": {"--task": "t", "--every": "60s"},
    "workers forget": {"--dry-run": None},
}
"""What else is put, unless it is what is tried."""
EXCLUDING = {"--every": "--cron", "--cron": "--every"}
LEFT_OUT = {"demo", "metrics serve", "ui"}
"""What runs until it is stopped."""
RUNS_ON = {("check", "--watch"), ("tasks top", "--for")}
"""Commands that run for a given time, or until they are stopped."""
SECONDS = 30
ANSWERS = {0, 1, 2, 3, 4, 5, 124}


@dataclass(frozen=True)
class Tried:
    """An option with a value, and a command that has it."""

    command: str
    option: str
    metavar: str
    line: tuple[str, ...]


def value_options() -> Iterator[Tried]:
    for path, command in _commands(commandtree.built(), ()):
        name = " ".join(path)
        if name in LEFT_OUT:
            continue
        own = {word for param in command.params for word in param.opts}
        stands = {**STANDS, "QUEUE": "archive"} if name == "wait" else STANDS
        needed = [
            stands.get((param.metavar or param.name or "").strip("[].").split()[0], "x")
            for param in command.params
            if param.param_type_name == "argument" and param.required
        ]
        for param in command.params:
            if param.param_type_name != "option" or getattr(param, "is_flag", False) or param.hidden:
                continue
            option = max(param.opts, key=len)
            if (name, option) in RUNS_ON:
                continue
            beside = {**BESIDE.get(name, {}), **({"--dry-run": None} if "--dry-run" in own else {})}
            beside = {key: value for key, value in beside.items() if key in own and key != option}
            if option in EXCLUDING:
                beside.pop(EXCLUDING[option], None)
            extra = [word for key, value in beside.items() for word in (key, value) if word is not None]
            yield Tried(name, option, str(param.metavar), (*path, *needed, *extra))


def _commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in command_tree.shown(group):
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def once_each(options: list[Tried]) -> list[Tried]:
    """The first of all options that are declared in the same way."""
    return list({(one.option, one.metavar): one for one in reversed(options)}.values())


@contextmanager
def ended_within(seconds: int, reported: Any) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise AssertionError(f"{reported} has not ended")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_answered(args: list[str], result: Result) -> None:
    reported = ([arg[:80] for arg in args], result.code, result.stderr[-600:])
    assert result.code in ANSWERS, reported
    assert "bug in asyncmq-cli" not in result.stderr, reported
    if result.code == 2 and args[0] != "check":
        assert result.stderr.startswith(("error: ", "note: ", "warning: ", "{")), reported


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """Runs the test in a temporary folder, because some options write files."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)


@pytest.mark.extended
def test_every_value_of_every_option_is_answered(
    server: PrivateRedis, keyspace: Keyspace, tool: Tool, elsewhere: None
) -> None:
    options = list(value_options())
    rng = seeded("options")
    tried = [(one, value) for one in scaled(once_each(options), options) for value in VALUES]
    if not WHOLE:
        # All values that are dates or bytes, and a share of the others.
        sure = {"0001-01-01", "9999-12-31", "\udcff", "caf\udce9", "9" * 400, ""}
        tried = [pair for pair in tried if pair[1] in sure or rng.random() < 0.08]
    wrong = []
    for one, value in tried:
        args = [*one.line, f"{one.option}={value}"]
        with ended_within(SECONDS, args):
            result = tool(server.url, *args)
        try:
            assert_answered(args, result)
        except AssertionError as exc:
            wrong.append(str(exc).split("\nassert")[0])
    assert not wrong, "\n".join(wrong[:40])
    record("Values of options", None, runs=len(tried), options=len(options))


ARGUMENTS = [
    *(["queues", "show", "{}"], ["queues", "pause", "--dry-run", "{}"], ["jobs", "show", QUEUE, "{}"]),
    *(["jobs", "show", "{}", "x"], ["jobs", "retry", QUEUE, "{}"], ["jobs", "remove", QUEUE, "{}", "--yes"]),
    *(["jobs", "restore", "{}"], ["dlq", "list", "{}"], ["repeatables", "pause", QUEUE, "{}"]),
    *(["wait", "{}", "--timeout", "0.1"], ["doctor", "{}"], ["help", "{}"], ["{}"], ["jobs", "{}"]),
    ["repeatables", "add", QUEUE, "--every", "1h", "--dry-run", "--task", "{}"],
]


@pytest.mark.extended
def test_every_argument_is_answered(
    server: PrivateRedis, keyspace: Keyspace, tool: Tool, elsewhere: None
) -> None:
    for line in ARGUMENTS:
        for value in scaled(TEXTS[::3], VALUES):
            # Skip standard input, which is missing here, and values that are options.
            if value.startswith("-"):
                continue
            args = [word.replace("{}", value) for word in line]
            for form in ([], ["--json"]):
                with ended_within(SECONDS, args):
                    assert_answered([*args], tool(server.url, *args, *form))
