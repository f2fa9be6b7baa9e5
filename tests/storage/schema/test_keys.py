from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.storage.schema.keys import (
    AUDIT_STREAM,
    DISCOVERY_PATTERN,
    QueueKeys,
    queue_of,
    to_bytes,
    to_text,
)
from tests.support.strategies import ANY_TEXT

_TROUBLE = st.sampled_from(
    [
        ":",
        "*",
        "?",
        "[a-z]",
        "\\",
        "\x00",
        "\n",
        "ü",
        "\udcff",
        ":waiting",
        "waiting:seq",
        ":ids",
        "jobs:",
        "queue:",
    ]
)
NAMES = st.lists(ANY_TEXT | _TROUBLE, max_size=5).map("".join)


def glob(pattern: bytes) -> re.Pattern[bytes]:
    """Match like a glob of Redis, as far as the pattern uses it."""
    translated = b"".join(
        b".*" if part == b"*" else part if part.startswith(b"[") else re.escape(part)
        for part in re.findall(rb"\[[^\]]*\]|.", pattern, re.DOTALL)
    )
    return re.compile(translated, re.DOTALL)


@given(NAMES)
@example("")
@example(":")
@example("a:waiting")
@example("a:waiting:seq")
@example("a:ids")
def test_each_key_that_proves_a_queue_leads_back_to_it_and_is_found(queue: str) -> None:
    for key, kind in QueueKeys(queue).evidence().items():
        # A key under `jobs:` may also be the record of a job, so its type must be checked.
        assert queue_of(key) == (to_bytes(queue), None if key.startswith(b"queue:") else kind)
        assert glob(DISCOVERY_PATTERN).fullmatch(key)


@given(NAMES)
def test_the_keys_by_name_are_the_ones_that_prove_the_queue(queue: str) -> None:
    keys = QueueKeys(queue)
    by_name = {
        *(
            keys.waiting,
            keys.waiting_seq,
            keys.delayed,
            keys.dlq,
            keys.active,
            keys.heartbeats,
            keys.cancelled,
        ),
        *(keys.paused, keys.repeatables, keys.worker_heartbeats, keys.ids, keys.states, keys.results),
    }
    assert by_name == set(keys.evidence())


def test_a_record_whose_id_ends_like_a_key_proves_its_queue_only_by_type() -> None:
    assert queue_of(QueueKeys("emails").record("x:ids")) == (b"emails:x", b"set")
    assert queue_of(QueueKeys("emails").record("x")) is None
    assert queue_of(QueueKeys("emails").payload("x:ids")) is None


@given(NAMES, NAMES)
def test_the_keys_of_dependencies_and_of_the_tool_prove_no_queue(queue: str, job_id: str) -> None:
    keys = QueueKeys(queue)
    for key in (keys.pending_parents(job_id), keys.children(job_id), AUDIT_STREAM):
        assert queue_of(key) is None


@given(st.binary())
@example(b"\xed\xa0\x80")
@example(b"\xc3\xbc\xff")
def test_any_bytes_survive_being_a_text(name: bytes) -> None:
    assert to_bytes(to_text(name)) == name


@given(ANY_TEXT)
@example("\ud800")
@example("\ud800\udcff")
def test_any_text_has_a_stored_form(text: str) -> None:
    stored = to_bytes(text)
    if not re.search("[\ud800-\udfff]", text):
        assert stored == text.encode()
    assert to_bytes(to_text(stored)) == stored
