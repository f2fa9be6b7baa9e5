from __future__ import annotations

import pytest

from asyncmq_cli.services.doctor import scan


@pytest.fixture(autouse=True)
def short_grace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short wait between the two passes, because nothing changes meanwhile in most of these tests."""
    if "real_grace" not in request.fixturenames:
        monkeypatch.setattr(scan, "GRACE", 0.02)


@pytest.fixture
def real_grace() -> None:
    """The normal wait between the two passes, for tests with running workers."""
