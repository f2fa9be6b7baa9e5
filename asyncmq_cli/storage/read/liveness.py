"""Compute the age of the heartbeats of a queue's workers, by the server's clock where possible.

Source: `register_worker` in asyncmq.backends.redis. A worker writes its own time into the hash of the queue's
heartbeats and renews the key's TTL. So if the key exists, some worker wrote within the TTL, whatever its
clock says, and `TTL - PTTL` is how long ago that was. The field of a dead worker stays as long as another
worker writes.

Neither the last writer nor the TTL is stored. If the clocks agree, both follow from the newest heartbeat: the
TTL is `PTTL + its age`. Workers send a heartbeat every third of the TTL. If a heartbeat would be late for
this TTL, but not for the configured one, that worker's clock differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

TOLERANCE = 5.0
"""Seconds. Smaller differences of clocks, and smaller delays of writes, are not reported. Synchronised clocks
differ by much less, and no result of the tool depends on smaller differences."""

Expiry = float | Literal["never", "unknown"]
"""Seconds until the key of the heartbeats expires; `never` if it has no TTL, `unknown` if the user may not
run PTTL."""


class Liveness(Struct, frozen=True):
    """The workers of one queue.

    `ttl` is their TTL in seconds, as far as it is known. `ages` has the seconds since each worker wrote; None
    if its clock is ahead and nothing else shows its age. `offsets` has the seconds by which a worker's clock
    is ahead of the server's (negative: behind), for workers whose clock contradicts the server's.
    """

    ttl: float
    ages: Mapping[str, float | None] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)


def judge(heartbeats: Mapping[str, float], expiry: Expiry, now: float, configured: float) -> Liveness:
    """Judge the workers of a queue. `heartbeats` are epoch seconds by each worker's clock; `now` is the
    server's time. `configured` is the TTL that is assumed if the key does not show another."""
    by_clock = {worker: now - heartbeat for worker, heartbeat in heartbeats.items()}
    past = {worker: age for worker, age in by_clock.items() if age >= -TOLERANCE}
    ages = {worker: max(0.0, age) if worker in past else None for worker, age in by_clock.items()}
    offsets = {worker: -age for worker, age in by_clock.items() if worker not in past}
    if not by_clock or expiry == "never":
        return Liveness(configured, ages, offsets)
    if not isinstance(expiry, float):
        # The key exists, so the worker that wrote last is alive.
        newest = min(by_clock, key=lambda worker: abs(by_clock[worker]))
        return Liveness(configured, {**ages, newest: min(ages[newest] or 0.0, configured)}, offsets)
    if not past:
        return _all_ahead(by_clock, offsets, expiry, configured)
    newest = min(past, key=past.__getitem__)
    ttl = _ttl(past, expiry, configured)
    if ttl is not None:
        return Liveness(ttl, ages, offsets)
    # Its clock is behind, and so are those of the workers on the same host.
    written = max(0.0, configured - expiry)
    behind = past[newest] - written
    corrected = {worker: max(0.0, age - behind) for worker, age in past.items()}
    shared = {worker: -behind for worker, age in corrected.items() if age <= configured}
    return Liveness(configured, {**ages, **corrected}, {**offsets, **shared})


def _ttl(past: Mapping[str, float], expiry: float, configured: float) -> float | None:
    """The workers' own TTL; None if the clock of the newest worker must be behind."""
    if any(abs(expiry + age - configured) <= TOLERANCE for age in past.values()):
        return configured
    age = max(0.0, min(past.values()))
    ttl = expiry + age
    beats_in_time = age <= ttl / 3 + TOLERANCE
    # Either the key expires later than the configured TTL allows, or the worker has been silent for less than
    # that TTL.
    other = expiry > configured + TOLERANCE or ttl < configured
    return float(round(ttl)) if beats_in_time or other else None


def _all_ahead(
    by_clock: Mapping[str, float], offsets: Mapping[str, float], expiry: float, configured: float
) -> Liveness:
    """Judge workers whose clocks are all ahead. Those whose clocks are least ahead, within one TTL, are
    assumed to run on the same host, and the newest of them is assumed to have written last. The ages of the
    others are unknown."""
    ttl = max(configured, float(round(expiry)))
    written = max(0.0, ttl - expiry)
    nearest = max(by_clock.values())
    together = {worker: age for worker, age in by_clock.items() if age >= nearest - ttl}
    ahead = written - min(together.values())
    ages = {worker: age + ahead if worker in together else None for worker, age in by_clock.items()}
    return Liveness(ttl, ages, {**offsets, **dict.fromkeys(together, ahead)})


def offset_in_words(seconds: float) -> str:
    """The offset as text, such as `45 s ahead of` or `2 h behind`, rounded so that two reads of one clock
    give the same text."""
    size = abs(seconds)
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if round(size) >= 2 * unit:
            return f"{size / unit:.0f} {name} {'ahead of' if seconds > 0 else 'behind'}"
    return f"{size:.0f} s {'ahead of' if seconds > 0 else 'behind'}"
