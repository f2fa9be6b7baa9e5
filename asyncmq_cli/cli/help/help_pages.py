"""The pages that `--help` prints: examples first, then arguments, options and commands in groups."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from asyncmq_cli.exit_status import ExitStatus

GLOBAL = "Global options"
LINE, HELP_ALL = "asyncmq.line", "asyncmq.help_all"
"""Keys in a context's `meta`: the words of the line before `--`, and whether to print the full help."""
_OPTIONS = "Options"
_EXAMPLE = re.compile(r"^ *((?:\* )*asyncmq .*)$", re.MULTILINE)

FAULTS = (
    "Report a bug in the issue tracker of asyncmq-cli. Include the output of 'asyncmq --version --json', and "
    "of the command run again with ASYNCMQ_DEBUG=1."
)
ENVIRONMENT = (
    ("ASYNCMQ_REDIS_URL, REDIS_URL", "The URL of Redis; the first one that is set is used."),
    ("ASYNCMQ_CREDENTIALS", "Use a cloud token as the password: aws:CACHE:REGION or azure."),
    ("ASYNCMQ_CONTEXT", "The context, a table [context.NAME] of the configuration file."),
    ("ASYNCMQ_PASSWORD_FILE", "The file that holds the password of Redis."),
    ("ASYNCMQ_PASSWORD_COMMAND", "A program that prints the password of Redis, run without a shell."),
    ("ASYNCMQ_SETTINGS_MODULE", "The application's settings, if nothing else says where Redis is."),
    ("ASYNCMQ_READ_ONLY", "If set to 1, every change is refused."),
    ("ASYNCMQ_ACTOR", "Your name in the audit trail. [default: user@host]"),
    (
        "ASYNCMQ_CONFIG",
        "The configuration file, with redis_url, password_file, password_command, timeout, actor, color and "
        "contexts. [default: ~/.config/asyncmq/config.toml]",
    ),
    ("ASYNCMQ_HEARTBEAT_TTL", "The workers' heartbeat_ttl, if Redis does not show it. [default: 30s]"),
    ("ASYNCMQ_AUDIT_MAXLEN", "How many events the audit trail keeps. [default: 100000]"),
    ("ASYNCMQ_MAX_PAYLOAD", "The largest job to show, after decompression. [default: 64MB]"),
    ("ASYNCMQ_COMPLETION_TIMEOUT", "How long TAB completion waits for Redis. [default: 300ms]"),
    ("NO_COLOR", "If set, print without colour."),
)


def write_options(params: Sequence[Any], ctx: Any, formatter: Any) -> None:
    """Write the arguments, then the options under their headings, and last the global options."""
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], _OPTIONS: []}
    for param in params:
        record = param.get_help_record(ctx)
        if record is None:
            continue
        if param.param_type_name == "argument":
            sections["Arguments"].append((param.metavar.rstrip("."), record[1]))
            continue
        title = GLOBAL if param.name == "help" else param.rich_help_panel or _OPTIONS
        sections.setdefault(title, []).append(record)
    last = sections.pop(GLOBAL, [])
    for title, records in sections.items():
        _write(formatter, title, records)
    if ctx.parent is None or ctx.meta.get(HELP_ALL) or len(last) == 1:
        _write(formatter, GLOBAL, last)
    else:
        _write_names(formatter, last)


def _write_names(formatter: Any, records: Sequence[tuple[str, str]]) -> None:
    """Write only the names of the global options, so that the command's own options are easier to find."""
    names = [word.rstrip(",") for name, _ in records for word in name.split() if word.startswith("--")]
    text = f"{GLOBAL}: {', '.join(names)}; --help --all explains them."
    formatter.write_paragraph()
    folded = textwrap.fill(text, formatter.width, subsequent_indent="  ", break_on_hyphens=False)
    formatter.write(f"{folded}\n")


def write_commands(entries: Iterable[tuple[str, str, bool]], title: str, formatter: Any) -> None:
    """Write the nouns, and the other commands under the heading `title`."""
    nouns: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name, text, is_noun in entries:
        (nouns if is_noun else others).append((name, text))
    _write(formatter, "Nouns", nouns)
    _write(formatter, title, others)


def write_examples(commands: Iterable[Any], formatter: Any) -> None:
    """Write the first example of each verb."""
    found = [next(_examples(command), None) for command in commands if not command.hidden]
    lines = [line for line in found if line is not None]
    if lines:
        # Indent like the examples of a single command, which are part of its help text.
        with formatter.indentation(), formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def write_environment(formatter: Any) -> None:
    """Write the environment variables, and how to report a bug."""
    _write(formatter, "Environment", list(ENVIRONMENT))
    _write(formatter, "Exit status", [(f"{row}", row.meaning.replace("`", "'")) for row in ExitStatus])
    with formatter.section("Faults"):
        formatter.write_text(FAULTS)


def summary(command: Any) -> str:
    """The full first sentence of a command's help."""
    text: str = command.get_short_help_str(limit=1000)
    return text


def _examples(command: Any) -> Iterator[str]:
    return (found[1] for found in _EXAMPLE.finditer(command.help or ""))


def _write(formatter: Any, title: str, records: Sequence[tuple[str, str]]) -> None:
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
