"""The language of --where, against plain Python."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job, JobFilter
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.where import WhereProblem, compiled

NOW = 10_000.0
RECORD = {
    "id": "f1",
    "task": "app.send",
    "args": [7, {"deep": True}],
    "kwargs": {"tenant": "acme", "n": 3, "tags": ["a", "b"], "odd name": 1, "none": None, "in": "x"},
    "retries": 3,
    "created_at": 100.0,
    "last_error": "ValueError: no such user",
    "progress": 0.5,
}
JOB = Job("mail", "f1", "failed", RECORD, dead_at=NOW - 7200)


def holds(text: str, job: Job = JOB) -> bool:
    return compiled(text).holds(job, NOW)


@pytest.mark.parametrize(
    "text",
    [
        'kwargs.tenant == "acme" and retries >= 3 and age >= 2h',
        "kwargs['tenant'] != \"other\"",
        "args[0] == 7 and args.0 == 7.0 and args[-1].deep",
        'kwargs["odd name"] == 1',
        'kwargs.in == "x"',
        "kwargs.none == null and nowhere == null and kwargs.a.b.c == null",
        "not kwargs.none and not nowhere",
        'kwargs.tags contains "a" and kwargs contains "n" and task contains ".se"',
        'task =~ "^app[.]" and task !~ "mail" and kwargs.n !~ "3"',
        'state in ["failed", "expired"] and queue == "mail" and id == "f1"',
        "kwargs.n not in [1, 2] and kwargs.n in [3]",
        "created < 1970-01-02T12:00Z and died > 2000 and due == null and running == null",
        'error == "no such user" and error_type == "ValueError"',
        'progress < 1 and ("b" == "b" and 2 > 1)',
        "age < 1h or age == 2h",
        "not retries == 2 and not (retries == 3 and retries == 4)",
        "kwargs.n == 3e0 and 90s == 90 and 1h30m == 5400 and 500ms == 0.5",
        '"acme" == kwargs.tenant',
        '"acme" != nowhere and kwargs.tenant != kwargs.n and created == created_at',
    ],
)
def test_these_expressions_match(text: str) -> None:
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        'kwargs.n == "3"',
        "args[1].deep == 1",
        "kwargs.none < 1",
        "kwargs.none >= 0",
        'kwargs.n < "4"',
        'kwargs.tenant contains "ACME"',
        "args[9] == 7",
        "kwargs.tags.x == 1",
        "kwargs.n contains 3",
        "nowhere in [1]",
    ],
)
def test_other_types_and_missing_values_match_nothing(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('kwargs.tenant = "acme"', 14, "did not expect '=' here"),
        ('retries > "3"', 10, "retries is a number, and this is a text"),
        ('"3" == retries', 0, "retries is a number, and this is a text"),
        ("task in [1]", 9, "task is a text, and this is a number"),
        ('state == "faild"', 9, "no such state"),
        ("age > 2M", 6, "'2M' may mean months, which have no fixed length"),
        ("age > 2 parsecs", 8, "did not expect 'parsecs' here"),
        ("a == 2026-13-01", 5, "'2026-13-01' is not a date"),
        ("a == ", 4, "the expression ends too early"),
        ("(a == 1", 7, "the expression ends too early"),
        ('a == "x', 5, "did not expect '\"' here"),
        ("a == 1 && b", 7, "did not expect '&' here"),
        ("a > true", 4, "a boolean has no order"),
        ('task =~ "("', 8, "not a regular expression"),
        ("task =~ other", 8, "a pattern must be a string"),
        ("task != app.send", 8, "app.send is not a field"),
        ("(state == failed)", 10, "failed is not a field"),
        ("kwargs.to contains acme", 19, "acme is not a field"),
        ("age > older", 6, "older is not a field"),
        ("age.days == 1", 4, "age is a number, it has no parts"),
        ('a == "\\q"', 5, "the text has an escape that JSON does not know"),
        ("", 0, "the expression ends too early"),
        ("not " * 3000 + "a", 404, "the expression is nested too deeply"),
    ],
)
def test_an_error_points_at_the_place(text: str, place: int, message: str) -> None:
    with pytest.raises(WhereProblem) as raised:
        compiled(text)
    assert raised.value.message.startswith(f"--where: {message}")
    assert raised.value.details == {"column": place + 1}
    shown, caret = raised.value.excerpt
    if text.strip():
        assert shown[caret.index("^") :].strip() == text[place : place + 30].strip()


# An expression as text, with a function of the same meaning.
Meaning = Callable[[dict[str, Any]], bool]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(["", "a", "ab", "ü", '"', "\\"]),
)
NAMES = st.sampled_from(["a", "b", "c-d", "in", "or", "0"])
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def same(one: Any, other: Any) -> bool:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return (numbers or type(one) is type(other)) and bool(one == other)


def in_order(sign: str, one: Any, other: Any) -> bool:
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return (numbers or (isinstance(one, str) and isinstance(other, str))) and SIGNS[sign](one, other)


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Meaning]:
    name, value = draw(NAMES), draw(VALUES)
    spelt = json.dumps(value, ensure_ascii=draw(st.booleans()))
    path = draw(st.sampled_from([f"kwargs.{name}", f'kwargs["{name}"]']))
    kind = draw(st.sampled_from(["==", "!=", "in", "held", *SIGNS]))
    if kind == "held":
        return path, lambda kwargs: bool(kwargs.get(name))
    if kind == "in":
        return f"{path} in [1, {spelt}]", lambda kwargs: any(
            same(kwargs.get(name), each) for each in (1, value)
        )
    if kind in SIGNS:
        if value is None or isinstance(value, bool):
            value, spelt = 1, "1"
        return f"{path} {kind} {spelt}", lambda kwargs: in_order(kind, kwargs.get(name), value)
    return f"{path} {kind} {spelt}", lambda kwargs: same(kwargs.get(name), value) is (kind == "==")


def _joined(parts: tuple[Any, ...], word: str) -> tuple[str, Meaning]:
    text = f" {word} ".join(f"({part[0]})" for part in parts)
    every = all if word == "and" else any
    return text, lambda kwargs: every(part[1](kwargs) for part in parts)


EXPRESSIONS: Any = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        inner.map(lambda part: (f"not ({part[0]})", lambda kwargs: not part[1](kwargs))),
        st.builds(_joined, st.tuples(inner, inner), st.sampled_from(["and", "or"])),
    ),
    max_leaves=5,
)


@given(EXPRESSIONS, st.dictionaries(NAMES, VALUES))
def test_an_expression_means_the_same_as_in_python(
    expression: tuple[str, Meaning], kwargs: dict[str, Any]
) -> None:
    text, meaning = expression
    job = Job("q", "1", "waiting", {"id": "1", "kwargs": kwargs})
    assert holds(text, job) == meaning(kwargs)


@given(EXPRESSIONS, st.dictionaries(NAMES, VALUES))
def test_a_needle_is_in_all_that_matches(expression: tuple[str, Meaning], kwargs: dict[str, Any]) -> None:
    text, meaning = expression
    needle = compiled(text).needle
    if needle and meaning(kwargs):
        assert json.dumps(needle)[1:-1] in json.dumps(kwargs)


@pytest.mark.parametrize(
    ("text", "needle", "states"),
    [
        ('kwargs.tenant == "acme-corp" and state == "failed"', "acme-corp", {"failed"}),
        ('kwargs.a == "x" or kwargs.a == "y"', "", None),
        ('not kwargs.a == "x"', "", None),
        ('kwargs.a != "x"', "", None),
        ('state == "failed" or state in ["active", "waiting"]', "", {"failed", "active", "waiting"}),
        ('state == "failed" or kwargs.a == 1', "", None),
        ('state in ["failed", "active"] and state == "active"', "", {"active"}),
        ('not state == "failed"', "", None),
        ('queue == "mail" and id == "x" and result.a == "y" and error == "z"', "", None),
        ('"long one" == kwargs.a and kwargs.b contains "x"', "long one", None),
    ],
)
def test_the_needle_and_the_states_that_an_expression_implies(text: str, needle: str, states: Any) -> None:
    found = compiled(text)
    assert found.needle == needle
    assert found.states == (None if states is None else frozenset(states))


def test_a_filter_may_have_an_expression_beside_a_search() -> None:
    both = Matcher(JobFilter(q="acme", where="retries == 3"), NOW)
    assert both(JOB)
    assert both.prefilter is not None
    assert not Matcher(JobFilter(q="acme", where="retries == 4"), NOW)(JOB)
    assert Matcher(JobFilter(where="retries == 3"), NOW).prefilter is None
