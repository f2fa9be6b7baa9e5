"""The formats that `-o` chooses."""

from __future__ import annotations

from typing import Literal

Shape = Literal["table", "tabs", "csv", "json", "ndjson", "names"]
"""What a command prints: rows for people, rows with a separator, one document, an object a line, or ids."""

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
"""For what has no ids."""
DOCUMENTS = ("table", "json", "jsonl", "yaml")
"""For a line or a screen that has no rows."""
