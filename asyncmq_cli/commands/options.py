"""Each shared option, declared once, and how a command is registered.

The global options are taken before the noun as well as after the verb. Typer has no word for
that, so `command` adds them to the signature of every command; what was given later wins.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from asyncmq_cli import __version__
from asyncmq_cli.commands.tree import CONTEXT, FIELDS, WATCH, Command
from asyncmq_cli.config import COLOR_CHOICES
from asyncmq_cli.errors import Interrupted, UsageProblem

QueueArg = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.", show_default=False)]
QueuesArg = Annotated[
    list[str],
    typer.Argument(
        metavar="QUEUE...",
        help="Names of queues; - reads them from standard input, one a line.",
        show_default=False,
    ),
]
JobArg = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.", show_default=False)]
JobsArg = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID...]",
        help="Ids of jobs; - reads them from standard input, one a line.",
        show_default=False,
    ),
]
ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why; goes into the audit entry.", show_default=False),
]
BackupOption = Annotated[
    str | None,
    typer.Option(
        "--backup",
        metavar="FILE",
        help="Write the jobs into this new file first, whole and unredacted; 'jobs restore' puts them back.",
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def one_of(choices: Sequence[str]) -> Callable[[Any], Any]:
    """A check of an option's value, or of each of its values; `choices` is also what TAB offers.
    Choices stay plain texts all the way down."""

    def check(given: Any) -> Any:
        for value in given if isinstance(given, list | tuple) else [given]:
            one(value)
        return given

    def one(value: str | None) -> None:
        if value is not None and value not in choices:
            from difflib import get_close_matches

            near = get_close_matches(value, choices, n=1)
            raise UsageProblem(
                f"{value!r} is not one of {', '.join(choices)}",
                hint=f"did you mean {near[0]}?" if near else None,
            )

    return offering(choices, check)


def offering(
    choices: Sequence[str], check: Callable[[Any], Any] = lambda value: value
) -> Callable[[Any], Any]:
    """A check under which TAB offers these values; alone, it lets all others through too."""

    def checked(value: Any) -> Any:
        return check(value)

    checked.choices = tuple(choices)  # type: ignore[attr-defined]
    return checked


def _require_name(value: str | None) -> str | None:
    if value not in (None, "name"):
        raise UsageProblem(
            f"--output must be name, not {value!r}",
            hint="--json prints a document, --ndjson an object a line, and --fields chooses columns",
        )
    return value


def _text(name: str, metavar: str, help_text: str, *short: str, callback: Any = None) -> tuple[Any, Any]:
    option = typer.Option(
        name, *short, metavar=metavar, help=help_text, show_default=False, callback=callback
    )
    return Annotated[str | None, option], None


def _flag(name: str, help_text: str) -> tuple[Any, Any]:
    return Annotated[bool, typer.Option(name, help=help_text)], False


# What only some commands have, in the sets in which they come; `command` adds those it is told to.
_EXTRA_OPTIONS: dict[str, dict[str, tuple[Any, Any]]] = {
    "ndjson": {"ndjson": _flag("--ndjson", "Print one JSON object a line: every match, not one page.")},
    "fields": {
        FIELDS[2:]: _text(FIELDS, "[A,B,…]", "Only these columns, in this order. Alone, it lists them."),
    },
    "names": {
        "output": _text(
            "--output",
            "FORMAT",
            "name: only ids, one a line, for the next pipe; every match.",
            "-o",
            callback=offering(("name",), _require_name),
        ),
    },
    "secrets": {"show_secrets": _flag("--show-secrets", "Print what looks like a secret, not [redacted].")},
    "watch": {
        "watch": _text(WATCH, "[SECONDS]", "Draw it anew every 2 seconds, or so many, until q or Ctrl-C."),
    },
    "filters": {
        "q": _text("--q", "TEXT", "Text anywhere in the job's JSON."),
        "task": _text("--task", "TEXT", "A part of the task's name."),
        "job_id": _text("--job-id", "TEXT", "A part of the job's id."),
        "group": _text("--group", "ID", "A group of failures, as 'dlq groups' names it."),
        "older_than": _text(
            "--older-than",
            "AGE",
            "Older than that: 90s, 2h, 7d (a bare number is seconds), or from before a date: 2026-03-01, "
            "local time unless it ends in Z or an offset. Dead jobs by their death.",
        ),
        "newer_than": _text(
            "--newer-than", "AGE", "At most that old (a bare number is seconds), or from that date on."
        ),
    },
    "bulk": {
        "all_jobs": _flag("--all", "Every job of the list, instead of ids or a filter."),
        "limit": (
            Annotated[
                int | None,
                typer.Option(
                    "--limit", metavar="N", min=1, help="At most N, the oldest first.", show_default=False
                ),
            ],
            None,
        ),
        "percent": _text("--percent", "P", "So much of what matches, the oldest first: 10 or 10%."),
        "rate": _text("--rate", "RATE", "At most so many a second or minute: 50/s, 300/m."),
    },
    "abort": {
        "abort_above": _text(
            "--abort-above", "SHARE", "With --rate: stop when more of the retried jobs failed again, as 20%."
        ),
    },
}
_EXTRA_OPTIONS["pace"] = {"rate": _EXTRA_OPTIONS["bulk"]["rate"]}
_TOGETHER = {"list": ("ndjson", "fields", "names")}

# The titles under which a command's help shows them.
_TITLES = {
    "filters": "Filters",
    "bulk": "How many, and how fast",
    "abort": "How many, and how fast",
    **dict.fromkeys(("ndjson", "fields", "names", "secrets", "watch"), "Output"),
}
for _name, _title in _TITLES.items():
    for _annotation, _ in _EXTRA_OPTIONS[_name].values():
        _annotation.__metadata__[0].rich_help_panel = _title


def print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"asyncmq-cli {__version__}\n")
        raise typer.Exit


GLOBAL_OPTIONS: dict[str, tuple[Any, Any]] = {
    "redis_url": (
        Annotated[
            str | None,
            typer.Option(
                "--redis-url",
                metavar="URL",
                help="Where Redis is: redis://, rediss:// or unix://. "
                "[env: ASYNCMQ_REDIS_URL, REDIS_URL; default: redis://localhost:6379/0]",
                show_default=False,
            ),
        ],
        None,
    ),
    "timeout": (
        Annotated[
            str | None,
            typer.Option(
                "--timeout",
                metavar="DURATION",
                help="How long Redis may take to answer: seconds, or as 500ms. [default: 5]",
                show_default=False,
            ),
        ],
        None,
    ),
    "actor": (
        Annotated[
            str | None,
            typer.Option(
                "--actor",
                metavar="NAME",
                help="Who acts, for the audit trail. [env: ASYNCMQ_ACTOR; default: user@host]",
                show_default=False,
            ),
        ],
        None,
    ),
    "json": (Annotated[bool, typer.Option("--json", help="Print one JSON document.")], False),
    "utc": (Annotated[bool, typer.Option("--utc", help="Show times as dates in UTC, not as ages.")], False),
    "color": (
        Annotated[
            str | None,
            typer.Option(
                "--color",
                metavar="WHEN",
                callback=offering(COLOR_CHOICES),
                help="auto, always or never. [env: NO_COLOR; default: auto]",
                show_default=False,
            ),
        ],
        None,
    ),
    "version": (
        Annotated[
            bool,
            typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
        ],
        False,
    ),
}


CONTEXT_PARAMETER = inspect.Parameter(
    "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
)


def command(
    group: typer.Typer, name: str, *extras: str, without: Sequence[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that takes a Session and its own arguments as `name`.

    `extras` names the further sets of options that the session takes account of: `list` for a
    list, `secrets` where job data is printed, `filters` and `bulk` for what hits many jobs. `without`
    names global options that the command takes only before its name, because it has its own.
    """
    sets = [name for extra in extras for name in _TOGETHER.get(extra, (extra,))]
    own_sets = {name: option for extra in sets for name, option in _EXTRA_OPTIONS[extra].items()}
    every = {**own_sets, **GLOBAL_OPTIONS}
    shared = {name: option for name, option in every.items() if name not in without}

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def invoke(ctx: typer.Context, **given: Any) -> Any:
            from asyncmq_cli.commands.session import open_session

            flags = {**(ctx.obj or {}), **take(given, shared)}
            try:
                with open_session(flags) as session:
                    return function(session, **given)
            except KeyboardInterrupt as exc:
                raise Interrupted("interrupted") from exc

        # Not by get_type_hints: on Python 3.10 that wraps what has a default of None in Optional,
        # and Typer then no longer sees what the annotation says.
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        if "list" in extras:
            _title_filters(parameters)
        dress(
            invoke,
            function,
            [
                CONTEXT_PARAMETER,
                *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters),
                *parameters_of(shared),
            ],
        )
        group.command(name, cls=Command, context_settings=CONTEXT)(invoke)
        return function

    return register


