"""The completion script of each shell, and its installation in the folder in which the shell searches for it.

One script serves both names of the program. The user's start-up files are never changed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from asyncmq_cli.completion.protocol import FILES, WORDS_VARIABLE
from asyncmq_cli.errors import AdminError, UsageProblem

PROGRAMS = ("asyncmq", "asyncmq-cli")
SHELLS = {"bash": "asyncmq.bash", "zsh": "_asyncmq", "fish": "asyncmq.fish", "powershell": "asyncmq.ps1"}
"""By shell, the name of its script's file."""
_SAME = {"pwsh": "powershell"}


def script(shell: str) -> str:
    """The text of a shell's script."""
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
    """The shell with this name; "" stands for the shell in use. Raises UsageProblem."""
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
    """Write all scripts, as in the repository's folder `completions/`. Yields their paths."""
    directory.mkdir(exist_ok=True)
    for shell, name in SHELLS.items():
        path = directory / name
        path.write_text(script(shell), encoding="utf-8")
        yield path


_OURS = "--show-completion"


class NotInstalled(AdminError):
    """The script could not be written, or its file belongs to another program."""

    code = "not_installed"


class Installed(Struct, frozen=True):
    """The result of an installation: the script's files, those that were written now, and the steps that are
    left to the user."""

    files: Sequence[Path]
    written: Sequence[Path]
    next_steps: Sequence[str]


def install(shell: str, environ: Mapping[str, str] | None = None) -> Installed:
    """Write the script. Nothing is changed if it is already installed. Raises NotInstalled."""
    env = os.environ if environ is None else environ
    text = script(shell)
    files = _places(shell, env)
    # Check all files before writing the first: all or nothing.
    written = [path for path in files if _needs(path, text)]
    for path in written:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise NotInstalled(f"cannot write {path}: {exc.strerror}") from exc
    return Installed(files, written, _next_steps(shell, files[0]))


def _needs(path: Path, text: str) -> bool:
    try:
        there = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError) as exc:
        raise NotInstalled(f"cannot read {path}: {exc}") from exc
    if there != text and _OURS not in there:
        raise NotInstalled(
            f"{path} belongs to another program, and was left as it is",
            hint="move it away, or print the script with --show-completion and put it where you like",
        )
    return there != text


def _places(shell: str, env: Mapping[str, str]) -> list[Path]:
    try:
        home = Path(env.get("HOME") or Path.home())
    except RuntimeError as exc:
        raise NotInstalled("there is no home directory to install it in", hint="set HOME") from exc
    data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "bash":
        # In this folder, the package bash-completion searches for a file with the program's name.
        base = Path(env.get("BASH_COMPLETION_USER_DIR") or data / "bash-completion")
        return [base / "completions" / name for name in PROGRAMS]
    if shell == "fish":
        base = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
        return [base / "fish" / "completions" / f"{name}.fish" for name in PROGRAMS]
    if shell == "zsh":
        return [data / "zsh" / "site-functions" / SHELLS[shell]]
    return [data / "asyncmq-cli" / SHELLS[shell]]


def _next_steps(shell: str, path: Path) -> list[str]:
    quoted = shlex.quote(str(path))
    if shell == "bash":
        return [
            "New shells use it if the package bash-completion is set up.",
            f"Otherwise add this line to ~/.bashrc:  source {quoted}",
        ]
    if shell == "zsh":
        return [
            "Add these lines to ~/.zshrc, in this order:",
            f"  fpath=({shlex.quote(str(path.parent))} $fpath)",
            "  autoload -Uz compinit && compinit",
        ]
    if shell == "fish":
        return ["New shells use it."]
    single = str(path).replace("'", "''")
    return ["Add this line to the file that $PROFILE names:", f"  . '{single}'"]
