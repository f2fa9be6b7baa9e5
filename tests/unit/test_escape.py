from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.output.escape import escape, escape_json, escape_reversibly
from tests.unit.strategies import JSON_VALUES, same

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from("a\\\n\r\tnrtxuU0189fF\x00\x1b\x7f\x80\x85\xa0\xad\u200b\u202e\u2028\udc80\udcff\ud800😀")
)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"


@given(ANY_TEXT)
@example(BIDI)
@example(ZERO_WIDTH)
def test_an_escaped_text_is_one_line_of_characters_that_only_print(text: str) -> None:
    shown = escape(text)
    assert len(shown.splitlines()) <= 1
    # Control and format characters, surrogates, unassigned ones, separators of lines and paragraphs.
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
    assert not set(shown) & set(BIDI + ZERO_WIDTH)
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M"])))
@example("漢字 Größe 😀 [red]\\n")
def test_what_only_prints_is_left_alone(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\x85", "\\u0085"),
        ("\udc80\udc85\udcff", "\\x80\\x85\\xff"),
        ("\u202e\ud800", "\\u202e\\ud800"),
        ("\uffff\U00010fff\U000e0041", "\\uffff\\U00010fff\\U000e0041"),
    ],
)
def test_each_kind_of_character_has_its_own_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_caller_can_keep_the_line_ends_that_it_means() -> None:
    assert escape("a\nb\x1b", keep="\n") == "a\nb\\x1b"


_ESCAPE = re.compile(r"\\(?:x(..)|u(.{4})|U(.{8})|(.))")


def unescape(shown: str) -> str:
    def one(found: re.Match[str]) -> str:
        byte, short, long, named = found.groups()
        if named:
            return {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}[named]
        code = int(byte or short or long, 16)
        return chr(code + 0xDC00 if byte and code >= 0x80 else code)

    return _ESCAPE.sub(one, shown)


@given(ANY_TEXT)
@example("\x85\udc85")
@example("\\x1b\x1b\\\n\\n")
def test_a_program_can_undo_the_reversible_escapes(text: str) -> None:
    assert unescape(escape_reversibly(text)) == text


UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{BIDI}{ZERO_WIDTH}]")


@given(JSON_VALUES, st.sampled_from([None, 1]))
@example({"\x7f\u2028": "\x9b31m\u202e\ufeff\\\x85"}, None)
def test_escaped_json_means_the_same_and_holds_nothing_that_a_terminal_obeys(
    value: Any, indent: int | None
) -> None:
    plain = json.dumps(value, ensure_ascii=False, indent=indent)
    document = re.sub("[\ud800-\udfff]", "?", plain)
    shown = escape_json(document.encode()).decode()
    assert same(json.loads(shown), json.loads(document))
    assert not UNSAFE.search(shown.replace("\n", ""))


@given(st.text().map(lambda text: json.dumps(text, ensure_ascii=True).encode()))
def test_json_that_is_safe_already_is_left_alone(document: bytes) -> None:
    if b"\x7f" not in document:
        assert escape_json(document) == document
