"""When a worker last wrote, by what the server knows and by what the worker says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from asyncmq_cli.storage.read.liveness import Expiry, judge, offset_in_words

NOW = 1_800_000_000.0
HOUR = 3600.0

# By name: each worker's heartbeat as seconds before now, when the key expires, the TTL that is
# configured; the TTL that is found, each worker's age, and by how much which clock differs.
Ages = Mapping[str, float | None]
CASES: dict[str, tuple[Mapping[str, float], Expiry, float, float, Ages, Mapping[str, float]]] = {
    "clocks agree": ({"a": 5}, 25.0, 30, 30, {"a": 5}, {}),
    "a little late": ({"a": 7}, 25.0, 30, 30, {"a": 7}, {}),
    "about to expire": ({"a": 29}, 1.0, 30, 30, {"a": 29}, {}),
    "a ghost beside one that lives": ({"a": 5, "g": 600}, 25.0, 30, 30, {"a": 5, "g": 600}, {}),
    "two that live": ({"a": 5, "b": 9}, 25.0, 30, 30, {"a": 5, "b": 9}, {}),
    "45 s slow": ({"a": 50}, 25.0, 30, 30, {"a": 5}, {"a": -45}),
    "an hour slow, the TTL a minute": ({"a": HOUR + 5}, 55.0, 60, 60, {"a": 5}, {"a": -HOUR}),
    "two on one slow host": ({"a": 50, "b": 58}, 25.0, 30, 30, {"a": 5, "b": 13}, {"a": -45, "b": -45}),
    "a ghost on a slow host": ({"a": 50, "g": 650}, 25.0, 30, 30, {"a": 5, "g": 605}, {"a": -45}),
    "2 h ahead": ({"a": -HOUR * 2 + 5}, 25.0, 30, 30, {"a": 5}, {"a": HOUR * 2}),
    "two on one host ahead": (
        {"a": -HOUR + 5, "b": -HOUR + 9},
        *(25.0, 30, 30),
        {"a": 5, "b": 9},
        {"a": HOUR, "b": HOUR},
    ),
    "long dead, 2 h ahead, beside one that lives": (
        {"dead": -6600, "live": 0},
        *(30.0, 30, 30),
        {"dead": None, "live": 0},
        {"dead": 6600},
    ),
    "a TTL of 120": ({"a": 40}, 80.0, 30, 120, {"a": 40}, {}),
    "a TTL of 120, beating in time": ({"a": 1}, 119.0, 30, 120, {"a": 1}, {}),
    "a TTL of 120, silent for a minute": ({"a": 60}, 60.0, 30, 120, {"a": 60}, {}),
    "a TTL of 10": ({"a": 2}, 8.0, 30, 10, {"a": 2}, {}),
    "a TTL of 10, silent": ({"a": 9}, 1.0, 30, 10, {"a": 9}, {}),
    "a TTL of 120, configured so, slow": ({"a": 600}, 100.0, 120, 120, {"a": 20}, {"a": -580}),
    "no TTL": ({"a": 50, "b": -HOUR}, "never", 30, 30, {"a": 50, "b": None}, {"b": HOUR}),
    "no right to ask": ({"a": 50, "g": 600}, "unknown", 30, 30, {"a": 30, "g": 600}, {}),
    "no worker": ({}, "never", 30, 30, {}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_servers_evidence_outranks_a_workers_clock(name: str) -> None:
    beats, expiry, configured, ttl, ages, offsets = CASES[name]
    found = judge({worker: NOW - age for worker, age in beats.items()}, expiry, NOW, configured)
    assert found.ttl == ttl
    assert found.ages == pytest.approx(ages)
    assert found.offsets == pytest.approx(offsets)


@pytest.mark.parametrize("ttl", [10, 30, 60, 120, 600])
@pytest.mark.parametrize("skew", [-HOUR, -45.0, -20.0, 0.0, 20.0, 45.0, HOUR * 2])
def test_a_worker_with_timely_heartbeats_is_live_with_any_clock(skew: float, ttl: int) -> None:
    for since in range(ttl // 3 + 1):
        found = judge({"w": NOW - since + skew}, float(ttl - since), NOW, 30.0)
        age = found.ages["w"]
        assert age is not None and age <= found.ttl, (since, found)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-45.2, "45 s behind"),
        (7200, "2 h ahead of"),
        (-150, "2 min behind"),
        (200_000, "2 d ahead of"),
    ],
)
def test_an_offset_in_words(seconds: float, words: str) -> None:
    assert offset_in_words(seconds) == words
