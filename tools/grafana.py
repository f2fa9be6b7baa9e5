"""`python -m tools.grafana FILE` writes the dashboard for the metrics of `metrics serve`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OF_QUEUES = 'queue=~"$queue"'
_WIDTH = 24

Panel = dict[str, Any]


def _target(expression: str, legend: str, number: int) -> dict[str, Any]:
    return {
        "datasource": _SOURCE,
        "expr": expression,
        "legendFormat": legend,
        "refId": chr(ord("A") + number),
    }


def _panel(kind: str, title: str, width: int, height: int, unit: str, *queries: tuple[str, str]) -> Panel:
    return {
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [_target(*query, number) for number, query in enumerate(queries)],
    }


def _number(title: str, expression: str, unit: str = "short", *, bad: float | None = None) -> Panel:
    """A number; red from `bad` on."""
    panel = _panel("stat", title, 4, 4, unit, (expression, ""))
    steps = [
        {"color": "green", "value": None},
        *([{"color": "red", "value": bad}] if bad is not None else []),
    ]
    panel["fieldConfig"]["defaults"]["thresholds"] = {"mode": "absolute", "steps": steps}
    panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}
    return panel


def _graph(title: str, unit: str, *queries: tuple[str, str], width: int = 12) -> Panel:
    panel = _panel("timeseries", title, width, 8, unit, *queries)
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi"},
    }
    return panel


def _jobs(state: str) -> str:
    return f'sum by (queue) (asyncmq_queue_jobs{{{_OF_QUEUES}, state="{state}"}})'


def _of_queues(metric: str) -> str:
    """Several exporters say the same."""
    return f"max by (queue) ({metric}{{{_OF_QUEUES}}})"


def panels() -> list[Panel]:
    """What is wrong first, then work, then causes, then the cost."""
    waiting = f'asyncmq_queue_jobs{{{_OF_QUEUES}, state="waiting"}}'
    unattended = f"count({waiting} > 0 and ignoring (state) asyncmq_queue_workers == 0) or vector(0)"
    return [
        _number("Redis can be read", "min(asyncmq_up)", "bool_yes_no"),
        _number("Queues without a worker", unattended, bad=1),
        _number("Stuck claims", f"sum({_of_queues('asyncmq_queue_stuck_claims')})", bad=1),
        _number("Overdue schedules", f"sum({_of_queues('asyncmq_queue_overdue_schedules')})", bad=1),
        _number("Failed in the last hour", "max(increase(asyncmq_jobs_failed_total[1h]))", bad=1),
        _number("Workers", "max(asyncmq_worker_total)"),
        _graph("Waiting", "short", (_jobs("waiting"), "{{queue}}")),
        _graph(
            "Age of the oldest waiting job",
            "s",
            (_of_queues("asyncmq_queue_oldest_waiting_seconds"), "{{queue}}"),
        ),
        _graph(
            "Completed, failed and expired a minute",
            "short",
            ("max(rate(asyncmq_jobs_completed_total[$__rate_interval])) * 60", "completed"),
            ("max(rate(asyncmq_jobs_failed_total[$__rate_interval])) * 60", "failed"),
            ("max(rate(asyncmq_jobs_expired_total[$__rate_interval])) * 60", "expired"),
        ),
        _graph(
            "Active, and room for so many",
            "short",
            (_jobs("active"), "{{queue}}: active"),
            (_of_queues("asyncmq_queue_worker_capacity"), "{{queue}}: capacity"),
        ),
        _graph(
            "Deaths by task and cause, an hour",
            "short",
            (
                f"sum by (task, cause) (increase(asyncmq_job_deaths_total{{{_OF_QUEUES}}}[1h]))",
                "{{task}}: {{cause}}",
            ),
        ),
        _graph(
            "Delayed, failed, expired",
            "short",
            *((_jobs(state), f"{{{{queue}}}}: {state}") for state in ("delayed", "failed", "expired")),
        ),
        _graph(
            "Seconds of Redis that the exporter takes, a second",
            "s",
            (
                "sum by (instance) (rate(asyncmq_exporter_redis_seconds_total[$__rate_interval]))",
                "{{instance}}",
            ),
            width=_WIDTH,
        ),
    ]


def dashboard() -> dict[str, Any]:
    found = panels()
    across = down = height = 0
    for number, panel in enumerate(found, 1):
        place = panel["gridPos"]
        if across + place["w"] > _WIDTH:
            across, down = 0, down + height
        panel["id"], place["x"], place["y"] = number, across, down
        across, height = across + place["w"], place["h"]
    return {
        "uid": "asyncmq",
        "title": "AsyncMQ",
        "tags": ["asyncmq"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_data_source(), _queues()]},
        "panels": found,
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _queues() -> dict[str, Any]:
    return {
        "name": "queue",
        "label": "Queue",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(asyncmq_queue_paused, queue)", "refId": "queues"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "sort": 1,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
