"""The protocol between the completion scripts and `asyncmq __complete SHELL …`.

This is a command and not an environment variable: another program called `asyncmq` would ignore the variable
and run the unfinished line.

- `bash WORDBREAKS LINE`: the line up to the cursor. Each line of the reply is a text to insert.
- `zsh WORD…` and `fish WORD…`: the words after the name of the program, the last one as typed so far.
  Each line of the reply is a value, a tab, and its description.
- `powershell`: the same, but the words are in `_ASYNCMQ_WORDS`, separated by line feeds, because Windows
  PowerShell drops empty words and damages quotes.

The exit status is FILES if the shell should also offer names of files. Errors print nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.completion import typed
from asyncmq_cli.completion.candidates import Answer, answer

if TYPE_CHECKING:
    from asyncmq_cli.models.program import Candidate

FILES = 10
WORDS_VARIABLE = "_ASYNCMQ_WORDS"
_LONGEST_ABOUT = 80
_MOST = 1000


def serve(build: Callable[[], Any], args: Sequence[str]) -> int:
    """Print the reply to one TAB on stdout. `build` makes the root command. Returns the exit status."""
    try:
        wants_files, lines = _answer(build, args)
    except Exception:
        # An error message would appear in the line that is being typed.
        if os.environ.get("ASYNCMQ_DEBUG"):
            raise
        return 1
    if wants_files:
        return FILES
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
    return 0


def _answer(build: Callable[[], Any], args: Sequence[str]) -> tuple[bool, list[str]]:
    shell, rest = args[0], list(args[1:])
    if shell == "bash":
        line = typed.read(rest[1], breaks=rest[0])
        if line.redirected:
            return True, []
        found = answer(build(), line.words[1:], line.current)
        return found.files, [line.insertion(one.value) for one in _harmless(found)]
    words = os.environ.get(WORDS_VARIABLE, "").split("\n") if shell == "powershell" else rest
    found = answer(build(), words[:-1], words[-1])
    candidates = _harmless(found)
    if shell == "fish":
        # The shell quotes what it inserts, but not a tilde, which would expand to a home directory.
        candidates = [one for one in candidates if not one.value.startswith("~")]
    return found.files, [f"{one.value}\t{_about(one)}" for one in candidates]


def _harmless(found: Answer) -> list[Candidate]:
    """The candidates without names that have control characters, which can be neither shown nor typed."""
    return [one for one in found.candidates if one.value and one.value.isprintable()][:_MOST]


def _about(one: Candidate) -> str:
    """The description as one short, safe line: job data may contain any characters."""
    from asyncmq_cli.output.redaction.redact import redact_text
    from asyncmq_cli.output.text.cutting import beginning_of
    from asyncmq_cli.output.text.escape import escape

    text = escape(" ".join(redact_text(one.about).split()))
    return beginning_of(text, _LONGEST_ABOUT)
