"""A job as a tree."""

from __future__ import annotations

from asyncmq_cli.ui.jobs.tree import children, matches


def test_a_search_in_the_tree() -> None:
    data = {"kwargs": {"to": "Ana", "list": [{"name": "ana"}, 7]}, "args": ["x"]}
    assert list(matches(data, "ana")) == [("kwargs", "to"), ("kwargs", "list", 0, "name")]
    assert list(matches(data, "7")) == [("kwargs", "list", 1)]
    assert list(children("text")) == []
