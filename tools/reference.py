"""`python -m tools.reference` writes docs/commands.md, the man page, tables of other pages and a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.audit.actions import ACTIONS
from asyncmq_cli.models.monitoring.checks import PROBES, ProbeKind
from asyncmq_cli.models.program import Command, Noun, Parameter
from tools import commandtree, layers
from tools.manpage import CONVENTIONS, manual
from tools.pages import with_table

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ROOT / "docs" / "commands.md"
ERRORS, KEYS, MONITORING = (ROOT / "docs" / f"{name}.md" for name in ("errors", "keys", "monitoring"))
MANUAL = ROOT / "docs" / "man" / "asyncmq.1"

_HEAD = """\
# Commands

This page is made from the program (`make reference`); `asyncmq NOUN VERB --help` says the same. {conventions}
"""


def pages() -> dict[Path, str]:
    """Each file, and what is to be in it."""
    return {
        COMMANDS: commands_page(),
        MANUAL: manual(),
        ERRORS: errors_page(),
        KEYS: keys_page(),
        layers.PICTURE: layers.picture(),
        MONITORING: monitoring_page(),
    }


def errors_page() -> str:
    rows = [(str(int(status)), status.meaning) for status in ExitStatus]
    return with_table(ERRORS.read_text(encoding="utf-8"), "Status", rows)


def monitoring_page() -> str:
    always = [
        (f"`{probe.name}`", "warning" if probe.always.critical is None else "critical", _probe(probe))
        for probe in PROBES
        if probe.always is not None
    ]
    others = [
        (f"`{probe.option} {'DURATION' if probe.is_duration else 'N'}`", probe.meaning)
        for probe in PROBES
        if probe.always is None
    ]
    page = with_table(MONITORING.read_text(encoding="utf-8"), "Probe", always)
    return with_table(page, "Option", others)


def _probe(probe: ProbeKind) -> str:
    return probe.meaning + (f" `{probe.option}`" if probe.option else "")


def keys_page() -> str:
    rows = [
        (
            f"`{each.name}`",
            ", ".join(f"`{source}`" for source in each.sources),
            f"`{each.command}`" + (f": {each.note}" if each.note else ""),
        )
        for each in ACTIONS
    ]
    return with_table(KEYS.read_text(encoding="utf-8"), "Action", rows)


def commands_page() -> str:
    head = _HEAD.format(conventions=CONVENTIONS)
    return "\n".join([head, *_contents(), *_global_options(), *_completion(), *_all()])


def _contents() -> Iterator[str]:
    for one in commandtree.tree():
        if isinstance(one, Noun):
            verbs = " · ".join(_link(command.path[-1], command.name) for command in one.commands)
            yield f"- {_link(one.name, one.name)}: {verbs}"
        else:
            yield f"- {_link(one.name, one.name)}"
    yield ""


def _link(text: str, heading: str) -> str:
    return f"[{text}](#{heading.replace(' ', '-')})"


def _global_options() -> Iterator[str]:
    yield "## Global options"
    yield ""
    yield "Every command but `demo` takes these, before the noun or after the verb."
    yield ""
    yield from _table("Option", commandtree.root().global_options)


def _completion() -> Iterator[str]:
    yield "## Completion"
    yield ""
    yield "These stand alone, without a command. [Completions](completions.md) tells the rest."
    yield ""
    yield from _table("Option", commandtree.root().options)


def _all() -> Iterator[str]:
    for one in commandtree.tree():
        if isinstance(one, Noun):
            yield from (f"## {one.name}", "", *one.text, "")
            for command in one.commands:
                yield from _command(command, "###")
        else:
            yield from _command(one, "##")


def _command(command: Command, heading: str) -> Iterator[str]:
    yield from (f"{heading} {command.name}", "", "```text", command.usage, "```", "")
    for paragraph in command.text:
        yield from (_plain(paragraph), "")
    if command.examples:
        yield from ("```text", *command.examples, "```", "")
    yield from _table("Argument", command.arguments)
    yield from _table("Option", command.options)


def _table(title: str, parameters: Sequence[Parameter]) -> Iterator[str]:
    """Columns in which nothing stands are left out."""
    if not parameters:
        return
    columns = [(title, [f"`{_cell(each.name)}`" for each in parameters])]
    columns += [
        ("Meaning", [_plain(_cell(each.text)) + (" Required." * each.required) for each in parameters])
    ]
    columns += [("Default", [_default(each) for each in parameters])]
    columns += [("Environment", [_names(each.env) for each in parameters])]
    shown = [(name, cells) for name, cells in columns if any(cells)]
    yield _row(name for name, _ in shown)
    yield _row("---" for _ in shown)
    for cells in zip(*(cells for _, cells in shown), strict=True):
        yield _row(cells)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _default(parameter: Parameter) -> str:
    if parameter.default is None:
        return ""
    value, _, otherwise = parameter.default.partition("; ")
    return f"`{_cell(value)}`" + (f"; {_plain(_cell(otherwise))}" if otherwise else "")


def _names(env: str | None) -> str:
    return ", ".join(f"`{name}`" for name in (env or "").split(", ") if name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(text: str) -> str:
    """Help is plain text: what Markdown would take for a sign is none."""
    for sign in "\\`*_[]<>":
        text = text.replace(sign, f"\\{sign}") if sign != "\\" else text
    return text


def main() -> None:
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
