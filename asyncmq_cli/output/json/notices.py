"""Notices as documents for Slack's webhooks and PagerDuty's events, and as our own JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from asyncmq_cli.output.text.cutting import beginning_of
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.checks import Notice, Trouble

_NAMED = 10
_LONGEST = 300
_SUMMARY = 1024
"""The maximum number of characters in PagerDuty's `summary`."""
_SIGNS = {
    "ok": ":large_green_circle:",
    "warning": ":large_yellow_circle:",
    "unknown": ":white_circle:",
    "critical": ":red_circle:",
}
_SEVERITIES = {"warning": "warning", "unknown": "error", "critical": "critical"}


def summary(notice: Notice) -> str:
    """One line with the state, the Redis and the worst troubles."""
    texts = [_said(trouble) for trouble in notice.troubles[:3]]
    more = len(notice.troubles) - len(texts)
    said = "; ".join([*texts, *([f"and {more:,} more"] if more else [])])
    return f"ASYNCMQ {notice.state.upper()} on {notice.redis}: {said or 'everything is OK again'}"


def _slack(notice: Notice, secret: str) -> dict[str, Any]:
    lines = [f"{_SIGNS[notice.state]} *ASYNCMQ {notice.state.upper()}* on {_slack_text(notice.redis)}"]
    lines += [f"• {trouble.state}: {_slack_text(_said(trouble))}" for trouble in notice.troubles[:_NAMED]]
    if len(notice.troubles) > _NAMED:
        lines.append(f"• and {len(notice.troubles) - _NAMED:,} more")
    lines += [f"• over: {_slack_text(_said(trouble))}" for trouble in notice.over[:_NAMED]]
    return {"text": "\n".join(lines)}


def _slack_text(text: str) -> str:
    """Escape the three characters that Slack interprets, so that a job's name cannot mention a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pagerduty(notice: Notice, secret: str) -> dict[str, Any]:
    event: dict[str, Any] = {"routing_key": secret, "dedup_key": notice.incident}
    if notice.state == "ok":
        return {**event, "event_action": "resolve"}
    payload = {
        "summary": summary(notice)[:_SUMMARY],
        "source": notice.redis,
        "severity": _SEVERITIES[notice.state],
        "timestamp": rfc3339(notice.at),
        "component": "asyncmq",
        "custom_details": {"troubles": [_said(trouble) for trouble in notice.troubles]},
    }
    return {**event, "event_action": "trigger", "payload": payload}


def _json(notice: Notice, secret: str) -> dict[str, Any]:
    return {
        "state": notice.state,
        "previous": notice.previous,
        "summary": summary(notice),
        "time": rfc3339(notice.at),
        "redis": notice.redis,
        "incident": notice.incident,
        "troubles": [_trouble(trouble) for trouble in notice.troubles],
        "over": [_trouble(trouble) for trouble in notice.over],
    }


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "probe": trouble.probe,
        "queue": trouble.queue,
        "state": trouble.state,
        "message": _said(trouble),
    }


def _said(trouble: Trouble) -> str:
    return beginning_of(escape(trouble.message), _LONGEST)


BODIES: Mapping[str, Callable[[Notice, str], dict[str, Any]]] = {
    "slack": _slack,
    "pagerduty": _pagerduty,
    "json": _json,
}
"""By format, a function that makes the document from a notice and the secret. Only PagerDuty's document
contains the secret."""
