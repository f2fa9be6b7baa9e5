"""The optimised reads of jobs give the same jobs as a plain implementation, whatever is stored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.jobs import Job, JobFilter, QueueScope
from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.services.jobs.failure_groups import grouped
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.lists import Page, unfiltered
from asyncmq_cli.storage.client.connection import connect
from asyncmq_cli.storage.read.lists import JobLists
from asyncmq_cli.storage.read.locate import expected_members
from asyncmq_cli.storage.read.state_reader import ENTRIES
from asyncmq_cli.storage.schema.codec import decode_member
from asyncmq_cli.storage.schema.job import RawJob, add_record, hydrate
from asyncmq_cli.storage.schema.keys import PLACE_OF_STATE, QueueKeys, to_bytes
from asyncmq_cli.storage.store import Store
from tests.faults.scale import scaled

# More examples in `make faults`.
pytestmark = pytest.mark.faults

QUEUE = "mail"
KEYS = QueueKeys(QUEUE)
ALL_TOGETHER = 1000
IDS = ["a1", "b2", "c3", "", "Customer-7", "é", 'q"uote', "back\\slash", "tab\there", "line\nbreak"]
STATES = ["failed", "expired", "waiting", "wait", "delayed", "completed", "active", "cancelled", "queued"]
STATES += ["unknown", "customer-7", "paid\n"]
# Texts that hold the words searched for, whole or nearly so, and spelled in unusual ways.
WORDS = ["customer-7", "CUSTOMER-7", "\u212aelvin-x", "\u0130stanbul", "na\u00efve-x", "a\nnb-x", "tab\tuna"]
WORDS += [
    "\x7ff-x",
    "\x00e9-x",
    "http://host/path-x",
    "back\\nslash-x",
    "\ud83d\ude00-x",
    "\ud800-x",
    "x" * 3,
]
QUERIES = [
    "customer-7",
    "kelvin-x",
    "istanbul",
    "elvin-x",
    "nb-x",
    "una",
    "7ff-x",
    "e9-x",
    "path-x",
    "slash-x",
]
QUERIES += ['"status": "failed"', "null", "1e5", "12345", "priority", "na\u00efve-x", "\\u00ef", "ve-x"]
QUERIES += [
    '"depends_on": [',
    "customer-7 is",
    "id",
    "active_since",
    "-x",
    "nstanbul",
    "xxx",
    "00e9-x",
    "u00",
]

scalars = st.sampled_from([None, True, 0, 12345, 1e5, 12345678901234567890123, float("nan"), -0.0, *WORDS])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2),
)
jobs = st.fixed_dictionaries(
    {"id": st.sampled_from(IDS) | st.sampled_from([None, 7, 12345678901234567890123])},
    optional={
        "task": scalars,
        "args": values,
        "kwargs": values,
        "status": st.sampled_from(STATES) | st.none(),
        "created_at": st.sampled_from([1e9, 2e9, "soon", None]),
        "depends_on": st.sampled_from([[], ["parent"], None]),
        "result": values,
        "nested": st.fixed_dictionaries({"id": st.sampled_from(IDS), "args": scalars, "kwargs": scalars}),
    },
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A job as various programs might have written it, or a text that is not a job."""
    job = draw(jobs)
    kind = draw(
        st.sampled_from(["plain", "plain", "raw", "tight", "wide", "twice", "hidden", "cut", "no job"])
    )
    if kind == "no job":
        return draw(
            st.sampled_from([b"", b"{}", b"{ }", b"[]", b"7", b"a1", b"{", b'{"id": "', b"\xff\xfe{"])
        )
    text = json.dumps(job)
    if kind == "raw":
        text = json.dumps(job, ensure_ascii=False).replace("/", "\\/")
    elif kind == "tight":
        text = json.dumps(job, separators=(",", ":"))
    elif kind == "wide":
        text = " " + json.dumps(job, indent=1)
    elif kind == "twice":
        text = text[:-1] + ', "id": "b2"}'
    elif kind == "hidden":
        text = text[:-1] + ', "\\u0069d": "c3", "note": "\\u0063ustomer-\\u0037 \\u212Aelvin-x"}'
    elif kind == "cut":
        text = text[: draw(st.integers(1, len(text)))]
    return text.encode("utf-8", "surrogatepass")


