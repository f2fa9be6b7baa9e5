"""`asyncmq demo`: the programs that it runs, its exit status, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from asyncmq_cli import __version__
from asyncmq_cli.demo import run
from asyncmq_cli.demo.run import demo
from asyncmq_cli.errors import UsageProblem

from .processes import DEFAULT_SIGNALS, PATIENCE, started

URL = "unix:///nowhere/redis.sock?db=0"


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that starts nothing, because only the program in it matters here."""

    @contextmanager
    def nothing() -> Iterator[SimpleNamespace]:
        directory = tmp_path / "demo"
        directory.mkdir()
        yield SimpleNamespace(url=URL, directory=directory)

    monkeypatch.setattr(run, "DemoEnvironment", nothing)


@pytest.fixture
def python_for_asyncmq(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a Python program in place of each command."""

    def python(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", *arguments]

    monkeypatch.setattr(run, "asyncmq_command", python)


def test_a_shell_and_a_command_are_one_too_many() -> None:
    with pytest.raises(UsageProblem):
        demo(True, ["queues", "list"])


@pytest.mark.usefixtures("without_redis", "python_for_asyncmq")
def test_a_command_finds_the_redis_and_its_status_is_ours(capfd: pytest.CaptureFixture[str]) -> None:
    reported = (
        "import os; print(os.environ['ASYNCMQ_REDIS_URL'], os.environ['REDIS_URL']); raise SystemExit(4)"
    )
    assert demo(False, [reported]) == 4
    assert capfd.readouterr() == (f"{URL} {URL}\n", "")


@pytest.mark.usefixtures("without_redis", "python_for_asyncmq")
def test_a_command_that_a_signal_ended_has_the_status_a_shell_gives_it() -> None:
    assert demo(False, ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]) == 137


@pytest.mark.usefixtures("without_redis")
def test_the_shell_is_ones_own_and_asyncmq_in_it_is_this_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shell = tmp_path / "shell"
    shell.write_text(
        '#!/bin/sh\necho "$ASYNCMQ_REDIS_URL"\nasyncmq --version\nasyncmq-cli --version\nexit 3\n'
    )
    shell.chmod(0o755)
    impostor = tmp_path / "asyncmq"
    impostor.write_text("#!/bin/sh\necho another program\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert demo(True, []) == 3
    out, err = capfd.readouterr()
    assert out == f"{URL}\nasyncmq-cli {__version__}\nasyncmq-cli {__version__}\n"
    assert len(err.splitlines()) == 2
    assert "exit" in err


@pytest.mark.usefixtures("without_redis")
def test_ctrl_c_in_the_shell_does_not_end_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\nkill -INT $PPID\nexit 0\n", encoding="utf-8")
    shell.chmod(0o755)
    monkeypatch.setenv("SHELL", str(shell))
    before = signal.getsignal(signal.SIGINT)
    assert demo(True, []) == 0
    assert signal.getsignal(signal.SIGINT) == before


def test_ctrl_c_waits_for_the_command_and_the_shell_continues() -> None:
    script = """
import os, sys
from asyncmq_cli.demo import processes
from asyncmq_cli.demo.processes import run_child
processes._CTRL_C_SECONDS = 60
finishing = '''
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("running", flush=True)
    time.sleep(3600)
except KeyboardInterrupt:
    print("finished", flush=True)
'''
run_child([sys.executable, "-c", finishing], dict(os.environ))
"""
    program = subprocess.Popen(
        [sys.executable, "-c", DEFAULT_SIGNALS + script], stdout=subprocess.PIPE, start_new_session=True
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"running\n"
        os.killpg(program.pid, signal.SIGINT)
        assert program.stdout.read() == b"finished\n"
        assert program.wait(PATIENCE) == -signal.SIGINT


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_only_we_got_ends_the_command_too(signum: signal.Signals) -> None:
    script = """
import os, sys
from asyncmq_cli.demo.processes import run_child
from asyncmq_cli.demo.environment import Interruptions
Interruptions().install()
sleeping = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
run_child([sys.executable, "-c", sleeping], dict(os.environ))
"""
    with started(script) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.send_signal(signum)
        program.wait(PATIENCE)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_importing_it_imports_nothing_slow() -> None:
    script = "import asyncmq_cli.demo.run; print(sorted({'asyncmq', 'redis', 'rich'} & set(sys.modules)))"
    with started("import sys\n" + script) as program:
        assert program.communicate()[0] == b"[]\n"


def test_the_tour_leads_from_the_failure_to_the_audit_trail_in_tables() -> None:
    program = subprocess.run(
        [sys.executable, "-m", "asyncmq_cli", "demo"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (program.returncode, program.stderr) == (0, "")
    shown = [line for line in program.stdout.splitlines() if line.startswith("$ ")]
    assert [line.split()[2:4] for line in shown] == [
        ["overview"],
        ["dlq", "groups"],
        ["jobs", "show"],
        ["dlq", "retry"],
        ["audit", "--limit"],
    ]
    assert "a backlog of 5 and no live worker  asyncmq workers list" in program.stdout
    assert "\nRoot cause:   ConnectionRefusedError: [Errno 111] connection refused" in program.stdout
    assert "\nRetried 3: 3 completed\n" in program.stdout
    assert "dlq.retry ×3  success  emails" in program.stdout
    # It is read in logs too: tables, and no line that has to be scrolled.
    assert "\t" not in program.stdout and "\r" not in program.stdout and "\x1b" not in program.stdout
    assert max(map(len, program.stdout.splitlines())) <= 100
    assert len(program.stdout.splitlines()) < 60
    assert program.stdout.splitlines()[-1].endswith("asyncmq demo --shell")


def test_the_tour_stops_at_a_step_that_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        run, "asyncmq_command", lambda arguments: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    assert run.tour(dict(os.environ)) == 3
    assert capfd.readouterr().out.splitlines()[1:] == ["$ asyncmq overview", ""]


def test_the_tour_ends_quietly_when_its_reader_has_seen_enough() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "asyncmq_cli", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline().startswith(b"#")
        program.stdout.close()
        assert (program.stderr.read(), program.wait(PATIENCE)) == (b"", 0)
