"""The hash chain of the audit trail, on real entries: every manipulation is found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.audit.chain import ChainReport, Head, Link, examined
from asyncmq_cli.storage.client.scan import StreamEntry
from asyncmq_cli.storage.schema.keys import AUDIT_HEAD, AUDIT_STREAM
from asyncmq_cli.storage.write.audit_stream import AuditLog, EventDraft
from asyncmq_cli.storage.write.scripts import Scripts

COUNT, LIMIT = 30, 1000


@pytest.fixture(scope="module")
def written() -> tuple[Head, list[StreamEntry]]:
    """The head and the entries, oldest first."""
    with PrivateRedis() as server:
        client = redis.Redis.from_url(server.url)
        log = AuditLog(client, Scripts(client), LIMIT)
        for number in range(COUNT):
            details = {"reason": f"nr {number} \n ü \x00"}
            log.record(EventDraft("job.retry", "jobs.single", "mail", f"j{number}", "ann", details))
        head = Head.of(client.get(AUDIT_HEAD) or b"")
        assert head is not None and head.number == COUNT
        return head, client.xrange(AUDIT_STREAM)


def report_of(
    head: Head | None, entries: Sequence[StreamEntry], noted: Head | None = None, limit: int = LIMIT
) -> ChainReport:
    links = [Link.of(*entry) for entry in reversed(entries)]
    links = [replace(link, limit=limit) if link.number else link for link in links]
    return examined(head, links, noted=noted, first=links[-1].id if links else None)


def breaks(*args: object, **given: object) -> list[tuple[str, str | None, int]]:
    report = report_of(*args, **given)  # type: ignore[arg-type]
    return [(one.kind, one.id, one.count) for one in report.breaks]


def name(entry: StreamEntry) -> str:
    return entry[0].decode()


def test_what_the_scripts_write_is_whole(written: tuple[Head, list[StreamEntry]]) -> None:
    head, entries = written
    report = report_of(head, entries)
    assert (report.breaks, report.chained, report.unchained, report.trimmed) == ([], COUNT, 0, 0)
    assert report.oldest is not None and report.oldest.number == 1


@given(data=st.data())
def test_an_edit_of_any_field_is_found(written: tuple[Head, list[StreamEntry]], data: st.DataObject) -> None:
    head, entries = written
    place = data.draw(st.integers(0, COUNT - 1))
    entry_id, fields = entries[place]
    field = data.draw(st.sampled_from([b"timestamp", b"event", b"chain"]))
    old = fields[field]
    at = data.draw(st.integers(0, len(old)))
    cut = data.draw(st.integers(0, 3))
    new = old[:at] + data.draw(st.binary(max_size=3)) + old[at + cut :]
    edited = [*entries[:place], (entry_id, {**fields, field: new}), *entries[place + 1 :]]
    found = breaks(head, edited)
    assert found == ([] if new == old else [("edited", entry_id.decode(), 1)])


@given(place=st.integers(0, COUNT - 1), more=st.dictionaries(st.binary(min_size=1), st.binary(), min_size=1))
def test_a_field_more_or_less_is_an_edit(
    written: tuple[Head, list[StreamEntry]], place: int, more: dict[bytes, bytes]
) -> None:
    head, entries = written
    entry_id, fields = entries[place]
    if not more.keys() & fields.keys():
        edited = [*entries[:place], (entry_id, {**fields, **more}), *entries[place + 1 :]]
        assert breaks(head, edited) == [("edited", entry_id.decode(), 1)]
    for field in fields:
        left = {key: value for key, value in fields.items() if key != field}
        edited = [*entries[:place], (entry_id, left), *entries[place + 1 :]]
        assert breaks(head, edited) == [("edited", entry_id.decode(), 1)]


@given(place=st.integers(0, COUNT - 1), count=st.integers(1, 5))
def test_a_removal_is_found_with_its_number(
    written: tuple[Head, list[StreamEntry]], place: int, count: int
) -> None:
    head, entries = written
    gone = entries[place : place + count]
    left = [*entries[:place], *entries[place + count :]]
    assert breaks(head, left) == [("removed", name(gone[-1]), len(gone))]


@given(place=st.integers(0, COUNT), is_chained=st.booleans())
def test_what_was_put_in_is_found(
    written: tuple[Head, list[StreamEntry]], place: int, is_chained: bool
) -> None:
    head, entries = written
    source = entries[min(place, COUNT - 1)]
    milliseconds, _, number = name(source).partition("-")
    if place == COUNT:
        new_id = f"{int(milliseconds) + 1}-0"
    elif number == "0":
        new_id = f"{int(milliseconds) - 1}-99999"
    else:
        new_id = f"{milliseconds}-{int(number) - 1}"
        if place and new_id == name(entries[place - 1]):
            return
    fields = source[1] if is_chained else {k: v for k, v in source[1].items() if k != b"chain"}
    put_in = [*entries[:place], (new_id.encode(), fields), *entries[place:]]
    found = breaks(head, put_in)
    if place == 0 and not is_chained:
        # Like an event of before the chain: nothing is claimed for those.
        assert (found, report_of(head, put_in).unchained) == ([], 1)
    elif place == 0:
        assert found == [("restarted", new_id, 1)]
    else:
        assert found == [("forged" if is_chained else "unchained", new_id, 1)]


@given(place=st.integers(1, COUNT - 1), limit=st.integers(1, COUNT))
def test_trimming_is_no_break_but_only_down_to_the_limit(
    written: tuple[Head, list[StreamEntry]], place: int, limit: int
) -> None:
    head, entries = written
    report = report_of(head, entries[place:], limit=limit)
    if COUNT - place >= limit:
        assert (report.breaks, report.trimmed, report.chained) == ([], place, COUNT - place)
    else:
        assert [(one.kind, one.id, one.count) for one in report.breaks] == [
            ("removed", name(entries[place - 1]), place)
        ]


@given(place=st.integers(0, COUNT - 1))
def test_a_given_head_is_compared_with_the_chain(written: tuple[Head, list[StreamEntry]], place: int) -> None:
    head, entries = written
    link = Link.of(*entries[place])
    noted = Head.noted(f"{link.id}:{link.hash}")
    assert report_of(head, entries, noted).noted == "found"
    other = Head.noted(f"{link.id}:{'0' * 40}")
    assert breaks(head, entries, other) == [("edited", link.id, 1)]
    assert report_of(head, entries, other).noted is None
    after = entries[place + 1 :]
    if after:
        trimmed = report_of(head, after, noted, limit=1)
        assert (trimmed.noted, trimmed.breaks) == ("trimmed", [])
    # Somebody began a new chain, with a head of its own.
    assert ("removed", link.id, 1) in breaks(None, [], noted)


def test_entries_without_a_chain_are_no_break(written: tuple[Head, list[StreamEntry]]) -> None:
    head, entries = written
    old = [(b"%d-0" % at, {b"timestamp": b"1.5", b"event": b"{}"}) for at in (1, 2, 3)]
    report = report_of(head, [*old, *entries])
    assert (report.breaks, report.unchained, report.chained) == ([], 3, COUNT)
    report = report_of(None, old)
    assert (report.breaks, report.unchained, report.chained) == ([], 3, 0)


def test_a_lost_head_is_a_break(written: tuple[Head, list[StreamEntry]]) -> None:
    _, entries = written
    assert breaks(None, entries) == [("no_head", name(entries[-1]), 1)]


@pytest.mark.parametrize("text", ["", "1-1", "1-1:xyz", f"x-1:{'a' * 40}", f"1-1:{'a' * 41}"])
def test_text_that_is_no_head_is_refused(text: str) -> None:
    assert Head.noted(text) is None
    assert Head.of(text.encode()) is None
