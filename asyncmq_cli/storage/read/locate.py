"""Locate jobs: find them in all collections of a queue, or find the queue of a job by its id."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import redis
from msgspec import Struct

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import Command, run_pipeline
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.schema.codec import CorruptData, decode_record, dumps, named_member
from asyncmq_cli.storage.schema.job import Location
from asyncmq_cli.storage.schema.keys import PLACE_OF_STATE, PLACES, QueueKeys, to_bytes, to_text

# JSON does not escape ids that have only these characters.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.\-]+")
_FEW = 8
LOOKED_THROUGH = 10_000
"""A dead-letter queue with at most this many members is read completely to find a job's other dead
letters."""
_ASKED_BYTES = 512 * 1024
"""At most this many bytes of members are sent in one request."""


def locate(
    client: redis.Redis,
    queue: str,
    job_ids: Sequence[str],
    places: Sequence[str],
    *,
    repeating: Collection[str] = (),
    with_children: bool = False,
    pace: scan.Pace | None = None,
) -> list[Location]:
    """The locations of these jobs, with their members of the sorted sets in `places`. The number of their
    children is read if `places` has all sorted sets, or `with_children` is set.

    A job that is where its state requires is found without reading the sorted sets. For other jobs they are
    read once, in chunks. For the jobs in `repeating`, all dead letters are read. `pace` is what earlier calls
    have learnt about the size of records.
    """
    keys = QueueKeys(queue)
    found: list[Location] = []
    for piece in chunked(job_ids, 200):
        found.extend(_read_fixed(client, keys, piece, pace or scan.Pace()))
    if with_children or len(places) == len(PLACES):
        _count_children(client, keys, found)
    _look_where_expected(client, keys, found, places)
    unsettled = {location.id: location for location in found if _unsettled(location, places)}
    if unsettled:
        for place in places:
            read_place(client, keys, place, unsettled)
    repeated = {location.id: location for location in found if location.id in repeating}
    if repeated and "dlq" in places and not unsettled.keys() >= repeated.keys():
        read_place(client, keys, "dlq", repeated)
    return found


def find_repeating(client: redis.Redis, queue: str, job_ids: Collection[str]) -> set[str]:
    """The jobs among these that have several dead letters. Empty if the dead-letter queue is too large to
    search."""
    keys = QueueKeys(queue)
    try:
        if not 1 < scan.card(client, "ZCARD", keys.dlq) <= LOOKED_THROUGH:
            return set()
        wanted = {to_bytes(job_id) for job_id in job_ids}
        counts = Counter(
            name for piece in pieces.scanned(client, keys, "dlq") for name in piece.ids if name in wanted
        )
    except WrongType:
        # The location of each job reports this.
        return set()
    return {to_text(name) for name, count in counts.items() if count > 1}


def _read_fixed(
    client: redis.Redis, keys: QueueKeys, job_ids: Sequence[str], pace: scan.Pace
) -> list[Location]:
    """Read everything that can be read by job id, in a few round trips for all jobs."""
    names = [to_bytes(job_id) for job_id in job_ids]
    records = scan.get_many(client, [keys.record(job_id) for job_id in job_ids], pace)
    parts = [keys.payload(job_id) for job_id in job_ids]
    count, *replies = run_pipeline(
        client,
        [
            ("EXISTS", *parts),
            ("HMGET", keys.states, *names),
            ("ZMSCORE", keys.waiting, *names),
            ("HMGET", keys.active, *names),
            ("SMISMEMBER", keys.cancelled, *names),
            ("SMISMEMBER", keys.ids, *names),
        ],
        keep=WrongType,
    )
    problem = next((reply for reply in replies if isinstance(reply, WrongType)), None)
    if problem is not None:
        return [Location(keys.queue, job_id, in_ids=True, problem=problem) for job_id in job_ids]
    payloads = scan.get_many(client, parts, scan.Pace(start=50)) if count else [None] * len(parts)
    return [_located(keys.queue, *found) for found in zip(job_ids, records, payloads, *replies, strict=True)]


def _located(
    queue: str,
    job_id: str,
    record: bytes | None,
    payload: bytes | None,
    state: bytes | None,
    waiting: float | None,
    claim: bytes | None,
    cancelled: int,
    in_ids: int,
) -> Location:
    location = Location(
        queue=queue,
        id=job_id,
        state=None if state is None else to_text(state),
        record=record,
        payload=payload,
        active=claim is not None,
        claim=claim,
        cancelled=bool(cancelled),
        in_ids=bool(in_ids),
    )
    if waiting is not None:
        location.members["waiting"].append(to_bytes(job_id))
    return location


def _count_children(client: redis.Redis, keys: QueueKeys, found: Sequence[Location]) -> None:
    counts = run_pipeline(
        client, [("SCARD", keys.children(location.id)) for location in found], keep=WrongType
    )
    for location, count in zip(found, counts, strict=True):
        if isinstance(count, WrongType):
            location.problem = count
        else:
            location.children = count


def _look_where_expected(
    client: redis.Redis, keys: QueueKeys, found: Iterable[Location], places: Sequence[str]
) -> None:
    """Find the members that AsyncMQ would have written together with the record."""
    asked: dict[str, list[tuple[Location, bytes]]] = {}
    for location in found:
        home = PLACE_OF_STATE.get(location.state or "")
        if home in ("delayed", "dlq") and home in places and location.record is not None:
            for member in expected_members(location.record, home):
                asked.setdefault(home, []).append((location, member))
    for home, pairs in asked.items():
        key = getattr(keys, home)
        try:
            scores = scores_of(client, key, [member for _, member in pairs])
        except WrongType as exc:
            for location, _ in pairs:
                location.problem = exc
            continue
        for (location, member), score in zip(pairs, scores, strict=True):
            if score is not None:
                location.members[home].append(member)
                location.score = score


def scores_of(client: redis.Redis, key: bytes, members: Sequence[bytes]) -> list[float | None]:
    """The score of each of these members of a sorted set, or None, read by commands of bounded size. Raises
    WrongType."""
    found: list[float | None] = []
    piece: list[bytes] = []
    size = 0
    for member in members:
        piece.append(member)
        size += len(member)
        if size >= _ASKED_BYTES:
            found += scan.typed(key, client.zmscore, key, piece)
            piece, size = [], 0
    return found + scan.typed(key, client.zmscore, key, piece) if piece else found


def expected_members(record: bytes, place: str) -> list[bytes]:
    """The members that AsyncMQ may have written together with this record.

    Its scripts write the same text to both. `enqueue_delayed` writes the record with the status `delayed`,
    but the member with the producer's status, which is `waiting`.
    """
    members = [record]
    if place == "delayed":
        try:
            data = decode_record(record)
        except CorruptData:
            return members
        members.append(dumps({**data, "status": "waiting"}).encode())
    # If the record has the status `waiting` itself, the texts are equal.
    return list(dict.fromkeys(members))


def _unsettled(location: Location, places: Sequence[str]) -> bool:
    if location.problem is not None or location.state in ("active", "completed"):
        return False
    home = PLACE_OF_STATE.get(location.state or "")
    if home is None:
        return True
    return home in places and not location.members[home]


def read_place(client: redis.Redis, keys: QueueKeys, place: str, wanted: Mapping[str, Location]) -> None:
    """Find the members of these jobs in a sorted set by reading all of it, in chunks."""
    plain = all(_PLAIN_ID.fullmatch(job_id) for job_id in wanted) and len(wanted) <= _FEW
    needles = [to_bytes(job_id) for job_id in wanted] if plain else []
    # For a single id, let Redis skip the members that do not contain it.
    match = b"*" + needles[0] + b"*" if len(needles) == 1 else None
    try:
        for members in scan.zset_members(client, getattr(keys, place), match):
            for member, score in members:
                if needles and not any(needle in member for needle in needles):
                    continue
                job_id = (named_member(member) or {}).get("id")
                location = None if job_id is None else wanted.get(str(job_id))
                if location is not None and member not in location.members[place]:
                    location.members[place].append(member)
                    location.score = location.score if place == "waiting" else score
    except WrongType as exc:
        for location in wanted.values():
            location.problem = exc


_IDS_AT_A_TIME = 100
_ASKED_AT_A_TIME = 20_000
"""The number of pairs of a queue and an id that are tested in one round trip."""


def find_jobs(
    client: redis.Redis, queues: Sequence[str], job_ids: Sequence[str], warn: Callable[[WrongType], None]
) -> dict[str, list[str]]:
    """By id, the queues that have such a job, in the order of `queues`. Looks in the ids set, the states
    hash, the records, the waiting set and the active hash, but not in the sorted sets that would have to be
    read completely. `warn` is called for a key that cannot be read."""
    found: dict[str, list[str]] = {job_id: [] for job_id in job_ids}
    for some in chunked(list(found), _IDS_AT_A_TIME):
        for part in chunked(queues, max(1, _ASKED_AT_A_TIME // len(some))):
            for queue, job_id in _there(client, part, some, warn):
                found[job_id].append(queue)
    return found


def _there(
    client: redis.Redis, queues: Sequence[str], job_ids: Sequence[str], warn: Callable[[WrongType], None]
) -> Iterator[tuple[str, str]]:
    names = [to_bytes(job_id) for job_id in job_ids]
    commands = [_questions(QueueKeys(queue), job_ids, names) for queue in queues]
    replies = iter(run_pipeline(client, [one for each in commands for one in each], keep=WrongType))
    for queue, each in zip(queues, commands, strict=True):
        answers = [next(replies) for _ in each]
        for problem in answers:
            if isinstance(problem, WrongType):
                warn(problem)
        # The replies of sets and hashes are lists with one element per id. Each record has its own reply.
        lists = [answer for answer in answers[:4] if isinstance(answer, list)]
        for i, job_id in enumerate(job_ids):
            has_record = answers[4 + i] == 1 and QueueKeys(queue).has_own_record(job_id)
            if has_record or any(answer[i] not in (None, 0) for answer in lists):
                yield queue, job_id


def _questions(keys: QueueKeys, job_ids: Sequence[str], names: Sequence[bytes]) -> list[Command]:
    return [
        ("SMISMEMBER", keys.ids, *names),
        ("HMGET", keys.states, *names),
        ("HMGET", keys.active, *names),
        ("ZMSCORE", keys.waiting, *names),
        *(("EXISTS", keys.record(job_id)) for job_id in job_ids),
    ]


class Bonds(Struct, frozen=True):
    """The dependencies of a job: the first ids of its `pending` parents and of the `children` that wait for
    it, and the number of all children."""

    pending: Sequence[str]
    children: Sequence[str]
    children_total: int


def read_bonds(
    client: redis.Redis, queue: str, job_ids: Sequence[str], most: int, warn: Callable[[WrongType], None]
) -> list[Bonds]:
    """The dependencies of a few jobs, at most `most` ids per set. `warn` is called for a key that cannot be
    read."""
    keys = QueueKeys(queue)
    sets = [key for job_id in job_ids for key in (keys.pending_parents(job_id), keys.children(job_id))]
    sizes = run_pipeline(client, [("SCARD", key) for key in sets], keep=WrongType)
    members: list[list[str]] = []
    for key, size in zip(sets, sizes, strict=True):
        if isinstance(size, WrongType):
            warn(size)
        is_empty = isinstance(size, WrongType) or not size
        members.append([] if is_empty else _some(client, key, most))
    totals = [0 if isinstance(size, WrongType) else int(size) for size in sizes]
    return [
        Bonds(members[i], members[i + 1], max(totals[i + 1], len(members[i + 1])))
        for i in range(0, len(sets), 2)
    ]


def _some(client: redis.Redis, key: bytes, most: int) -> list[str]:
    found = (to_text(member) for piece in scan.set_members(client, key) for member in piece)
    return sorted(set(islice(found, most)))
