"""Values to JSON text that every strict reader takes and that is safe on a terminal."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.output.text.escape import escape, escape_json

MAX_DEPTH = 200
"""Arrays and objects nested deeper than this are shown as `TOO_DEEP`."""
TOO_DEEP = "[nested too deeply to be shown]"

_SURROGATE = re.compile("[\ud800-\udfff]")
_GREATEST_DOUBLE = int(sys.float_info.max)
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def encode(value: Any, *, indented: bool = False) -> bytes:
    """One line of UTF-8 JSON that every strict reader takes, without a newline at its end; more lines if
    `indented`.

    NaN and the infinities, which JSON has no word for, are strings. So is an integer that no double
    can hold: its digits. Half a character (a lone surrogate) is the text `\\ud83d`, and a byte that was
    not UTF-8 the text `\\xff`, as on a terminal. Other integers stay digits, however many.
    """
    import orjson

    plain = value if _is_printable(value, MAX_DEPTH) else _printable(value, MAX_DEPTH)
    try:
        document = orjson.dumps(plain, option=orjson.OPT_INDENT_2 if indented else None)
    except TypeError:
        # An integer above 64 bits, or a lone surrogate.
        form: dict[str, Any] = {"indent": 2} if indented else {"separators": (",", ":")}
        document = json.dumps(_strict(plain), allow_nan=False, **form).encode("ascii")
    return escape_json(document)


def prints_unchanged(text: bytes) -> bool:
    """Whether this JSON, which every strict reader takes, may be printed byte for byte: it is one line of
    ASCII, in which nothing is spelt by its code, and not nested too deeply."""
    return (
        text.isascii()
        and b"\\u" not in text
        and b"\n" not in text
        and b"\r" not in text
        and b"\x7f" not in text
        and text.count(b"[") + text.count(b"{") < MAX_DEPTH
    )


def _strict(value: Any) -> Any:
    """What `_printable` gives, without what some readers refuse."""
    if isinstance(value, str):
        return _whole_characters(value)
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            shown = _whole_characters(name)
            while shown in found or (shown != name and shown in value):
                # Two keys of one object must not become equal.
                shown = f"\\{shown}"
            found[shown] = _strict(inner)
        return found
    if isinstance(value, list):
        return [_strict(inner) for inner in value]
    if type(value) is int and abs(value) > _GREATEST_DOUBLE:
        return str(value)
    return value


def _whole_characters(text: str) -> str:
    return _SURROGATE.sub(lambda found: escape(found[0]), text)


def _is_printable(value: Any, levels: int) -> bool:
    """Whether `_printable` would return an equal value: mostly it would, and a copy costs more."""
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        from orjson import Fragment

        return type(value) is Fragment
    for inner in value:
        kind = type(inner)
        if kind is str or kind is int or kind is bool or inner is None:
            continue
        if kind is float:
            if not math.isfinite(inner):
                return False
        elif levels == 1 or not _is_printable(inner, levels - 1):
            return False
    return True


def _printable(value: Any, levels: int) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, Mapping):
        if levels == 0:
            return TOO_DEEP
        return {name: _printable(inner, levels - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return TOO_DEEP if levels == 0 else [_printable(inner, levels - 1) for inner in value]
    return value
