"""Encode values as strictly valid JSON text that is safe on a terminal."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.output.text.escape import escape, escape_json

MAX_DEPTH = 200
"""Arrays and objects that are nested deeper are replaced by `TOO_DEEP`."""
TOO_DEEP = "[nested too deeply to be shown]"

_SURROGATE = re.compile("[\ud800-\udfff]")
_GREATEST_DOUBLE = int(sys.float_info.max)
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def encode(value: Any, *, indented: bool = False) -> bytes:
    """Strictly valid JSON in UTF-8 on one line, or on several if `indented`, without a newline at its end.

    JSON has no NaN and no infinities, so these become strings. An integer that is too large for a double
    becomes a string of its digits; other integers keep all their digits. A lone surrogate (half a character)
    becomes the text `\\ud83d`, and a byte that was not UTF-8 becomes the text `\\xff`, as on a terminal.
    """
    import orjson

    plain = value if _is_printable(value, MAX_DEPTH) else _printable(value, MAX_DEPTH)
    try:
        document = orjson.dumps(plain, option=orjson.OPT_INDENT_2 if indented else None)
    except TypeError:
        # The value has an integer above 64 bits or a lone surrogate, which orjson refuses.
        form: dict[str, Any] = {"indent": 2} if indented else {"separators": (",", ":")}
        document = json.dumps(_strict(plain), allow_nan=False, **form).encode("ascii")
    return escape_json(document)


def prints_unchanged(text: bytes) -> bool:
    """Whether this strictly valid JSON may be printed byte for byte: it is one line of ASCII without `\\u`
    escapes, and is not nested too deeply."""
    return (
        text.isascii()
        # Looking for one character takes a tenth of the time.
        and (b"\\" not in text or b"\\u" not in text)
        and b"\n" not in text
        and b"\r" not in text
        and b"\x7f" not in text
        and text.count(b"[") + text.count(b"{") < MAX_DEPTH
    )


def _strict(value: Any) -> Any:
    """The result of `_printable`, without values that some JSON readers refuse."""
    if isinstance(value, str):
        return _whole_characters(value)
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, inner in value.items():
            shown = _whole_characters(name)
            while shown in found or (shown != name and shown in value):
                # Two different keys of an object must not become equal.
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
    """Whether `_printable` would return an equal value. Usually it would, and this check is cheaper than a
    copy."""
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
