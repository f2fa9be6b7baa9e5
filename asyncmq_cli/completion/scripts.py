"""The script of each shell, which serves both names of the program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asyncmq_cli.completion.protocol import FILES, WORDS_VARIABLE
from asyncmq_cli.errors import UsageProblem

PROGRAMS = ("asyncmq", "asyncmq-cli")
SHELLS = {"bash": "asyncmq.bash", "zsh": "_asyncmq", "fish": "asyncmq.fish", "powershell": "asyncmq.ps1"}
"""Each shell and the name of its script's file."""
_SAME = {"pwsh": "powershell"}


def script(shell: str) -> str:
    """The whole text of a script."""
    text = (Path(__file__).parent / "shells" / SHELLS[shell]).read_text(encoding="utf-8")
    complete = "\n".join(f"complete -c {name} -f -k -a '(__asyncmq_complete)'" for name in PROGRAMS)
    for mark, meaning in (
        ("@PROGRAMS@", " ".join(PROGRAMS)),
        ("@LIST@", ", ".join(PROGRAMS)),
        ("@COMPLETE@", complete),
        ("@FILES@", str(FILES)),
        ("@WORDS@", WORDS_VARIABLE),
    ):
        text = text.replace(mark, meaning)
    return text


def shell_of(name: str) -> str:
    """The shell of this name; an empty name means the shell in use. Raises UsageProblem."""
    import shellingham

    known = ", ".join(SHELLS)
    if not name:
        try:
            name = shellingham.detect_shell()[0]
        except (shellingham.ShellDetectionFailure, OSError) as exc:
            raise UsageProblem("cannot detect the shell in use", hint=f"name it: {known}") from exc
    shell = _SAME.get(name.lower(), name.lower())
    if shell not in SHELLS:
        raise UsageProblem(f"no completion for the shell {name!r}", hint=f"choose from {known}")
    return shell


def write_all(directory: Path) -> Iterator[Path]:
    """Write every script, as the repository's `completions/` holds them."""
    directory.mkdir(exist_ok=True)
    for shell, name in SHELLS.items():
        path = directory / name
        path.write_text(script(shell), encoding="utf-8")
        yield path
