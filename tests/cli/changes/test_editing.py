"""The text of a job as an editor may leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncmq_cli.cli.changes.editing import by_hand
from asyncmq_cli.errors import UsageProblem

RECORD = {"kwargs": {"to": "old@b.c"}}


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISUAL", str(tmp_path / "editor"))
    return tmp_path / "editor"


def write(editor: Path, script: str) -> None:
    editor.write_text(f"#!/bin/bash\n{script}\n")
    editor.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('rm "$1"', "No such file"),
        ("printf '\\xe9' > \"$1\"", "can't decode"),
        ("exit 3", "Editing failed"),
        ("kill -9 $$", "Editing failed"),
        (': > "$1"', "the edited text is not JSON"),
        ("echo '[1]' > \"$1\"", "not a JSON object"),
    ],
)
def test_an_editor_that_fails_changes_nothing(script: str, why: str, editor: Path) -> None:
    write(editor, script)
    with pytest.raises(UsageProblem, match=f"(?s){why}.*nothing was changed"):
        by_hand(RECORD)


@pytest.mark.parametrize("value", ['"', "vim 'x", "/nope/editor"])
def test_an_editor_that_cannot_be_started_is_wrong_usage(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", value)
    with pytest.raises(UsageProblem, match="the editor failed: "):
        by_hand(RECORD)


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_no_change(editor: Path) -> None:
    write(editor, r"""sed -i -e 's/old@/new@/' -e 's/$/\r/' -e '1s/^/\xef\xbb\xbf/' "$1" """)
    edits, lines = by_hand(RECORD)
    assert len(edits) == 1 and [line for line in lines if line[:1] == "+"][1:] == ['+    "to": "new@b.c"']
