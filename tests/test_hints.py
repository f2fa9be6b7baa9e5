"""The hints of storage's errors: one row for each code and cause, and an error's own hint wins."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import asyncmq_cli
from asyncmq_cli import hints
from asyncmq_cli.errors import ChangeRefused, WrongType

STORAGE = Path(asyncmq_cli.__file__).parent / "storage"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (WrongType(b"queue:q:dlq"), "another program may have written it: inspect it with redis-cli TYPE"),
        (ChangeRefused("job_too_large", "", cause="backup"), "it can be removed without --backup"),
        (
            ChangeRefused("job_moved", "", facts={"queue": "a b", "job_id": "x"}),
            "read it again with `asyncmq jobs show 'a b' x`",
        ),
        (ChangeRefused("job_moved", "", hint="its own"), "its own"),
        (ChangeRefused("unknown_code", ""), None),
    ],
)
def test_a_hint_comes_from_the_error_or_from_its_code(error: ChangeRefused, hint: str | None) -> None:
    assert hints.hint_for(error) == hint


def test_storage_names_no_command_of_the_program() -> None:
    for path in STORAGE.rglob("*.py"):
        texts = [
            node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)
        ]
        assert not [text for text in texts if isinstance(text, str) and "'asyncmq " in text], path


def test_every_cause_that_storage_names_has_a_hint() -> None:
    causes = {cause for _, cause in hints._HINTS}
    for path in STORAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "cause" and isinstance(node.value, ast.Constant):
                assert node.value.value in causes, path
