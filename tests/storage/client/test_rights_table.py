"""The table of rights contains every change, so `doctor --self` reports all of them."""

from __future__ import annotations

from asyncmq_cli.models.audit.actions import ACTIONS
from asyncmq_cli.storage.client.rights import _SCRIPTS


def test_every_change_has_its_scripts() -> None:
    assert {action.command for action in ACTIONS} - set(_SCRIPTS) == set()
