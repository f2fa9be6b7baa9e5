"""Tracebacks as a worker stores them, and how Python itself describes them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job, JobError
from asyncmq_cli.services.jobs.causes import job_error, raised_first, raised_last
from tests.support.strategies import ANY_TEXT

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"
LINES = st.sampled_from(
    [
        "",
        CAUSE,
        CONTEXT,
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        '  File "/app/mail.py", line 3, in send',
        "    raise ValueError",
        "  | ",
        "  +-+---------------- 1 ----------------",
        "KeyError: 'x'",
        "  [Previous line repeated 3 more times]",
        "    ~~^~~",
    ]
)
MESSAGES = ANY_TEXT | st.lists(LINES | ANY_TEXT, max_size=6).map("\n".join)
"""Of any text, and of lines that a traceback is made of."""


def fail(message: str = "no such address") -> None:
    raise ValueError(message)


def fail_with_cause() -> None:
    try:
        fail()
    except ValueError as exc:
        raise RuntimeError("could not send") from exc


def fail_in_handler() -> None:
    try:
        fail_with_cause()
    except RuntimeError:
        {}["fallback"]


def fail_with_unraised_cause() -> None:
    try:
        raise RuntimeError("could not send") from ValueError("no such address")
    except RuntimeError as exc:
        raise LookupError("mail") from exc


def dead(
    kind: str,
    message: str,
    *,
    job_id: str = "x",
    died: float = 1.0,
    task: str = "t",
    queue: str = "q",
    **fields: object,
) -> Job:
    """A job that died from this exception."""
    text = f'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n{kind}: {message}\n'
    return Job(queue, job_id, "failed", {"task": task, "error_traceback": text, **fields}, dead_at=died)


def imitates_python(message: str) -> bool:
    """Whether a text between two empty lines looks like a sentence that Python writes between chained
    tracebacks."""
    return re.search(rf"\n\s*\n\s*({CAUSE}|{CONTEXT})", f"\n{message}") is not None


def raised_by(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as exc:
        return exc
    raise AssertionError("nothing was raised")


def text_of(exc: BaseException) -> str:
    return "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))


def read(text: str) -> JobError:
    """The error that the tool parses from a job whose worker stored this text."""
    job = Job("q", "1", "failed", {"last_error": text, "error_traceback": text})
    error = job_error(job)
    assert error is not None
    # The shortcut must give the same result.
    assert raised_last(job) == (error.type, error.message)
    if text.startswith("Traceback (most recent call last):\n") and "Exception Group" not in text:
        kind, message = raised_first(job) or (None, "")
        root = message if kind is None else f"{kind}: {message}"
        assert root.rstrip(": ") == (error.root_cause or "").rstrip(": ")
    return error


def chain_of(exc: BaseException) -> list[traceback.TracebackException]:
    """The exceptions that Python prints, in its order: the root cause first."""
    link: traceback.TracebackException | None = traceback.TracebackException.from_exception(exc)
    chain = []
    while link is not None:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain[::-1]


def texts_of(chain: Sequence[traceback.TracebackException]) -> list[str]:
    return ["".join(link.format_exception_only()).rstrip() for link in chain]


def frames_of(chain: Sequence[traceback.TracebackException]) -> list[tuple[str, int | None, str, str]]:
    return [
        (frame.filename, frame.lineno, frame.name, (frame.line or "").split("\n")[0])
        for link in chain
        for frame in link.stack
    ]


def agrees_with_python(exc: BaseException) -> JobError:
    """Assert that all values that the tool parses agree with Python."""
    error, chain = read(text_of(exc)), chain_of(exc)
    texts = texts_of(chain)
    kind = type(exc)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    assert error.type == module + kind.__qualname__
    assert error.message == str(exc).rstrip()
    assert error.chain == texts
    assert error.root_cause == texts[0]
    assert [(frame.path, frame.line, frame.function, frame.source) for frame in error.frames] == frames_of(
        chain
    )
    assert error.traceback == text_of(exc)
    return error
