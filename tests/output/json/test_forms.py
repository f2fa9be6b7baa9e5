from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.output.json.forms import yaml_text
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.escape import escape

ODD = ["1e3", "0o17", "no", "\n", "a\nb\n\n", " a\nb", "\u202ex", "e" + "\u0301" * 9]
texts = st.text() | st.sampled_from(ODD)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(st.dictionaries(texts, documents))
def test_yaml_holds_exactly_what_the_json_holds(document: dict[str, Any]) -> None:
    written = yaml_text(document).decode()
    assert yaml.safe_load(written) == json.loads(encode(document))
    assert all(line == escape(line) for line in written.split("\n"))


@pytest.mark.parametrize(
    ("text", "written"), [("1e3", "a: '1e3'"), ("x", "a: x"), ("l\nm", "a: |-\n  l\n  m")]
)
def test_yaml_is_read_alike_by_readers_of_1_1_and_1_2(text: str, written: str) -> None:
    assert yaml_text({"a": text}).decode() == f"{written}\n"
