"""Write a document as JSON on one line, as indented JSON, as YAML, or as the result of a jq program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.escape import escape

if TYPE_CHECKING:
    from typing import Protocol

    class _Program(Protocol):
        def input_text(self, text: str) -> Iterator[Any]: ...


class JqProgram:
    """A compiled jq expression."""

    def __init__(self, expression: str) -> None:
        """Compile the expression. Raises UsageProblem if jq refuses it, or if the package jq is missing."""
        try:
            import jq
        except ImportError as exc:
            raise UsageProblem(
                "--jq needs the package jq, which is not installed",
                hint="pip install 'asyncmq-cli[jq]', or send --json to the program jq",
            ) from exc
        try:
            self._program: _Program = jq.compile(expression)
        except ValueError as exc:
            raise UsageProblem(f"--jq: {_in_one_line(str(exc))}") from exc

    def results(self, document: bytes) -> Iterator[Any]:
        """The values that the expression yields for a document. Raises UsageProblem if it fails on the
        document."""
        try:
            yield from self._program.input_text(document.decode())
        except ValueError as exc:
            raise UsageProblem(f"--jq: {_in_one_line(str(exc))}") from exc


def _in_one_line(message: str) -> str:
    """The first line of jq's error. The lines after it repeat the expression and count the errors."""
    return message.removeprefix("jq: error: ").split("\n", 1)[0].rstrip(":")


class DocumentForm(Struct, frozen=True):
    """How a document is written. `indented` writes it on several lines; `raw` writes texts that jq returns
    without quotes."""

    yaml: bool = False
    indented: bool = False
    jq: JqProgram | None = None
    raw: bool = False
    for_terminal: bool = False

    @property
    def is_one_line(self) -> bool:
        """Whether a document is JSON on one line, which can be written piece by piece."""
        return not (self.yaml or self.indented or self.jq)

    def pieces(self, document: Any) -> Iterator[bytes]:
        """The printed text of the document in pieces, including the line break at its end."""
        if self.yaml:
            yield yaml_text(document)
        elif self.jq is None:
            yield encode(document, indented=self.indented) + b"\n"
        else:
            yield from self.filtered(encode(document))

    def filtered(self, document: bytes) -> Iterator[bytes]:
        """The results of the jq program for an encoded document, as printed lines."""
        for result in self.jq.results(document) if self.jq is not None else ():
            if self.raw and isinstance(result, str):
                shown = escape(result, keep="\n\t") if self.for_terminal else result
                yield shown.encode("utf-8", "replace") + b"\n"
            else:
                yield encode(result, indented=self.indented) + b"\n"


def yaml_text(document: Any) -> bytes:
    """The document as YAML, with exactly the values of its JSON. Texts with several lines are written as
    blocks."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, _yaml_string)
    # Convert to JSON first, which replaces values that only Python has.
    plain = json.loads(encode(document))
    text: str = yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    # Characters that are escaped here are in double quotes: `_yaml_string` chooses that style for such texts.
    return "".join(escape(line, keep="\n") for line in text.splitlines(keepends=True)).encode()


def _yaml_string(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_yaml_style(text))


def _yaml_style(text: str) -> str | None:
    if escape(text, keep="\n") != text:
        return '"'
    if "\n" in text:
        return "|"
    # PyYAML quotes what YAML 1.1 reads as a number; YAML 1.2 reads more texts as numbers, such as 1e3, which
    # may be an id.
    return "'" if _like_a_number(text) else None


def _like_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:2].lower() in ("0x", "0o")
    return True


def member_by_member(members: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    """The pieces of a document on one line. Members that are iterators are written item by item."""
    for number, (name, value) in enumerate(members):
        yield (b"," if number else b"{") + encode(name) + b":"
        if not isinstance(value, Iterator):
            yield encode(value)
            continue
        yield b"["
        for place, item in enumerate(value):
            yield (b"," if place else b"") + encode(item)
        yield b"]"
    yield b"}\n"
