"""The arguments and options that commands share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from asyncmq_cli.cli.help import help_pages
from asyncmq_cli.cli.options import (
    FIELDS,
    STDIN_HELP,
    argument,
    completed_by,
    context_lists,
    context_names,
    list_columns,
    literal,
    option,
    print_version,
    whole_number,
)
from asyncmq_cli.models.values import COLOR_CHOICES
from asyncmq_cli.output.formats import EVERY_FORMAT

FILTERS = "Filters"
"""The heading of the filters in --help."""


AnyQueueArg = Annotated[
    str | None, argument("[QUEUE]", "Name of the queue; all queues if left out.", callback=literal)
]
QueueOrJobArg = Annotated[
    str | None, argument("[QUEUE]", "Name of the queue; without it, all queues are searched.")
]
QueueArg = Annotated[str, argument("QUEUE", "Name of the queue.", callback=literal)]
QueuesArg = Annotated[list[str], argument("QUEUE...", f"Names of queues; {STDIN_HELP}.")]
AnyQueuesArg = Annotated[
    list[str] | None, argument("[QUEUE...]", f"Names of queues; {STDIN_HELP}. [default: all queues]")
]
JobArg = Annotated[str | None, argument("ID", "Id of the job.")]
JobsArg = Annotated[list[str] | None, argument("[ID...]", f"Ids of jobs; {STDIN_HELP}.")]
ReasonOption = Annotated[str | None, option("--reason", "TEXT", "Why, for the audit trail.")]
SinceOption = Annotated[
    str | None,
    option("--since", "AGE", "No older than AGE: 90s, 2h, 7d, or since a date.", title=FILTERS),
]
_GLOB = ("--queue", "GLOB", "Only the queues whose names match, such as 'mail-*'; may be repeated.")
GlobsOption = Annotated[list[str] | None, option(*_GLOB, title=FILTERS)]
BackupOption = Annotated[
    str | None,
    option(
        "--backup",
        "FILE",
        "First write the jobs to this new file, whole and unredacted, for 'jobs restore'.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
WaitOption = Annotated[
    str | None,
    option(
        "--wait",
        "[DURATION]",
        "Wait until the retried jobs have ended, at most DURATION (default 10m), and report the outcome. "
        "The exit status is 1 if one failed again or no worker works on it, 124 if the wait timed out.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

Options = Mapping[str, tuple[Any, Any]]
"""The annotation and the default of each option, by its name in `Session.flags`."""


def _text(*names: str, **given: Any) -> tuple[Any, Any]:
    return Annotated[str | None, option(*names, **given)], None


def _flag(name: str, help_text: str, *short: str, **given: Any) -> tuple[Any, Any]:
    return Annotated[bool, typer.Option(name, *short, help=help_text, **given)], False


def output_option(formats: Sequence[str], title: str | None = None) -> Options:
    """The option `-o` for a command with these formats."""
    text = (
        f"{', '.join(formats[:-1])} or {formats[-1]}. [default: table on a terminal, else tab-separated rows]"
    )
    names = " name: only the id of every match, one per line, for another command." * ("name" in formats)
    options = {"output": _text("--output", "FORMAT", text + names, "-o", choices=formats)}
    return options if title is None else _under(title, **options)


def _under(title: str, **options: tuple[Any, Any]) -> Options:
    """The same options, with this heading in --help."""
    for annotation, _ in options.values():
        annotation.__metadata__[0].rich_help_panel = title
    return options


OUTPUT = "Output"
_HOW_MANY = "Limits"


def _where_names() -> list[str]:
    from asyncmq_cli.services.jobs.where_fields import field_names

    return list(field_names())


# Sets of options that only some commands have.
_SETS: dict[str, Options] = {
    "ndjson": _under(
        OUTPUT, ndjson=_flag("--ndjson", "Print every match, not one page: one JSON object per line.")
    ),
    "fields": _under(
        OUTPUT,
        fields=_text(
            FIELDS,
            "[A,B,…]",
            "Show only these columns, in this order. Without a value, list their names.",
            callback=list_columns,
        ),
    ),
    "header": _under(OUTPUT, header=_flag("--header", "Also print the column names in a pipe.")),
    "secrets": _under(
        OUTPUT,
        show_secrets=_flag("--show-secrets", "Print secrets as they are instead of [redacted]."),
    ),
    "full": _under(OUTPUT, full=_flag("--full", "On a terminal, print long values and names in full.")),
    "watch": _under(
        OUTPUT,
        watch=_text("--watch", "[SECONDS]", "Refresh every SECONDS (default 2) until q or Ctrl-C."),
    ),
    "queues": _under(FILTERS, globs=(Annotated[list[str] | None, option(*_GLOB)], None)),
    "filters": _under(
        FILTERS,
        q=_text("--q", "TEXT", "Jobs with this text anywhere in their JSON."),
        task=_text("--task", "TEXT", "Jobs whose task contains TEXT."),
        job_id=_text("--job-id", "TEXT", "Jobs whose id contains TEXT."),
        where=_text(
            "--where",
            "EXPR",
            "Jobs for which this is true: 'kwargs.tenant == \"acme\" and retries >= 3 and age > 2h'; "
            "see docs/where.md.",
            autocompletion=_where_names,
        ),
        group=_text(
            "--group",
            "ID",
            "Jobs of this failure group: its id from 'dlq groups', or the beginning of the id.",
        ),
        older_than=_text(
            "--older-than",
            "AGE",
            "Jobs older than 90s, 2h, 7d or 2w (a number alone is seconds), or from before a date: "
            "2026-03-01, today, yesterday (local time unless it ends in Z or an offset). For dead jobs, the "
            "time of death is used.",
        ),
        newer_than=_text(
            "--newer-than", "AGE", "Jobs no older than AGE (a number alone is seconds), or from that date on."
        ),
    ),
    "bulk": _under(
        _HOW_MANY,
        all_jobs=_flag("--all", "Every job in the state, instead of ids or a filter."),
        limit=(
            Annotated[
                int | None,
                option("--limit", "N", "At most N jobs, oldest first.", callback=whole_number(1)),
            ],
            None,
        ),
        percent=_text("--percent", "P", "Act on this share of the matches, oldest first: 10 or 10%."),
        rate=_text("--rate", "RATE", "At most this many jobs per second or minute: 50/s, 300/m."),
    ),
    "abort": _under(
        _HOW_MANY,
        abort_above=_text(
            "--abort-above",
            "SHARE",
            "With --rate: stop once more than SHARE of the retried jobs failed again: 20%.",
        ),
    ),
}


def _confirm(needs: str) -> Options:
    text = f'Confirm with the name of the context; a script needs it{needs} if the guard is "confirm".'
    return {"confirm": _text("--confirm", "NAME", text, autocompletion=context_names)}


# For every command that changes something, with and without --yes.
_SETS["guard"] = _confirm(" beside --yes")
_SETS["guard alone"] = _confirm("")
_SETS["pace"] = {"rate": _SETS["bulk"]["rate"]}
# For changes that always need an age filter.
_SETS["aged"] = {
    "older_than": (_SETS["filters"]["older_than"][0], inspect.Parameter.empty),
    "limit": _SETS["bulk"]["limit"],
    **_SETS["pace"],
}
_SETS["list"] = {**_SETS["ndjson"], **_SETS["fields"], **_SETS["header"], **_SETS["full"]}


def extra_options(*sets: str | Options) -> Options:
    """The given options, and those of the named sets: `list` for lists, `secrets` for commands that print job
    data, `filters` and `bulk` for changes of many jobs."""
    found: dict[str, tuple[Any, Any]] = {}
    for each in sets:
        found |= _SETS[each] if isinstance(each, str) else each
    return found


VERSION_HELP = "Print the version; with --json, all versions that a bug report needs."
_TIMEOUT = (
    "--timeout",
    "DURATION",
    "How long to wait for an answer from Redis: 5 (seconds), 500ms. [default: 5]",
)

GLOBAL_OPTIONS: Options = _under(
    help_pages.GLOBAL,
    redis_url=_text(
        "--redis-url",
        "URL",
        "Where Redis is: redis://, rediss://, unix:// or redis-sentinel://. "
        "[env: ASYNCMQ_REDIS_URL, REDIS_URL; default: redis://localhost:6379/0]",
    ),
    context=_text(
        "--context",
        "NAME",
        "Which Redis to use: a table [context.NAME] of the configuration file. Commands that read take "
        "several: a,b,c. "
        "[env: ASYNCMQ_CONTEXT; default: that of 'context use']",
        autocompletion=context_lists,
    ),
    all_contexts=_flag("--all-contexts", "Run on all contexts at once; for commands that only read."),
    settings=_text(
        "--settings",
        "NAME",
        "The application's AsyncMQ settings, such as my.app:Settings: use its address of Redis. The "
        "application's Python imports them. [env: ASYNCMQ_SETTINGS_MODULE]",
    ),
    python=_text(
        "--python",
        "FILE",
        "The Python that imports --settings. [default: that of the active virtual environment]",
    ),
    timeout=_text(*_TIMEOUT),
    read_only=_flag("--read-only", "Refuse every change before it reaches Redis. [env: ASYNCMQ_READ_ONLY]"),
    actor=_text("--actor", "NAME", "Your name in the audit trail. [env: ASYNCMQ_ACTOR; default: user@host]"),
    json=_flag("--json", "Print one JSON document; the same as -o json."),
    **output_option(EVERY_FORMAT),
    jq=_text("--jq", "EXPR", "Filter the JSON with this jq expression."),
    raw=_flag("--raw", "With --jq, print strings without quotes.", "-r"),
    utc=_flag("--utc", "Show times in UTC instead of ages."),
    color=_text(
        "--color",
        "WHEN",
        "auto, always or never. [env: NO_COLOR; default: auto]",
        **completed_by(COLOR_CHOICES),
    ),
    version=_flag("--version", VERSION_HELP, callback=print_version, is_eager=True),
)
# Short names that monitoring systems expect.
_SETS["monitor"] = _under(
    "Nagios options",
    timeout=_text(*_TIMEOUT, "-t"),
    version=_flag("--version", VERSION_HELP, "-V", callback=print_version, is_eager=True),
)
