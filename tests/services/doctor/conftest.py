from __future__ import annotations

import pytest

from asyncmq_cli.services.doctor import scan


@pytest.fixture(autouse=True)
def short_grace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing moves in most of these tests, so that there is little to wait for between two passes."""
    if "real_grace" not in request.fixturenames:
        monkeypatch.setattr(scan, "GRACE", 0.02)


@pytest.fixture
def real_grace() -> None:
    """For a test in which workers are at work."""
