from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.output.json.text import MAX_DEPTH, TOO_DEEP, encode
from asyncmq_cli.output.redaction.redact import (
    _BEHIND,
    _SIGNS,
    REDACTED,
    _is_clean,
    _redacted,
    _sign_in_json,
    _sign_in_text,
    _without_secrets,
    is_secret_name,
    redact,
    redact_text,
)
from tests.support.strategies import JSON_VALUES, same

PARTS = ["authorization", "api_key", "apikey", "credential", "password", "private_key", "secret", "token"]
NAMED = [
    "x_api_key",
    "AUTHORIZATION",
    "db_password",
    "clientSecret",
    "X-Api-Key",
    "accessToken",
    "credentials",
]


def _in_some_case(name: str, choices: list[bool]) -> str:
    return "".join(c.upper() if up else c for c, up in zip(name, choices * len(name), strict=False))


SECRET_KEYS = st.sampled_from(NAMED) | st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "x_", "db-", "client", "é "]),
    st.builds(_in_some_case, st.sampled_from(PARTS), st.lists(st.booleans(), min_size=1, max_size=5)),
    st.sampled_from(["", "s", "_v2", "Value", ": "]),
)
PLAIN_KEYS = st.sampled_from(["id", "user", "to", "key", "passenger", "authority", "private", "note"])
PLAIN_TEXTS = st.text("abc xyz:=\"'{}[]()\\/@-\n", max_size=12)
SECRETS = st.sampled_from(["hunter2", ["hunter2"], {"a": [{"b": "hunter2"}]}, "x\nhunter2"])


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    plain = st.dictionaries(PLAIN_KEYS, inner, max_size=3)
    secret = st.dictionaries(SECRET_KEYS, SECRETS, max_size=2)
    return st.builds(lambda left, right: {**left, **right}, plain, secret) | st.lists(inner, max_size=3)


WITH_SECRETS = st.recursive(st.none() | st.integers() | PLAIN_TEXTS, _objects, max_leaves=12)
WITHOUT_SECRETS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PLAIN_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_KEYS, inner, max_size=3),
    max_leaves=12,
)


def secrets_replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED if is_secret_name(key) else secrets_replaced(inner) for key, inner in value.items()
        }
    return [secrets_replaced(inner) for inner in value] if isinstance(value, list) else value


@given(SECRET_KEYS)
def test_a_key_with_a_secret_word_in_it_is_secret_in_any_case(key: str) -> None:
    assert is_secret_name(key)


@given(WITH_SECRETS)
@example({"a": [{"b": {"Authorization": {"scheme": "Bearer", "value": "hunter2"}}}]})
def test_no_secret_is_left_at_any_depth_and_all_else_is_as_it_was(data: Any) -> None:
    shown = redact(data)
    assert "hunter2" not in json.dumps(shown)
    assert same(shown, secrets_replaced(data))


@given(WITHOUT_SECRETS)
@example({"key": "abc", "note": "see https://host:8080/a, or x@y"})
def test_data_without_secrets_is_not_changed(data: Any) -> None:
    assert same(redact(data), data)


@given(WITH_SECRETS | JSON_VALUES)
@example(["password=hunter2", {"note": "Authorization: Bearer abc.def"}])
def test_redacting_twice_is_redacting_once(data: Any) -> None:
    once = redact(data)
    assert same(redact(once), once)


def test_a_secret_in_a_text_in_the_data_is_hidden_too() -> None:
    shown = redact({"args": ["login with password=hunter2"], "kwargs": {"url": "amqp://ada:hunter2@mq"}})
    assert shown == {
        "args": ["login with password=[redacted]"],
        "kwargs": {"url": "amqp://ada:[redacted]@mq"},
    }


def test_the_data_itself_is_left_alone() -> None:
    data = {"args": [{"token": "hunter2"}]}
    redact(data)
    assert data == {"args": [{"token": "hunter2"}]}


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH + 1, 100_000])
def test_a_secret_below_any_number_of_levels_is_hidden(depth: int) -> None:
    data: Any = {"token": "hunter2"}
    for level in range(depth):
        data = [data] if level % 2 else {"in": data}
    shown = encode(redact(data)).decode()
    assert "hunter2" not in shown
    assert (TOO_DEEP in shown) == (depth >= MAX_DEPTH)


def test_no_other_letter_counts_as_one_of_ascii() -> None:
    letters = re.compile("[a-z]", re.IGNORECASE)
    counting = [code for code in range(0x80, 0x110000) if letters.fullmatch(chr(code))]
    assert counting == [0x130, 0x131, 0x17F, 0x212A]


@given(WITH_SECRETS | JSON_VALUES)
@example(["To\u212aen=abc"])
@example({"pa\u017f\u017fword": "abc"})
@example({"url": "http://me:secure@host"})
@example({"url": "http:\\/\\/me:secure@host"})
@example([{"a": float("nan")}, 10**30, "\ud800", {"api_key": 1}])
def test_the_quick_check_never_misses_a_secret(data: Any) -> None:
    assert same(redact(data), _redacted(data, 0))


_NEAR_SIGNS = (
    *("https://", "me", ":", "@", "host", "/", "?", '"', "'", " ", "\n", "\t", "\\", "=", "abc123", "-", "_"),
    *("api", "Api", "access", "key", "Key", "KEY", "error", "Error"),
    *("Connection", "connection", "string", "refused", ".", "6379", "12345678", "#"),
)


@given(st.lists(st.sampled_from(_NEAR_SIGNS), max_size=12).map("".join), st.booleans())
def test_the_text_after_a_sign_decides_only_if_there_is_no_secret(text: str, is_name: bool) -> None:
    data = {text: "hunter2", "in": {text: "hunter2"}} if is_name else {"last_error": text}
    assert same(redact(data), _redacted(data, 0))
    assert redact_text(text) == _without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'country-1'",
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "TimeoutError: https://example.org/a took 30 s",
        "https://example.org:8443/a: refused",
        "no queues on redis://127.0.0.1:6379/0: is it the right database?",
    ],
)
def test_the_quick_check_finds_no_secret_in_frequent_errors(text: str) -> None:
    assert _is_clean({"error_traceback": text})


@given(st.lists(st.sampled_from([*_SIGNS, "a", " ", "\\", "-", "_", "1"]) | st.text(max_size=3), max_size=4))
def test_the_signs_of_secrets_are_found_wherever_they_stand(parts: list[str]) -> None:
    for cut in (slice(None), slice(1, None), slice(None, -1)):
        text = "".join(parts)[cut]
        is_there = any(re.search(re.escape(sign) + _BEHIND.get(sign, ""), text) for sign in _SIGNS)
        assert bool(_sign_in_text().search(text)) == is_there
        if is_there:
            assert _sign_in_json().search(encode([text]).lower())
