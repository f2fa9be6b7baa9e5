from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmq_cli.output.text.escape import _MARKS, escape, escape_json, escape_name, escape_reversibly
from tests.support.strategies import JSON_VALUES, same

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from("a\\\n\r\tnrtxuU0189fF\x00\x1b\x7f\x80\x85\xa0\xad\u200b\u202e\u2028\udc80\udcff\ud800😀")
)
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0\U0001d159" + "".join(
    map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)
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


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=UNSEEN)))
@example("漢字 Größe 😀 [red]\\n")
@example("ภาษาไทยที่นี่ עִבְרִית हिन्दी Tiếng Việt e\u0301")
def test_printable_text_is_unchanged(text: str) -> None:
    assert escape(text) == text


EVERY = [chr(code) for code in range(0x110000)]


def test_no_format_character_and_none_that_does_not_show_is_printed_raw() -> None:
    for char in [*(char for char in EVERY if unicodedata.category(char) == "Cf"), *UNSEEN]:
        assert escape(f"a{char}b") != f"a{char}b", ascii(char)
        document = json.dumps(f"a{char}b", ensure_ascii=False).encode()
        shown = escape_json(document)
        assert shown.isascii() and json.loads(shown) == f"a{char}b", ascii(char)


def test_marks_on_one_letter_are_escaped_from_the_fifth_on() -> None:
    one = re.compile(_MARKS.removesuffix("{5,}"))
    for char in EVERY:
        if unicodedata.category(char) in ("Mn", "Me"):
            assert one.fullmatch(char), ascii(char)
    assert escape("a" + "\u0301" * 6) == "a" + "\u0301" * 4 + "\\u0301" * 2
    shown = escape("a" + "\u0e47\u0489" * 20_000)
    assert sum(unicodedata.category(char) in ("Mn", "Me") for char in shown) == 4
    document = escape_json(json.dumps("a" + "\u0301" * 40_000, ensure_ascii=False).encode())
    assert document.decode().count("\u0301") == 4 and len(json.loads(document)) == 40_001


LOOK_ALIKE = (
    *("a", "a ", " a", "a\u00a0", "a\u3000", "a\\x20", "a\\u00a0", "a\u200b", "a\\u200b", "a\xad"),
    *(
        "é",
        "e\u0301",
        "\u0301e",
        "e\\u0301",
        "Å",
        "\u212b",
        "\ud83d",
        "\\ud83d",
        "\udcff",
        "\\xff",
        "\\\\xff",
    ),
    *(
        "a\ufe0f",
        "a\ufe0e",
        "a\u034f",
        "a\u115f",
        "a\U000e0041",
        "a\n",
        "a\\n",
        "a\\",
        "a\\\\",
        "a b",
        "a\u00a0b",
    ),
)


def test_names_that_look_alike_are_shown_differently() -> None:
    shown = {escape_name(name): name for name in LOOK_ALIKE}
    assert len(shown) == len(LOOK_ALIKE)
    seen = [unicodedata.normalize("NFC", text.strip().replace("\u3000", " ")) for text in shown]
    assert len(set(seen)) == len(LOOK_ALIKE), seen


@given(ANY_TEXT, ANY_TEXT)
def test_two_names_are_never_shown_as_one(one: str, other: str) -> None:
    assert (escape_name(one) == escape_name(other)) == (one == other)


@given(st.text("abcÄ漢./:-_ \\", min_size=1).map(str.strip))
def test_an_ordinary_name_is_shown_as_it_is(name: str) -> None:
    assume("\\\\" not in name)
    assert escape_name(name) == name


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
