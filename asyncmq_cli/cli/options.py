"""Make and parse options: choices, numbers, `-o` and the other format options, and the columns for
`--fields`.

`params` declares the options that commands share.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import typer

from asyncmq_cli import __version__
from asyncmq_cli.cli.help.help_pages import LINE
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.output.formats import SHAPES

if TYPE_CHECKING:
    from asyncmq_cli.output.tables.columns import Column

FIELDS = "--fields"
STDIN_HELP = "- reads one per line from standard input"
_SPELLED = re.compile(r"(?:\./)+-")


def literal(word: Any) -> Any:
    """The name that a word stands for: `./-` is the name `-`, as with files, and `././-` is the name
    `./-`."""
    return word[2:] if isinstance(word, str) and _SPELLED.fullmatch(word) else word


def argument(metavar: str, help_text: str = "", **given: Any) -> Any:
    return typer.Argument(metavar=metavar, help=help_text or None, show_default=False, **given)


def option(
    name: str,
    metavar: str,
    help_text: str,
    *short: str,
    title: str | None = None,
    choices: Sequence[str] = (),
    **given: Any,
) -> Any:
    """An option that takes a value. `title` is its heading in the help; `choices` are all allowed values. For
    a number, pass `number` or `whole_number` as the callback."""
    return typer.Option(
        name,
        *short,
        metavar=metavar,
        help=help_text,
        rich_help_panel=title,
        **_one_of(choices),
        **given,
    )


def _one_of(choices: Sequence[str]) -> dict[str, Any]:
    """A callback that refuses other values, and completion of these. Typer's own choices need pydantic, which
    is slow to import."""

    def check(given: Any) -> Any:
        for value in given if isinstance(given, list | tuple) else [given]:
            if value is not None:
                require_choice(value, choices)
        return given

    check.choices = choices  # type: ignore[attr-defined]  # for `help --json`
    return {"callback": check, **completed_by(choices)} if choices else {}


def completed_by(choices: Sequence[str]) -> dict[str, Any]:
    return {"autocompletion": lambda: list(choices)}


def context_names() -> list[str]:
    """The contexts of the configuration file, for completion."""
    from asyncmq_cli import contexts

    return list(contexts.read(os.environ).contexts)


def context_lists(incomplete: str) -> list[str]:
    """Completion of --context a,b: the words already typed, followed by each context that is not among
    them."""
    before, comma, begun = incomplete.rpartition(",")
    taken = before.split(",")
    names = [name for name in context_names() if name.startswith(begun) and name not in taken]
    return [f"{before}{comma}{name}" for name in names]


# Python refuses to convert more digits.
_DIGITS = re.compile(r"[+-]?[0-9]{1,4300}")


def require_event_id(event: str | None, option: str = "--after") -> None:
    """Raises UsageProblem unless `event` is None or the id of a stream entry."""
    if event is not None and not re.fullmatch(r"\d{1,20}-\d{1,20}", event):
        raise UsageProblem(
            f"{option} is not the id of an event: {event!r}",
            hint="such as 1795908272470-0, the key id in JSON",
        )


def whole_number(least: int | None = None, most: int | None = None) -> Callable[..., Any]:
    """A callback that parses a whole number from `least` to `most`, and raises UsageProblem for anything
    else."""

    def read(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = int(value) if _DIGITS.fullmatch(value.strip()) else None
        if found is None or (least is not None and found < least) or (most is not None and found > most):
            bounds = [
                f"{word} {bound}" for word, bound in (("from", least), ("to", most)) if bound is not None
            ]
            raise _no_number(ctx, param, " ".join(("a whole number", *bounds)), value)
        return found

    return read


def number(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError as exc:
        raise _no_number(ctx, param, "a number", value) from exc


def _no_number(ctx: typer.Context, param: Any, kind: str, value: str) -> UsageProblem:
    name = param.opts[0] if param.param_type_name == "option" else str(param.metavar).strip("[].")
    return UsageProblem(
        f"{name} must be {kind}, not {value!r}", hint=f"'{ctx.command_path} --help' shows how"
    )


def list_columns(ctx: typer.Context, value: str | None) -> str | None:
    """A callback for --fields: without a value, print the names of the columns and exit, even if other
    arguments are missing."""
    if value != "":
        return value
    path = [str(each.command.name) for each in (ctx.parent, ctx) if each is not None and each.parent]
    sys.stdout.write("".join(f"{name}\n" for name in fields_of(path, ctx.params.get("state"))))
    raise typer.Exit


def print_version(ctx: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    if "--json" in ctx.meta.get(LINE, ()):
        from asyncmq_cli.output.json.documents import version
        from asyncmq_cli.output.json.text import encode

        sys.stdout.write(encode(version(__version__)).decode() + "\n")
    else:
        sys.stdout.write(f"asyncmq-cli {__version__}\n")
    raise typer.Exit


_SHORT = {"json": "json", "ndjson": "jsonl"}
"""Options that are the same as `-o FORMAT`."""
_FOR_ROWS = ("table", "tabs", "csv")


def asked_format(flags: Mapping[str, Any]) -> str | None:
    """The format that `-o`, or an option that means the same, asks for; None if none is given, so that the
    output decides. Raises UsageProblem for options that exclude each other."""
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
    """Raises UsageProblem unless `value` is one of the choices; the hint names the nearest one."""
    if value not in choices:
        from asyncmq_cli.cli.help import suggestions

        raise UsageProblem(
            f"{value!r} is not one of {', '.join(choices)}", hint=suggestions.of_value(value, choices)
        )


def wants_json(args: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, guessed without parsing it: errors of parsing are then JSON
    too."""
    words = list(args)[: list(args).index("--")] if "--" in args else list(args)
    values = {word.partition("=")[2] for word in words if word.startswith("--output=")}
    values |= {word[2:].removeprefix("=") for word in words if word.startswith("-o")}
    values |= {value for word, value in pairwise(words) if word in ("-o", "--output")}
    asked = any(word in ("--json", "--ndjson", "--jq") or word.startswith("--jq=") for word in words)
    return asked or not values.isdisjoint(("json", "jsonl"))


