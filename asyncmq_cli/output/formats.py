"""The output formats of `-o`."""

from __future__ import annotations

from typing import Literal

Shape = Literal["table", "tabs", "csv", "json", "ndjson", "names"]
"""The kinds of output: a table, tab- or comma-separated rows, one document, one object per line, or ids."""

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
"""The kind of output, by the value of `-o`. YAML is a document in another notation."""

EVERY_FORMAT = tuple(SHAPES)
WITHOUT_NAMES = tuple(name for name in SHAPES if name != "name")
"""The formats of lists that have no ids."""
DOCUMENTS = ("table", "json", "jsonl", "yaml")
"""The formats of output that has no rows, such as a single line or a screen."""
