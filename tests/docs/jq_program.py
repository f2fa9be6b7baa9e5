"""A jq for machines that have none: the same library, with the options that the documents use."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jq


def values(text: str) -> Iterator[Any]:
    """The JSON documents in a text, one after the other."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()


def main(arguments: Sequence[str], text: str) -> tuple[list[str], int]:
    """The output and the exit status."""
    flags = "".join(word[1:] for word in arguments if word[:1] == "-" and word[:2] != "--")
    program, *files = [word for word in arguments if word[:1] != "-"]
    if files:
        text = "".join(Path(name).read_text() for name in files)
    found = list(values(text))
    results = [
        result
        for document in ([found] if "s" in flags else found)
        for result in jq.compile(program).input_value(document)
    ]
    status = 1 if "e" in flags and (not results or results[-1] in (None, False)) else 0
    return [_shown(value, raw="r" in flags, compact="c" in flags) for value in results], status


def _shown(value: Any, *, raw: bool, compact: bool) -> str:
    if raw and isinstance(value, str):
        return value
    if compact:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, ensure_ascii=False, indent=2)


if __name__ == "__main__":
    lines, code = main(sys.argv[1:], "" if sys.stdin.isatty() else sys.stdin.read())
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.exit(code)
