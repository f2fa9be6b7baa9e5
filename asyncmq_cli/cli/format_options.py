"""`-o` and the options beside it, and the columns of each list for `--fields`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.output.formats import SHAPES

if TYPE_CHECKING:
    from asyncmq_cli.output.tables.columns import Column


_SHORT = {"json": "json", "ndjson": "jsonl"}
"""Options that are short for `-o FORMAT`."""
_FOR_ROWS = ("table", "tabs", "csv")


def asked_format(flags: Mapping[str, Any]) -> str | None:
    """The value of `-o`, whichever option said it; None where the output decides. Raises UsageProblem for
    options that exclude each other."""
    named = {f"--{name}": form for name, form in _SHORT.items() if name in flags}
    if "output" in flags:
        named["--output"] = flags["output"]
    if "jq" in flags and not named:
        named["--jq"] = "json"
    if len(set(named.values())) > 1:
        raise UsageProblem(f"{' and '.join(named)} exclude each other")
    form = next(iter(named.values()), None)
    shape = "tabs" if form is None else SHAPES[form]
    if "jq" in flags and form not in ("json", "jsonl"):
        raise UsageProblem(f"--jq and -o {form} exclude each other", hint="--jq works on JSON")
    if "raw" in flags and "jq" not in flags:
        raise UsageProblem("--raw needs --jq")
    for option in ("fields", "header"):
        if option in flags and shape not in _FOR_ROWS:
            hint = "--fields is for tables and pipes; choose from JSON with --jq"
            raise UsageProblem(
                f"{next(iter(named))} and --{option} exclude each other",
                hint=hint if option == "fields" and shape != "names" else None,
            )
    return form


def require_choice(value: str, choices: Sequence[str]) -> None:
    """Raises UsageProblem, with the nearest choice, for any other value."""
    if value not in choices:
        from asyncmq_cli.cli.help import suggestions

        raise UsageProblem(
            f"{value!r} is not one of {', '.join(choices)}", hint=suggestions.of_value(value, choices)
        )


def wants_json(args: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, guessed without parsing it; errors are then JSON too."""
    words = list(args)[: list(args).index("--")] if "--" in args else list(args)
    values = {word.partition("=")[2] for word in words if word.startswith("--output=")}
    values |= {word[2:].removeprefix("=") for word in words if word.startswith("-o")}
    values |= {value for word, value in pairwise(words) if word in ("-o", "--output")}
    asked = any(word in ("--json", "--ndjson", "--jq") or word.startswith("--jq=") for word in words)
    return asked or not values.isdisjoint(("json", "jsonl"))


def fields_of(command: Sequence[str], state: str | None) -> list[str]:
    """The names of a list's columns, by the words of its command. `state` is that of `--state`, or None."""
    from asyncmq_cli.output.tables import failure_groups, tasks, views
    from asyncmq_cli.output.text import metrics

    columns: dict[tuple[str, ...], Sequence[Column[Any]]] = {
        ("queues", "list"): views.QUEUES,
        ("queues", "show"): views.QUEUES,
        ("jobs", "list"): views.jobs(state or "waiting", show_secrets=False, with_queue=True),
        ("dlq", "list"): views.jobs(None, show_secrets=False, with_queue=True),
        ("dlq", "groups"): failure_groups.groups(show_secrets=False),
        ("tasks", "list"): tasks.tasks(show_secrets=False),
        ("tasks", "top"): tasks.top_tasks(show_secrets=False),
        ("repeatables", "list"): views.repeatables(show_secrets=False),
        ("repeatables", "next"): views.coming_runs(now=0.0, utc=False, show_secrets=False),
        ("workers", "list"): views.WORKERS,
        ("metrics", "history"): metrics.HISTORY,
        ("audit", "list"): views.AUDIT,
    }
    return [column.field for column in columns.get(tuple(command), ())]
