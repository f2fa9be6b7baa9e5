"""Each main command prints its expected screen. `python -m tests.screens` writes them again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncmq_cli.demo.server import PrivateRedis
from tests.screens.rendering import COMMANDS, KEPT, SIZES, Production, rendered


@pytest.fixture(scope="module")
def shop() -> Iterator[Production]:
    with PrivateRedis() as server:
        yield Production(server.url)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_screen_is_as_it_was_read(name: str, shop: Production) -> None:
    kept = {folder: (KEPT / folder / f"{name}.txt").read_text() for folder in (*SIZES, "pipe")}
    assert rendered(shop, name) == kept


@pytest.mark.parametrize("size", SIZES)
def test_no_line_is_wider_than_its_terminal(size: str) -> None:
    columns, _ = SIZES[size]
    for file in (KEPT / size).iterdir():
        assert [line for line in file.read_text().splitlines()[1:] if len(line) > columns] == []
