"""The screen on a real terminal: a session, its colours, and that the terminal is restored however the
program ends."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.screen import TOOL, LiveTerminal
from tests.ui.stage import changes, state_of

_SGR = re.compile(rb"\x1b\[([0-9;]*)m")
_FAULT = """
import sys
from asyncmq_cli.__main__ import main
from asyncmq_cli.ui.home.home import Home

def fail(self, by):
    password = "hunter2"
    raise ZeroDivisionError("no such tab")

Home.action_turn = fail
sys.argv[1:] = ["ui"]
main()
"""


def colours_of(raw: bytes) -> set[bytes]:
    """The colour codes that were sent, such as `34`, `38;5;166` or `38;2;1;2;3`."""
    found = set()
    for codes in _SGR.findall(raw):
        found |= set(re.findall(rb"(?:3|4)8;(?:5;\d+|2;\d+;\d+;\d+)", codes))
        rest = re.sub(rb"(?:3|4)8;(?:5;\d+|2;\d+;\d+;\d+)", b"", codes).split(b";")
        found |= {code for code in rest if re.fullmatch(rb"(?:3|4|9|10)[0-7]", code)}
    return found


def written_after(terminal: LiveTerminal) -> str:
    """The text below the prompt."""
    return re.sub(r"\x1b\[\?\d+l", "", terminal.after)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda terminal: terminal.press("q"), 0),
        (lambda terminal: terminal.press("\x03"), 130),
        (lambda terminal: terminal.send(signal.SIGTERM), 143),
    ],
    ids=["q", "ctrl-c", "sigterm"],
)
def test_the_terminal_is_given_back(
    server: PrivateRedis, production: redis.Redis, end: Callable[[LiveTerminal], object], status: int
) -> None:
    with LiveTerminal("ui", url=server.url) as terminal:
        terminal.shows("emails", "3 queues")
        end(terminal)
        assert terminal.end() == status
        assert terminal.is_given_back and terminal.echoes
        assert written_after(terminal) == ""


def test_a_slow_first_read_shows_a_line(server: PrivateRedis, production: redis.Redis) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with LiveTerminal("ui", "--timeout", "60", url=server.url) as terminal:
            terminal.shows("reading the queues of unix://")
            os.kill(server.pid, signal.SIGCONT)
            terminal.until(lambda text: "> imports" in text and "reading" not in text)
            terminal.press("q")
            assert terminal.end() == 0
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_fault_of_the_program_is_one_line_on_a_terminal_that_is_given_back(
    server: PrivateRedis, production: redis.Redis
) -> None:
    with LiveTerminal(url=server.url, program=(sys.executable, "-c", _FAULT)) as terminal:
        terminal.shows("emails", "3 queues")
        terminal.press("\t")
        assert terminal.end() == 1
        assert terminal.is_given_back and terminal.echoes
        lines = written_after(terminal).splitlines()
        assert [line.partition(":")[0] for line in lines] == ["error", "hint"]
        assert lines[0].endswith("ZeroDivisionError: no such tab") and "hunter2" not in lines[0]


@pytest.mark.parametrize(
    ("env", "allowed"),
    [({"NO_COLOR": "1"}, rb"$^"), ({"TERM": "xterm-16color"}, rb"[349][0-7]")],
    ids=["NO_COLOR", "16 colours"],
)
def test_a_terminal_gets_no_other_colours_than_it_has(
    server: PrivateRedis, production: redis.Redis, env: dict[str, str], allowed: bytes
) -> None:
    with LiveTerminal("ui", url=server.url, env={"COLORTERM": "", **env}) as terminal:
        terminal.shows("> imports")
        terminal.press("3")
        terminal.shows("251 dead jobs, 1 cause")
        terminal.press("t")
        terminal.shows("Retry 251 failed jobs", "Dry run")
        terminal.press("\x03")
        assert terminal.end() == 130
    assert all(re.fullmatch(allowed, colour) for colour in colours_of(terminal.raw))


@pytest.mark.extended(first=0)
def test_the_demo_opens_it_on_its_own_redis() -> None:
    with LiveTerminal("demo", "--ui", url="") as terminal:
        terminal.shows("tenant:acme", "PROBLEMS", "q quit")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back and terminal.echoes


@pytest.mark.extended(first=0)
def test_it_goes_to_the_shell_and_comes_back(server: PrivateRedis, production: redis.Redis) -> None:
    shell = ("bash", "--norc", "--noprofile", "-i")
    with LiveTerminal(url=server.url, program=shell, env={"PS1": "shell> "}) as terminal:
        terminal.shows("shell>")
        # The shell's job is a script, which is stopped and continued with the screen.
        terminal.press(f"sh -c '{' '.join(TOOL)} ui; exit $?'\n")
        terminal.shows("> imports", "q quit")
        terminal.press("\x1a")
        terminal.shows("Stopped", "shell>")
        assert terminal.is_given_back
        terminal.press("clear; echo $((6*7))\n")
        terminal.until(lambda text: "42" in text and "imports" not in text)
        terminal.press("clear; bg\n")
        terminal.press_until("\n", lambda text: "Stopped" in text)
        terminal.press("fg\n")
        terminal.shows("> imports", "q quit")
        terminal.press("j")
        terminal.shows("> emails")
        terminal.press("q")
        terminal.until(lambda text: terminal.is_given_back and "shell>" in text)
        terminal.press("echo status $?\n")
        terminal.shows("status 0")
        assert terminal.is_given_back


def test_a_signal_to_continue_leaves_a_running_screen_as_it_is(
    server: PrivateRedis, production: redis.Redis
) -> None:
    """A shell may send SIGCONT to a process that is not stopped."""
    with LiveTerminal("ui", url=server.url) as terminal:
        terminal.shows("> imports", "q quit")
        terminal.send(signal.SIGCONT)
        terminal.press("j")
        terminal.shows("> emails")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back


def test_a_job_is_found_edited_and_retried_on_a_terminal(
    server: PrivateRedis, town: redis.Redis, tmp_path: Path
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nstty -a | grep -q " icanon" && sed -i s/acme-171/acme-new/ "$1"\n')
    editor.chmod(0o755)
    env = {"EDITOR": str(editor), "VISUAL": "", "COLORTERM": "truecolor"}
    with LiveTerminal("ui", url=server.url, env=env) as terminal:
        terminal.shows("> imports")
        terminal.press("j")
        terminal.shows("> emails")
        terminal.press("\r")
        terminal.shows("1 of 251 jobs")
        terminal.press("/")
        terminal.shows("text anywhere in the job")
        terminal.press("acme-171\r")
        terminal.shows("1 of 1 job", "mail-171")
        terminal.press("\r")
        terminal.shows("Root cause:", "Connection refused")
        terminal.press("o")
        terminal.shows("traceback", "fields {")
        terminal.press("\x1b")
        terminal.shows("Root cause:")
        terminal.press("e")
        terminal.shows("Edit mail-171 in emails", "then-retry:", "acme-new")
        terminal.press_until("\r", lambda text: "Retried job" in text or "State:        waiting" in text)
        terminal.press("\x03")
        assert terminal.end() == 130
        assert terminal.is_given_back and terminal.echoes
    assert state_of(town, "mail-171") == "waiting"
    assert [one[:3] for one in changes(town)] == [
        ("job.edit", "ui", "success"),
        ("job.retry", "ui", "success"),
    ]
    colours = colours_of(terminal.raw)
    # Those of the terminal, whatever its background is, and an orange that is readable on both.
    others = {colour for colour in colours if colour.startswith((b"38", b"48"))}
    assert others <= {b"38;5;166", b"38;2;215;95;0"}
    # Black is invisible on one of the two, but on a background of its own.
    on_what = {codes for codes in _SGR.findall(terminal.raw) if b"30" in codes.split(b";")}
    assert all(codes.endswith((b";47", b";104")) for codes in on_what) and b"40" not in colours
