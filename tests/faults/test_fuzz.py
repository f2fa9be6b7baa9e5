"""Fuzz the codec and the renderers with a million random texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from asyncmq_cli.models.jobs import JobDetail
from asyncmq_cli.output.json import documents
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.columns import tab_separated
from asyncmq_cli.output.text.job_detail import job_lines
from asyncmq_cli.services.backup.format import BadLine, is_cut, read_line
from asyncmq_cli.services.jobs.causes import job_error
from asyncmq_cli.storage.schema import codec
from asyncmq_cli.storage.schema.job import RawJob, add_record, hydrate
from tests.faults.hostile import NAMES, SECRET, TRACE, document
from tests.faults.scale import record, scaled, seeded
from tests.faults.test_hostile import _OBEYED
from tests.support import library

JOB_INPUTS = scaled(1_500, 100_000)
CODEC_INPUTS = scaled(3_000, 900_000)
"""A million in all."""

_TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"NaN", b"1e999", b"-0.0", b"\\ud800"),
    *(b"\xff", b"\x00", b"\x1b[31m", "\u202e".encode(), "\u0085".encode(), b"9" * 30, b"[" * 300, b"\\u0000"),
    *(b'"id"', b'"args"', b'"status"', b'"depends_on"', b"asyncmq:zlib-json:v1:", TRACE.encode()),
]


LINES = [
    b'{"backup":1,"run":"x","queue":"q","removed":[],"kept":["i"]}',
    b'{"backup":1,"run":"x","queue":"q","id":"i","in_ids":true,"cancelled":false,"waiting":[],"delayed":[],'
    b'"dlq":[{"score":1.5,"member":"m"}],"pending":[],"children":[],"parents":[]}',
]


def seeds() -> list[bytes]:
    made = json.dumps({**library.job("seed"), "last_error": TRACE, "error_traceback": TRACE})
    whole, payload = codec.encode_record({**library.job("large"), "args": ["z" * 70_000]})
    return [made.encode(), whole.encode(), (payload or "").encode()[:4000]]


def mutated(rng: random.Random, text: bytes) -> bytes:
    data = bytearray(text)
    for _ in range(rng.choice([0, 1, 1, 2, 4, 16])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data[at:at] = rng.choice(_TOKENS)
        elif kind == 1:
            del data[at : at + rng.choice([1, 2, 10, 100])]
        elif kind == 2 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 3:
            end = at + rng.randrange(40)
            data[at:at] = data[at:end]
        else:
            data[at:end] = rng.choice(_TOKENS) if (end := at + rng.randrange(20)) else b""
    return bytes(data)


def inputs(rng: random.Random, first: list[bytes]) -> Callable[[], bytes]:
    """Mutations of the seeds, and mutations of these in turn."""
    pool = list(first)

    def one() -> bytes:
        made = mutated(rng, rng.choice(pool))
        if len(made) < 6000:
            if len(pool) < 400:
                pool.append(made)
            elif rng.random() < 0.02:
                pool[rng.randrange(len(first), len(pool))] = made
        return made

    return one


def test_any_text_is_read_and_shown_without_harm() -> None:
    rng = seeded("fuzz jobs")
    names = [name.decode("utf-8", "surrogateescape") for name in NAMES]
    one = inputs(rng, [*seeds(), *(document(rng, rng.choice(NAMES)) for _ in range(40))])
    for number in range(JOB_INPUTS):
        text = one()
        raw = RawJob(
            id=rng.choice(names)[:50], state=rng.choice([None, "waiting", "failed", "active", "\x1b"])
        )
        add_record(raw, text)
        if number % 3 == 0:
            raw.member = codec.decode_member(one())
            raw.payload = one()
            raw.result = one()
            raw.claim = one()[:30]
        job = hydrate("q", raw, place=rng.choice([None, "waiting", "dlq"])).whole()
        shown = encode(documents.job(job, show_secrets=False)).decode("utf-8")
        assert _OBEYED.search(shown) is None, text
        json.loads(shown)
        line = tab_separated(job, views.jobs("all", show_secrets=False))
        assert _OBEYED.search(line) is None, text
        if number % 4 == 0:
            detail = JobDetail(job, job.get("result"), job_error(job))
            reported = "\n".join(job_lines(detail, now=1.7e9, show_secrets=False))
            assert _OBEYED.search(reported) is None, text
    record("Fuzzed jobs", runs=JOB_INPUTS, losses=0)


def test_decoded_values_equal_those_of_pythons_json() -> None:
    """Also, only lines of a backup are recognised as such."""
    rng = seeded("fuzz codec")
    one = inputs(rng, [*seeds(), *LINES])
    for _ in range(CODEC_INPUTS):
        text = one()
        try:
            mine = codec.loads(text)
        except codec.CorruptData as exc:
            assert SECRET not in str(exc)
            with pytest.raises((ValueError, RecursionError)):
                json.loads(text.decode("utf-8"))
        else:
            assert repr(mine) == repr(json.loads(text))
        try:
            read_line(text)
        except BadLine:
            is_cut(text)
    record("Fuzzed codec", runs=CODEC_INPUTS, losses=0)
