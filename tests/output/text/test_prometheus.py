"""The text for Prometheus is written in pieces, for very many queues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from asyncmq_cli.models.monitoring.snapshots import ExporterState, Snapshot
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.text import prometheus


def test_the_text_in_pieces_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = [QueueStats(f"q-{number}", waiting=number, workers=0) for number in range(5)]
    whole = b"".join(prometheus.exposition(stats))
    monkeypatch.setattr(prometheus, "_ROWS_AT_A_TIME", 2)
    assert b"".join(prometheus.exposition(stats)) == whole
    assert whole.count(b"# HELP asyncmq_queue_jobs ") == 1
    assert b"# TYPE asyncmq_queue_paused gauge" in b"".join(prometheus.exposition([]))


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_the_exporters_text_in_pieces_is_the_text(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stats = [QueueStats(f"q-{number}", waiting=number, workers=0, due=1) for number in range(5)]
    for state in (ExporterState(), ExporterState(Snapshot(0.0, stats, workers=[], problems=[]), reads=3)):
        encode, _ = choose_encoder(accept)
        monkeypatch.setattr(prometheus, "_ROWS_AT_A_TIME", 2)
        # The process' own CPU time changes between the two texts.
        monkeypatch.setattr(prometheus, "_of_process", lambda: iter(()))
        pieces = list(prometheus.exporter_text(state, encode))
        whole = encode(registry(state))
        assert steady(b"".join(pieces)) == steady(whole)
        assert (pieces[-1] == b"# EOF\n") is bool(accept)


def registry(state: ExporterState) -> CollectorRegistry:
    """A registry with all metrics of the exporter, to be written in one go."""

    class Exporter(Collector):
        def collect(self) -> Iterator[Metric]:
            rows = state.snapshot.stats or () if state.snapshot else ()
            for family in prometheus._of_exporter(state):
                yield family(rows) if callable(family) else family

    found = CollectorRegistry()
    found.register(Exporter())
    return found


def steady(text: bytes) -> list[bytes]:
    """The lines, without those of this process: its CPU time grows while it is read."""
    return [line for line in text.splitlines() if not line.startswith(b"process_")]
