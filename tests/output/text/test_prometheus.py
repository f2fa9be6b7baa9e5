"""What Prometheus gets of very many queues is made piece by piece."""

from __future__ import annotations

import pytest

from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.text import prometheus


def test_the_text_in_pieces_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = [QueueStats(f"q-{number}", waiting=number, workers=0) for number in range(5)]
    whole = b"".join(prometheus.exposition(stats))
    monkeypatch.setattr(prometheus, "_ROWS_AT_A_TIME", 2)
    assert b"".join(prometheus.exposition(stats)) == whole
    assert whole.count(b"# HELP asyncmq_queue_jobs ") == 1
    assert b"# TYPE asyncmq_queue_paused gauge" in b"".join(prometheus.exposition([]))