def fields_of(command: Sequence[str], state: str | None) -> list[str]:
    """The names of the columns of the list that `command` (its words) prints. `state` is the value of
    `--state`, or None."""
    from asyncmq_cli.models.failures import NO_GROUPS
    from asyncmq_cli.output.tables import audit, failure_groups, repeatables, tasks, views
    from asyncmq_cli.output.text import metrics

    columns: dict[tuple[str, ...], Sequence[Column[Any]]] = {
        ("queues", "list"): views.QUEUES,
        ("queues", "show"): views.QUEUES,
        ("jobs", "list"): views.jobs(state or "waiting", show_secrets=False, with_queue=True),
        ("dlq", "list"): views.jobs(None, show_secrets=False, with_queue=True),
        ("dlq", "groups"): failure_groups.groups(NO_GROUPS, show_secrets=False),
        ("tasks", "list"): tasks.tasks(show_secrets=False),
        ("tasks", "top"): tasks.top_tasks(show_secrets=False),
        ("repeatables", "list"): repeatables.definitions(show_secrets=False),
        ("repeatables", "next"): repeatables.coming_runs(now=0.0, utc=False, show_secrets=False),
        ("workers", "list"): views.WORKERS,
        ("metrics", "history"): metrics.HISTORY,
        ("audit", "list"): audit.EVENTS,
    }
    return [column.field for column in columns.get(tuple(command), ())]


_ANY_VALUE = r"[^-]|$"


def _duration() -> str:
    from asyncmq_cli.durations import LOOKS_LIKE_ONE

    return rf"(?i:{LOOKS_LIKE_ONE})$|$"


# For each option: its value if none is given, and the pattern that a value begins with. It is made and
# compiled only if the option is given.
_ALONE: dict[str, tuple[str, str | Callable[[], str]]] = {
    "--watch": ("2", r"\d|$"),
    "--wait": ("10m", _duration),
    FIELDS: ("", _ANY_VALUE),
    "--install-completion": ("", _ANY_VALUE),
    "--show-completion": ("", _ANY_VALUE),
}


def with_values(args: Sequence[str]) -> list[str]:
    """The same words, with a value inserted after each option that has none. Words after `--` are not
    options. `--fields` without a value moves to the end, because the columns depend on options such as
    `--state`, and Typer reads options from left to right.
    """
    end = args.index("--") if "--" in args else len(args)
    whole: list[str] = []
    last: list[str] = []
    for place, word in enumerate(args[:end]):
        if word not in _ALONE:
            whole.append(word)
            continue
        meaning, value = _ALONE[word]
        pattern = value if isinstance(value, str) else value()
        has_value = place + 1 < end and re.match(pattern, args[place + 1])
        (last if word == FIELDS and not has_value else whole).append(
            word if has_value else f"{word}={meaning}"
        )
    return [*whole, *last, *args[end:]]
