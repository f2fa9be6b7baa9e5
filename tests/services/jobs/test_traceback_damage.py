"""A stored traceback may be truncated anywhere, or may not be a traceback at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.causes import MAX_FRAMES, job_error, raised_last
from tests.support.strategies import ANY_TEXT, JSON_VALUES
from tests.support.tracebacks import (
    CAUSE,
    CONTEXT,
    LINES,
    agrees_with_python,
    chain_of,
    fail,
    fail_in_handler,
    fail_with_unraised_cause,
    frames_of,
    raised_by,
    read,
    text_of,
    texts_of,
)


@pytest.mark.parametrize("call", [fail, fail_in_handler, fail_with_unraised_cause])
def test_text_before_a_cut_is_still_read(call: Callable[[], None]) -> None:
    exc = raised_by(call)
    whole, texts, frames = text_of(exc), texts_of(chain_of(exc)), frames_of(chain_of(exc))
    for end in range(1, len(whole)):
        error = read(whole[:end])
        found = [(frame.path, frame.line, frame.function) for frame in error.frames]
        # A cut may go through the number or the name in the last line.
        expected = [frame[:3] for frame in frames[: len(found)]]
        assert found[:-1] == expected[:-1]
        if found and end > whole.index(texts[0]) + len(texts[0]):
            *earlier, last = error.chain
            assert earlier == texts[: len(earlier)]
            # The last of them may be cut, or have the start of the sentence after it.
            text = texts[len(earlier)]
            assert text.startswith(last) or last.startswith(f"{text}\n\n")
        if found and any(f"{texts[0]}\n\n{sentence}" in whole[:end] for sentence in (CAUSE, CONTEXT)):
            assert error.root_cause == texts[0]


def test_frames_are_kept_where_the_error_itself_was_cut_off() -> None:
    whole = text_of(raised_by(fail))
    cut = whole[: whole.index("ValueError: ")]
    error = job_error(Job("q", "1", "failed", {"last_error": "ValueError: gone", "error_traceback": cut}))
    assert error is not None
    assert (error.type, error.message, error.traceback) == ("ValueError", "gone", cut)
    assert [frame.function for frame in error.frames][-1] == "fail"


@given(st.data())
def test_a_cut_at_both_ends_is_never_a_crash(data: st.DataObject) -> None:
    whole = text_of(raised_by(fail_in_handler))
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    # A blank text counts as missing.
    assume(whole[start:end].strip())
    error = read(whole[start:end])
    assert error.chain and all(text in whole for text in error.chain)


@given(st.lists(LINES | ANY_TEXT, max_size=12).map("\n".join))
@example("Traceback (most recent call last):")
@example('Traceback (most recent call last):\n  File "a", line 99999999999999999999, in f')
def test_any_text_is_read_without_a_crash(text: str) -> None:
    job = Job("q", "1", "failed", {"error_traceback": text, "last_error": text})
    error = job_error(job)
    if not text.strip():
        assert error is None
    else:
        assert error is not None and error.chain[0] == error.root_cause
        assert error.traceback in (text, None)
        assert raised_last(job) == (error.type, error.message)


@given(st.dictionaries(st.sampled_from(["error_traceback", "stack", "last_error", "error"]), JSON_VALUES))
def test_a_value_of_any_type_can_stand_where_a_traceback_should(record: dict[str, object]) -> None:
    job = Job("q", "1", "failed", record)
    error = job_error(job)
    values = [value.strip() if isinstance(value, str) else value for value in record.values()]
    assert (error is not None) == any(values)
    assert raised_last(job) == (None if error is None else (error.type, error.message))


def test_a_sandboxed_tasks_traceback_stays_part_of_its_message() -> None:
    inner = text_of(raised_by(fail))
    agrees_with_python(raised_by(lambda: fail(f"Task 'mail' error ValueError: no such address\n{inner}")))


def test_words_before_a_traceback_are_no_exception_and_an_indented_traceback_is_read() -> None:
    exc = raised_by(fail_in_handler)
    whole = text_of(exc)
    logged = read(f"worker 3: job failed\n\n{whole}")
    assert logged.chain == texts_of(chain_of(exc))
    indented = read("".join(f"        {line}" for line in whole.splitlines(keepends=True)))
    assert indented.chain == logged.chain
    assert indented.frames == logged.frames
    assert read(whole.replace("\n", "\r\n")).frames == logged.frames


def test_no_more_than_a_bounded_number_of_frames_is_kept() -> None:
    def even(depth: int) -> None:
        odd(depth - 1)

    def odd(depth: int) -> None:
        even(depth - 1) if depth > 0 else fail()

    error = read(text_of(raised_by(lambda: even(200))))
    assert error.message == "no such address"
    assert len(error.frames) == MAX_FRAMES
