"""The formats that `-o` chooses."""

from __future__ import annotations

from typing import Literal

Shape = Literal["table", "tabs", "csv", "json", "ndjson", "names"]
"""The kinds of output: a table, separated rows, one document, an object per line, or ids."""

SHAPES: dict[str, Shape] = {
    "table": "table",
    "wide": "table",
    "tsv": "tabs",
    "csv": "csv",
    "json": "json",
    "jsonl": "ndjson",
    "yaml": "json",
    "name": "names",
}
"""By the value of `-o`. YAML is a document in another notation."""

EVERY_FORMAT = tuple(SHAPES)
WITHOUT_NAMES = tuple(name for name in SHAPES if name != "name")
"""For lists without ids."""
DOCUMENTS = ("table", "json", "jsonl", "yaml")
"""For output without rows: a line or a screen."""
