"""Which changes need a notice: a table of checks; and the notices that are held back."""

from __future__ import annotations

import pytest

from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.models.monitoring.checks import CheckReport, Probe, Threshold
from asyncmq_cli.services.monitoring.notices import Notifier

NOBODY = Threshold()


def report(**states: str) -> CheckReport:
    """A report with the probe `waiting` of each queue."""
    probes = [Probe("waiting", queue, 5, NOBODY, state) for queue, state in states.items()]
    return CheckReport(1e9, list(states), [Probe("redis", None, 0.1, NOBODY, "ok"), *probes])


AWAY = CheckReport(
    None, [], [Probe("redis", None, None, NOBODY, "unknown", "away")], RedisProblem("redis_timeout", "away")
)
WELL, BAD, WORSE = report(mail="ok"), report(mail="warning"), report(mail="critical")


def said(checks: list[CheckReport], hold: float, *, delivered: bool = True) -> list[str]:
    """The text of the notice of each check, half a minute apart: `previous > state: troubles / over`."""
    notifier = Notifier(hold, "redis://x", "asyncmq-1", lambda probe: probe.name)
    lines = []
    for number, each in enumerate(checks):
        notice = notifier.notice(each, number * 30.0, 2e9)
        if notice is None:
            lines.append("")
            continue
        troubles = " ".join(f"{one.queue}={one.state}" for one in notice.troubles)
        over = " ".join(str(one.queue) for one in notice.over)
        lines.append(f"{notice.previous} > {notice.state}: {troubles} / {over}".strip())
        if delivered:
            notifier.delivered()
        else:
            notifier.not_delivered()
    return lines


@pytest.mark.parametrize(
    ("checks", "hold", "lines"),
    [
        ([WELL, WELL], 0, ["", ""]),
        ([BAD, BAD, WELL, WELL], 0, ["ok > warning: mail=warning /", "", "warning > ok:  / mail", ""]),
        (
            [BAD, WORSE, BAD],
            0,
            [
                "ok > warning: mail=warning /",
                "warning > critical: mail=critical /",
                "critical > warning: mail=warning /",
            ],
        ),
        # Held for a minute: a short change is not reported, in either direction.
        ([BAD, WELL, BAD, WELL, BAD, BAD], 60, [""] * 6),
        (
            [BAD, BAD, BAD, WELL, BAD, WELL, WELL, WELL],
            60,
            ["", "", "ok > warning: mail=warning /", "", "", "", "", "warning > ok:  / mail"],
        ),
        # A trouble that gets worse meanwhile is as bad as it is when it counts.
        ([BAD, WORSE, WORSE], 60, ["", "", "ok > critical: mail=critical /"]),
        # Another queue is another trouble, though the state is the same.
        (
            [BAD, report(mail="warning", sms="warning"), report(mail="ok", sms="warning")],
            0,
            [
                "ok > warning: mail=warning /",
                "warning > warning: mail=warning sms=warning /",
                "warning > warning: sms=warning / mail",
            ],
        ),
        # While Redis is away nothing is over.
        (
            [BAD, AWAY, AWAY, BAD, WELL],
            0,
            [
                "ok > warning: mail=warning /",
                "warning > unknown: None=unknown mail=warning /",
                "",
                "unknown > warning: mail=warning / None",
                "warning > ok:  / mail",
            ],
        ),
    ],
)
def test_notices(checks: list[CheckReport], hold: float, lines: list[str]) -> None:
    assert said(checks, hold) == lines


def test_an_undelivered_notice_is_made_again_with_the_current_state() -> None:
    # The notice may have arrived without an answer, so its end is also sent until it is accepted.
    assert said([WELL, BAD, BAD, WORSE, WELL, WELL], 0, delivered=False) == [
        "",
        "ok > warning: mail=warning /",
        "ok > warning: mail=warning /",
        "ok > critical: mail=critical /",
        "ok > ok:  / mail",
        "ok > ok:  / mail",
    ]


def test_an_end_that_was_delivered_is_the_end() -> None:
    notifier = Notifier(0, "redis://x", "asyncmq-1", lambda probe: probe.name)
    assert notifier.notice(BAD, 0, 2e9) is not None
    notifier.not_delivered()
    assert notifier.notice(WELL, 30, 2e9) is not None
    notifier.delivered()
    assert notifier.notice(WELL, 60, 2e9) is None and notifier.states == {}
