"""The stand-in for jq gives the same output as jq."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.jq_program import main


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        ([".a"], '{"a": {"b": 1}}', (['{\n  "b": 1\n}'], 0)),
        (["-c", ".a"], '{"a": {"b": [1, 2]}}', (['{"b":[1,2]}'], 0)),
        (["-r", ".[]"], '["x", 1]\n["é"]', (["x", "1", "é"], 0)),
        (["-s", "map(.n) | max"], '{"n": 1}\n{"n": 3}\n', (["3"], 0)),
        (["-r", ".[] | [.t, .n] | @tsv"], '[{"t": "a", "n": 2}]', (["a\t2"], 0)),
        (["-e", ".ok"], '{"ok": false}', (["false"], 1)),
        (["-e", ".ok"], '{"ok": true}', (["true"], 0)),
        (["--unbuffered", ".n"], "", ([], 0)),
    ],
)
def test_the_stand_in_answers_like_jq(
    arguments: list[str], text: str, expected: tuple[list[str], int]
) -> None:
    assert main(arguments, text) == expected


def test_the_stand_in_reads_files(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text('{"n": 7}')
    assert main([".n", str(path)], "") == (["7"], 0)
