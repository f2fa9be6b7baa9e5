"""`asyncmq demo`: a tour, one command or a shell on a private Redis.

The tour runs real commands and shows their real output. The user's shell gets a prompt, an environment and
completion for the demo: it reads the user's start-up files first and then our file, because the user's files
may name another Redis or set the prompt.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asyncmq_cli.demo.environment import DemoEnvironment
from asyncmq_cli.demo.processes import (
    asyncmq_command,
    asyncmq_environment,
    exit_status,
    module_environment,
    run_child,
    run_for_people,
    with_redis,
)
from asyncmq_cli.errors import UsageProblem


def demo(shell: bool, command: Sequence[str]) -> int:
    """Run the demo, and return the exit status of the command, the shell or the tour.

    Raises UsageProblem for a shell together with a command, DemoUnavailable if the demo cannot run on this
    machine, and KeyboardInterrupt after everything has been cleaned up.
    """
    if shell and command:
        raise UsageProblem(
            "the demo opens a shell or runs a command, not both",
            hint="'asyncmq demo --shell', or 'asyncmq demo -- queues list'",
        )
    if not command and sys.stderr.isatty():
        sys.stderr.write("starting a private Redis and AsyncMQ workers…\n")
        sys.stderr.flush()
    with DemoEnvironment() as environment:
        url, directory = environment.url, environment.directory
        if shell:
            return _run_shell(url, directory)
        environ = asyncmq_environment(url, directory)
        if command:
            return run_child(asyncmq_command(command), environ)
        return tour(environ)


def _run_shell(url: str, directory: Path) -> int:
    environ = with_redis(url, directory)
    programs = _own_programs(directory)
    environ["PATH"] = os.pathsep.join([str(programs), environ.get("PATH") or os.defpath])
    argv, prepared = prepared_shell(os.environ.get("SHELL") or "/bin/sh", environ, directory)
    sys.stderr.write(f"demo: ASYNCMQ_REDIS_URL is {url}\n")
    sys.stderr.write("demo: try 'asyncmq overview'; TAB completes; 'exit' ends the demo\n")
    with _deaf_to_ctrl_c():
        # An interactive shell ignores SIGTERM.
        return run_child(argv, prepared, farewell=signal.SIGHUP)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C, which is meant for the programs in the shell, even if the shell is in our process group.

    This uses a handler, because the shell would inherit SIG_IGN.
    """
    before = signal.signal(signal.SIGINT, lambda signum, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _own_programs(directory: Path) -> Path:
    """Make a directory for PATH in which `asyncmq` is this program."""
    programs = directory / "bin"
    programs.mkdir()
    for name in ("asyncmq", "asyncmq-cli"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m asyncmq_cli "$@"\n')
        program.chmod(0o700)
    return programs


_QUEUE = "emails"
_LINES = 17
"""The lines of the screen for each step. The whole tour should fit on a page of 60 lines."""


_DIM, _BOLD = "2", "1"


class _StepFailed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def tour(environ: Mapping[str, str]) -> int:
    """Print the tour on stdout. Returns the exit status of the step that failed, or 0. `environ` names the
    Redis. Raises OutputClosed if the reader closes the pipe."""
    try:
        _remark("This is a private Redis with real AsyncMQ workers, removed at the end. What is wrong?")
        _step(environ, "overview")
        _remark("Why did jobs die?")
        _step(environ, "dlq", "groups", _QUEUE)
        cause = _cause_that_has_passed(environ)
        _remark("Show one of them, with its error and root cause.")
        _step(environ, "jobs", "show", _QUEUE, cause["sample_job_id"])
        _remark("The mail server is back: retry the jobs of that cause only.")
        why = ("--reason", "mail server is back")
        _step(environ, "dlq", "retry", _QUEUE, "--group", cause["id"][:6], *why, "--wait", "--yes", gap=False)
        _step(environ, "audit", "--limit", "3")
        _remark("Try it yourself: asyncmq demo --shell")
        sys.stdout.flush()
    except _StepFailed as failed:
        return failed.status
    return 0


def _remark(text: str) -> None:
    sys.stdout.write(_styled(f"# {text}", _DIM) + "\n")


def _styled(text: str, style: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain else f"\x1b[{style}m{text}\x1b[0m"


def _step(environ: Mapping[str, str], *arguments: str, gap: bool = True) -> None:
    sys.stdout.write(f"{_styled('$', _DIM)} {_styled(shlex.join(['asyncmq', *arguments]), _BOLD)}\n")
    status = run_for_people(asyncmq_command(arguments), environ, lines=_LINES)
    # Write before checking the status: if the reader has closed the pipe, that is not a failure of the step.
    sys.stdout.write("\n" if gap else "")
    sys.stdout.flush()
    if status:
        raise _StepFailed(status)


def _cause_that_has_passed(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """The failure group whose cause is over (the mail server is back), so that a retry helps."""
    arguments = ("dlq", "groups", _QUEUE, "--json")
    listed = subprocess.run(asyncmq_command(arguments), env=environ, stdout=subprocess.PIPE, check=False)
    if listed.returncode:
        raise _StepFailed(exit_status(listed.returncode))
    groups: Sequence[Mapping[str, Any]] = json.loads(listed.stdout)["groups"]
    passed = [group for group in groups if group["type"] == "ConnectionRefusedError"]
    return (passed or groups)[0]


PROMPT = "(asyncmq demo) "
_SET = ("PATH", "ASYNCMQ_REDIS_URL", "REDIS_URL", "ASYNCMQ_CONFIG")
_UNSET = ("ASYNCMQ_CONTEXT", "ASYNCMQ_SETTINGS_MODULE", "ASYNCMQ_READ_ONLY")

# Some themes set the prompt again before each line, so add ours before each line too.
_BASH = """\
[ -f ~/.bashrc ] && . ~/.bashrc
{environment}
. {completion}
_asyncmq_demo() {{ [[ $PS1 == *{prompt}* ]] || PS1={prompt}$PS1; }}
PROMPT_COMMAND=$PROMPT_COMMAND$'\\n'_asyncmq_demo
"""
_ZSHENV = """\
_asyncmq_home=$ZDOTDIR
{original}
[[ -f ${{ZDOTDIR:-$HOME}}/.zshenv ]] && . ${{ZDOTDIR:-$HOME}}/.zshenv
_asyncmq_theirs=${{ZDOTDIR-}}
ZDOTDIR=$_asyncmq_home
"""
_ZSHRC = """\
if [[ -n $_asyncmq_theirs ]]; then ZDOTDIR=$_asyncmq_theirs; else unset ZDOTDIR; fi
[[ -f ${{ZDOTDIR:-$HOME}}/.zshrc ]] && . ${{ZDOTDIR:-$HOME}}/.zshrc
{environment}
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -D; }}
. {completion}
_asyncmq_demo() {{ [[ $PROMPT == *{prompt}* ]] || PROMPT={prompt}$PROMPT; }}
autoload -Uz add-zsh-hook && add-zsh-hook precmd _asyncmq_demo
"""
_FISH = """\
{environment}
source {completion}
functions -q fish_prompt; and functions -c fish_prompt _asyncmq_demo_prompt
function fish_prompt
    printf %s {prompt}
    functions -q _asyncmq_demo_prompt; and _asyncmq_demo_prompt
end
"""


def prepared_shell(
    program: str, environ: Mapping[str, str], directory: Path
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and the environment of the shell. Its files are written into `directory`. An unknown
    shell gets the environment, with the prompt in PS1."""
    name = Path(program).name
    if name not in ("bash", "zsh", "fish"):
        return [program], {**environ, "PS1": f"{PROMPT}$ "}
    home = directory / "shell"
    home.mkdir()
    completion = home / "completion"
    # Get the completion script from the program, as a user would.
    shown = subprocess.run(
        asyncmq_command(["--show-completion", name]),
        env=module_environment(dict(environ)),
        stdout=subprocess.PIPE,
        check=False,
    )
    completion.write_bytes(shown.stdout)
    quoted = {
        "completion": shlex.quote(str(completion)),
        "prompt": shlex.quote(PROMPT),
        "environment": _environment(name, environ),
    }
    if name == "bash":
        return [program, "--rcfile", _written(home / "bashrc", _BASH, quoted), "-i"], environ
    if name == "fish":
        return [program, "--init-command", f"source {_written(home / 'config.fish', _FISH, quoted)}"], environ
    theirs = environ.get("ZDOTDIR")
    original = f"ZDOTDIR={shlex.quote(theirs)}" if theirs else "unset ZDOTDIR"
    _written(home / ".zshenv", _ZSHENV, {"original": original})
    _written(home / ".zshrc", _ZSHRC, quoted)
    return [program, "-i"], {**environ, "ZDOTDIR": str(home)}


def _environment(shell: str, environ: Mapping[str, str]) -> str:
    """The lines that set the demo's variables and unset variables that contradict them."""
    pairs = [(name, shlex.quote(environ[name])) for name in _SET if name in environ]
    if shell == "fish":
        # In fish, PATH is a list of words without colons.
        lines = [f"set -gx {name} {value}" for name, value in pairs]
        return "\n".join([*lines, f"set -e {' '.join(_UNSET)}"])
    return "\n".join([*(f"export {name}={value}" for name, value in pairs), f"unset {' '.join(_UNSET)}"])


def _written(path: Path, text: str, values: Mapping[str, str]) -> str:
    path.write_text(text.format(**values), encoding="utf-8")
    return shlex.quote(str(path))