_FILTERS = ("action", "status", "queue", "job_id", "by", "since", "q")


def _title_filters(parameters: Sequence[inspect.Parameter]) -> None:
    """What a list narrows by stands together, whether it is shared or the list's own."""
    for parameter in parameters:
        for told in getattr(parameter.annotation, "__metadata__", ()):
            if parameter.name in _FILTERS and isinstance(told, typer.models.OptionInfo):
                told.rich_help_panel = _TITLES["filters"]


def parameters_of(options: Mapping[str, tuple[Any, Any]]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]


def take(given: dict[str, Any], options: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Move these options out of `given`; those that were not set are left out."""
    taken = {name: given.pop(name, default) for name, (_, default) in options.items()}
    return {name: value for name, value in taken.items() if value is not None and value is not False}


def dress(invoke: Any, function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Give the wrapper the face that Typer reads a command's options from."""
    invoke.__name__, invoke.__doc__, invoke.__module__ = (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    invoke.__signature__ = inspect.Signature(parameters)
    invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


COMMAND_LINE, FILES, COLUMNS = "command line", "files", "columns"
_KINDS = {
    "FILE": FILES,
    "QUEUE": "queues",
    "job_id": "jobs",
    "job_ids": "jobs",
    "repeatable_ids": "repeatables",
    "group": "groups",
    "task": "tasks",
    "command": COMMAND_LINE,
    FIELDS[2:]: COLUMNS,
}
NEEDS_A_BEGINNING = ("jobs",)


def kind_of(param: Any) -> str | None:
    """What a parameter's value is one of, for TAB: by what it is called in the help, or by its own
    name. A new option that is called like these is completed like these."""
    return _KINDS.get(str(param.metavar).strip("[].")) or _KINDS.get(param.name)