@st.composite
def keyspaces(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Commands that fill one queue: members, and for each id perhaps a record, a state and more."""
    commands: list[tuple[Any, ...]] = []
    names = [to_bytes(name) for name in [*IDS, "7", "12345678901234567890123"]]
    for place in (KEYS.waiting, KEYS.delayed, KEYS.dlq):
        for member in draw(st.lists(texts(), max_size=4)):
            commands.append(("ZADD", place, draw(st.sampled_from([0, 1.5, 1e9])), member))
            if draw(st.booleans()) and (job := decode_member(member)) is not None:
                # As AsyncMQ leaves it: the record is the same text.
                commands.append(("SET", KEYS.record("") + to_bytes(str(job.get("id"))), member))
        if draw(st.booleans()):
            commands.append(("ZADD", KEYS.waiting, 3, draw(st.sampled_from(names))))
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        commands += draw(
            st.lists(
                st.one_of(
                    texts().map(lambda text, key=name: ("SET", KEYS.record("") + key, text)),  # type: ignore[misc]
                    st.sampled_from(STATES).map(lambda state, key=name: ("HSET", KEYS.states, key, state)),  # type: ignore[misc]
                    texts().map(lambda text, key=name: ("HSET", KEYS.results, key, text)),  # type: ignore[misc]
                    st.just(("HSET", KEYS.active, name, "1700000000.5")),
                    st.just(("SADD", KEYS.ids, name)),
                    texts().map(lambda text, key=name: ("SET", KEYS.record("") + key + b":payload", text)),  # type: ignore[misc]
                ),
                max_size=4,
            )
        )
    return commands


def fill(client: redis.Redis, commands: list[tuple[Any, ...]]) -> None:
    client.flushall()
    pipe = client.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    pipe.execute()


def shown(found: Iterator[Job]) -> list[str]:
    """Jobs as comparable texts, because NaN is not equal to itself; without how they were read."""
    plain = {"record": None, "split": None, "text": None, "size": 0}
    return sorted(repr(replace(job, **plain)) + json.dumps(job.record, sort_keys=True) for job in found)


@pytest.fixture
def client(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A client with the settings of the tool."""
    with connect(config.resolve({"redis_url": server.url}, {})) as connection:
        yield connection


# Without shrinking: each example fills a Redis.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
relaxed = settings(
    max_examples=scaled(15, 40), deadline=None, phases=_PHASES, suppress_health_check=list(HealthCheck)
)


@relaxed
@given(commands=keyspaces(), query=st.sampled_from(QUERIES))
def test_a_search_finds_the_same_with_a_prefilter_and_without(
    client: redis.Redis, commands: list[tuple[Any, ...]], query: str
) -> None:
    fill(client, commands)
    reader, matches = JobLists(client), Matcher(JobFilter(q=query), 0.0)
    for state in (*JOB_STATES, "all"):
        plain = shown(filter(matches, reader.in_state(QUEUE, state)))
        assert shown(filter(matches, reader.in_state(QUEUE, state, matches.prefilter))) == plain
    plain = shown(filter(matches, reader.in_state(QUEUE, "dlq")))
    assert shown(filter(matches, reader.in_state(QUEUE, "dlq", matches.prefilter))) == plain


def one_by_one(client: redis.Redis, place: str) -> Iterator[Job]:
    """Decode each member, then request each key of its job separately."""
    for member, score in client.zrange(getattr(KEYS, place), 0, -1, withscores=True):
        job = decode_member(member)
        problem = None
        if job is None and place != "waiting":
            problem = f"a member is not a JSON object ({len(member)} bytes)"
        elif job is not None and job.get("id") is None:
            problem = "the job has no id"
        named = job.get("id") if job is not None else None
        name = str(named) if named is not None else ""
        if job is None and place == "waiting":
            name = member.decode("utf-8", "surrogateescape")
        field = to_bytes(name)
        entry = client.hget(KEYS.states, field)
        status = {"waiting": "waiting", "delayed": "delayed", "dlq": "failed"}[place]
        if place == "dlq" and entry == b"expired":
            status = "expired"
        raw = RawJob(id=name, member=job, score=score, problem=problem)
        raw.state = None if entry is None else status
        if place != "dlq":
            # A dead letter is what its member holds.
            add_record(raw, client.get(KEYS.record(name)))
        whole = raw.record is not None and {"args", "kwargs"} <= set(raw.record)
        raw.payload = None if whole or raw.record is None else client.get(KEYS.payload(name))
        if entry is not None and entry.decode() not in FITTING[place]:
            names = {"waiting": "waiting set", "delayed": "delayed set", "dlq": "dead-letter queue"}
            reported = f"the states hash calls it {entry.decode()!r}, but it is in the {names[place]}"
            raw.problem = raw.problem or reported
        yield hydrate(QUEUE, raw, place=place, status=status)


FITTING = {
    "waiting": {"waiting", "wait", "queued"},
    "delayed": {"delayed"},
    "dlq": {"failed", "expired"},
}


# Members that seem to name another job than they do; to that one belong a result, and a state.
NAMED_TWICE = b'{"id": "Customer-7", "id": "b2"}'
CUT = b'{"id": "Customer-7", "task'
MISNAMED: list[tuple[Any, ...]] = [
    *(("ZADD", place, 1.5, text) for place in (KEYS.delayed, KEYS.dlq) for text in (NAMED_TWICE, CUT)),
    ("HSET", KEYS.results, "Customer-7", '{"mine": 1}'),
]
MISNAMED_AND_ENDED = [*MISNAMED, ("HSET", KEYS.states, "Customer-7", "expired", "b2", "failed")]


@pytest.mark.parametrize("place", ["waiting", "delayed", "dlq"])
@relaxed
@given(commands=keyspaces())
@example(commands=MISNAMED)
@example(commands=MISNAMED_AND_ENDED)
def test_a_sorted_set_is_read_as_if_each_member_was_read_alone(
    client: redis.Redis, commands: list[tuple[Any, ...]], place: str
) -> None:
    fill(client, commands)
    assert shown(JobLists(client).in_state(QUEUE, place)) == shown(one_by_one(client, place))


def named(client: redis.Redis, place: str) -> list[bytes]:
    """The ids of the members of a place; b"" for a member without one."""
    if place == "active":
        return list(client.hgetall(KEYS.active))
    found = []
    for member in client.zrange(getattr(KEYS, place), 0, -1):
        job = decode_member(member)
        if job is None:
            found.append(member if place == "waiting" else b"")
        else:
            found.append(b"" if job.get("id") is None else to_bytes(str(job["id"])))
    return found


def in_no_place(client: redis.Redis) -> dict[bytes, str]:
    """The jobs that are in no place, with their states."""
    states: dict[bytes, bytes] = client.hgetall(KEYS.states)
    placed = {*named(client, "active"), *client.zrange(KEYS.waiting, 0, -1)}
    found = {}
    for name in client.smembers(KEYS.ids) | set(states):
        entry, text = states.get(name), client.get(KEYS.record("") + name)
        if entry in (b"completed", b"cancelled"):
            found[name] = entry.decode()
            continue
        raw = RawJob(id=name.decode("utf-8", "surrogateescape"))
        add_record(raw, text)
        beside = {
            place
            for place in ("waiting", "delayed", "dlq")
            if text is not None
            and any(
                client.zscore(getattr(KEYS, place), member) is not None
                for member in expected_members(text, place)
            )
        }
        homes = {b"failed": {"dlq"}, b"expired": {"dlq"}, b"delayed": {"delayed"}, b"active": set()}
        if name in placed or beside & homes.get(entry or b"", {"waiting", "delayed", "dlq"}):
            continue
        reported = entry.decode() if entry is not None else (raw.record or {}).get("status")
        reported = "unknown" if reported is None else str(reported)
        parents = (raw.record or {}).get("depends_on")
        pending = reported in ("waiting", "wait", "queued")
        if pending or (reported in ("delayed", "unknown") and isinstance(parents, list) and parents):
            reported = "waiting-children"
        found[name] = reported
    return found


@relaxed
@given(commands=keyspaces())
@example(commands=MISNAMED_AND_ENDED)
def test_each_list_has_the_jobs_of_its_place(client: redis.Redis, commands: list[tuple[Any, ...]]) -> None:
    fill(client, commands)
    lists = JobLists(client)

    def listed(state: str) -> list[tuple[bytes, str]]:
        return sorted((to_bytes(job.id), job.status) for job in lists.in_state(QUEUE, state))

    for state in ("waiting", "delayed", "active"):
        assert listed(state) == sorted((name, state) for name in named(client, state))
    dead = [
        (name, "expired" if client.hget(KEYS.states, name) == b"expired" else "failed")
        for name in named(client, "dlq")
    ]
    for state in ("failed", "expired"):
        assert listed(state) == sorted(one for one in dead if one[1] == state)
    rest = in_no_place(client)
    for state in ("completed", "cancelled", "waiting-children"):
        may_be = {*ENTRIES[state]}
        entries = client.hgetall(KEYS.states)
        assert listed(state) == sorted(
            (name, reported)
            for name, reported in rest.items()
            if reported == state and entries.get(name) in may_be
        )

    for state in (*JOB_STATES, "all"):
        assert lists.count(QUEUE, state) == len(listed(state))

    everywhere = [name for place in ("delayed", "waiting", "active", "dlq") for name in named(client, place)]
    every = Counter(name for name, _ in listed("all"))
    # Members without an id cannot be distinguished.
    indexed = {*client.smembers(KEYS.ids), *client.hkeys(KEYS.states)}
    assert every.pop(b"", 0) == everywhere.count(b"") + (b"" in indexed)
    assert set(every) == {*everywhere, *indexed} - {b""}
    assert set(every.values()) <= {1}


@pytest.mark.parametrize("left", [{}, {"gone": "expired"}, {"gone": "failed"}])
@pytest.mark.parametrize("by_letters", [0, 1000])
def test_dead_jobs_are_those_with_a_dead_letter(
    client: redis.Redis, left: dict[str, str], by_letters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`left` has the jobs that the states hash calls dead, without a dead letter."""
    monkeypatch.setattr("asyncmq_cli.storage.read.lists._COUNTED_BY_LETTERS", by_letters)
    states = {"a1": "failed", "b2": "failed", "c3": "expired", "running": "active", **left}
    fill(
        client,
        [
            *(("ZADD", KEYS.dlq, 1.5, json.dumps({"id": name})) for name in ("a1", "b2", "c3")),
            *(("HSET", KEYS.states, name, state) for name, state in states.items()),
        ],
    )
    lists = JobLists(client)
    assert (lists.count(QUEUE, "failed"), lists.count(QUEUE, "expired")) == (2, 1)


@relaxed
@given(commands=keyspaces(), sort=st.sampled_from(["newest", "oldest"]), page=st.integers(1, 3))
@example(commands=[("ZADD", KEYS.dlq, 1.5, text) for text in ("a", "b", "{")], sort="newest", page=1)
@example(
    commands=[("ZADD", KEYS.dlq, 1.5, text) for text in ('{"id":"a"}', '{"id": "a"}')], sort="newest", page=1
)
@example(
    commands=[("ZADD", KEYS.dlq, 1.5, text) for text in ('{"id":"a" }', '{"id": "a"}')], sort="oldest", page=1
)
@example(
    commands=[("ZADD", KEYS.dlq, 1.5, text) for text in ('{"id":"a" }', '{"id": "a"}')], sort="newest", page=1
)
@example(
    commands=[("ZADD", KEYS.delayed, 1.5, text) for text in ('{"created_at": 2e9}', "[]")],
    sort="oldest",
    page=1,
)
def test_a_page_is_a_part_of_the_sorted_list(
    server: PrivateRedis, client: redis.Redis, commands: list[tuple[Any, ...]], sort: str, page: int
) -> None:
    # A payload part may contain any time, and one under the empty id belongs to all jobs without an id.
    left_out = {b"", KEYS.record("")}
    commands = [command for command in commands if left_out.isdisjoint(command[1:3])]
    fill(client, [command for command in commands if not command[1].endswith(b":payload")])
    store = Store(config.resolve({"redis_url": server.url}, {}), print)
    try:
        for state in (*JOB_STATES, "all"):
            jobs = sorted(store.jobs.in_state(QUEUE, state), key=lambda job: (job.sort_time, job.id))
            expected = jobs if sort == "oldest" else jobs[::-1]
            which = Page(sort, page, 2)
            found, total, exact = unfiltered(store, QueueScope.of(QUEUE), state, which)
            assert [(job.sort_time, job.id) for job in found] == [
                (job.sort_time, job.id) for job in expected[2 * page - 2 : 2 * page]
            ]
            assert (total, exact) == (len(jobs), True)
    finally:
        store.close()


@relaxed
@given(commands=keyspaces(), start=st.integers(0, 3), count=st.integers(1, 3))
def test_a_page_in_the_order_of_the_place_reads_as_much(
    client: redis.Redis, commands: list[tuple[Any, ...]], start: int, count: int
) -> None:
    fill(client, commands)
    lists = JobLists(client)
    for place in ("waiting", "delayed", "dlq"):
        names = named(client, place)[:: -1 if place == "dlq" else 1]
        found = [to_bytes(job.id) for job in lists.in_order(QUEUE, place, start, count)]
        assert found == names[start : start + count]
    for state in (*JOB_STATES, "all"):
        whole = [job.id for job in lists.in_order(QUEUE, state)]
        page = [job.id for job in lists.in_order(QUEUE, state, start, count)]
        if state in PLACE_OF_STATE:
            assert page == whole[start : start + count]
        # Redis may be moving a set to a larger table, which changes the order of a walk.
        assert len(page) == len(whole[start : start + count])
        assert set(page) <= set(whole)
        assert sorted(whole) == sorted(job.id for job in lists.in_state(QUEUE, state))


@relaxed
@given(commands=keyspaces())
def test_causes_are_the_same_whether_dead_letters_are_decoded_or_not(
    client: redis.Redis, commands: list[tuple[Any, ...]]
) -> None:
    fill(client, commands)
    lists = JobLists(client)
    skimmed = grouped(lists.dead_causes(QUEUE))
    assert skimmed == grouped(lists.in_state(QUEUE, "dlq"))
