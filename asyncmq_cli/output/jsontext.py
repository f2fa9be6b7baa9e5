"""Values to JSON text that any JSON reader takes, and any terminal survives."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.output.escape import escape_json

_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def encode(value: Any) -> bytes:
    """One line of UTF-8 JSON, without a newline at its end.

    NaN and the infinities, which JSON has no word for, are written as strings.
    """
    import orjson

    try:
        plain = _without_nonfinite(value)
        try:
            document = orjson.dumps(plain)
        except TypeError:
            # An integer above 64 bits, a lone surrogate, or a nesting deeper than orjson goes.
            document = json.dumps(plain, separators=(",", ":")).encode("ascii")
    except RecursionError:
        document = json.dumps("[nested too deeply to be shown]").encode("ascii")
    return escape_json(document)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, Mapping):
        return {name: _without_nonfinite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(inner) for inner in value]
    return value
