"""How old the heartbeats of a queue's workers are, by the server's clock where it has evidence.

Source: `register_worker` in asyncmq.backends.redis. A worker writes its own time into the hash of
the queue's heartbeats and sets the key's TTL anew. So a key that is there proves that one of the
workers wrote within the TTL, whatever their clocks say, and `TTL - PTTL` is how long ago that was.
A dead worker's field stays as long as any other worker writes.

Which worker wrote last, and what the TTL is, is not stored. The newest heartbeat tells both where
clocks agree: `PTTL + its age` is then the TTL. Where that gives a TTL by which no worker would beat
in time (every third of the TTL), and the TTL that was configured fits, that worker's clock differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TOLERANCE = 5.0
"""Seconds by which clocks may differ, and writes be late, without a word: synchronised clocks are far
closer, and no verdict of the tool hangs on less."""

Expiry = float | Literal["never", "unknown"]
"""Seconds until the key of the heartbeats expires; `never` where it has no TTL, and `unknown` where the
user may not ask."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """What is known of the workers of one queue.

    `ttl` is theirs in seconds, as far as it can be told. `ages` are seconds since each one wrote,
    None where its clock is ahead and nothing else tells. `offsets` are seconds by which a worker's
    clock is ahead (negative: behind) of the server's, of those that contradict the server.
    """

    ttl: float
    ages: Mapping[str, float | None] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)


def judge(heartbeats: Mapping[str, float], expiry: Expiry, now: float, configured: float) -> Liveness:
    """`heartbeats` are epoch seconds by each worker's clock, `now` by the server's; `configured` is the
    TTL that is assumed where nothing else tells."""
    by_clock = {worker: now - heartbeat for worker, heartbeat in heartbeats.items()}
    past = {worker: age for worker, age in by_clock.items() if age >= -TOLERANCE}
    ages = {worker: max(0.0, age) if worker in past else None for worker, age in by_clock.items()}
    offsets = {worker: -age for worker, age in by_clock.items() if worker not in past}
    if not by_clock or expiry == "never":
        return Liveness(configured, ages, offsets)
    if not isinstance(expiry, float):
        # The key is there, so the one that wrote last lives.
        newest = min(by_clock, key=lambda worker: abs(by_clock[worker]))
        return Liveness(configured, {**ages, newest: min(ages[newest] or 0.0, configured)}, offsets)
    if not past:
        return _all_ahead(by_clock, offsets, expiry, configured)
    newest = min(past, key=past.__getitem__)
    ttl = _ttl(past, expiry, configured)
    if ttl is not None:
        return Liveness(ttl, ages, offsets)
    # Its clock is behind, and with it those of the workers on the same host.
    written = max(0.0, configured - expiry)
    behind = past[newest] - written
    corrected = {worker: max(0.0, age - behind) for worker, age in past.items()}
    shared = {worker: -behind for worker, age in corrected.items() if age <= configured}
    return Liveness(configured, {**ages, **corrected}, {**offsets, **shared})


def _ttl(past: Mapping[str, float], expiry: float, configured: float) -> float | None:
    """The workers' own TTL; None where the clock of the newest of them must be behind."""
    if any(abs(expiry + age - configured) <= TOLERANCE for age in past.values()):
        return configured
    age = max(0.0, min(past.values()))
    ttl = expiry + age
    beats_in_time = age <= ttl / 3 + TOLERANCE
    # The key lives longer than the configured TTL allows, or the worker is silent, but not for too long.
    other = expiry > configured + TOLERANCE or ttl < configured
    return float(round(ttl)) if beats_in_time or other else None


def _all_ahead(
    by_clock: Mapping[str, float], offsets: Mapping[str, float], expiry: float, configured: float
) -> Liveness:
    """Every clock is ahead. Those that are ahead the least, up to the TTL apart, are taken for workers
    on one host, of which the newest wrote last: of the others it is not known when they wrote."""
    ttl = max(configured, float(round(expiry)))
    written = max(0.0, ttl - expiry)
    nearest = max(by_clock.values())
    together = {worker: age for worker, age in by_clock.items() if age >= nearest - ttl}
    ahead = written - min(together.values())
    ages = {worker: age + ahead if worker in together else None for worker, age in by_clock.items()}
    return Liveness(ttl, ages, {**offsets, **dict.fromkeys(together, ahead)})


def offset_in_words(seconds: float) -> str:
    """`45 s ahead of`, `2 h behind`: rounded, so that the same clock is named alike twice."""
    size = abs(seconds)
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if round(size) >= 2 * unit:
            return f"{size / unit:.0f} {name} {'ahead of' if seconds > 0 else 'behind'}"
    return f"{size:.0f} s {'ahead of' if seconds > 0 else 'behind'}"
