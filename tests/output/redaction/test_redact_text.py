from __future__ import annotations

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmq_cli.output.redaction.redact import REDACTED, redact, redact_text
from tests.output.redaction.test_redact_data import SECRET_KEYS
from tests.support.strategies import ANY_TEXT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2", "password=[redacted]"),
        ("login failed: PASSWORD = hunter2, user = bob", "login failed: PASSWORD = [redacted], user = bob"),
        ('"api_token": "hunter2"', '"api_token": "[redacted]"'),
        ('"clientSecret":"hunter2","n":1', '"clientSecret":"[redacted]","n":1'),
        ("{'secret_key': b'hunter2', 'n': 1}", "{'secret_key': b'[redacted]', 'n': 1}"),
        ('"password": "say \\"hunter2\\"", "n": 1', '"password": "[redacted]", "n": 1'),
        ('"password": "hunter2', '"password": "[redacted]'),
        ('{"credentials": {"user": "bob", "pass": ["hunter2"]}}', '{"credentials": [redacted]}'),
        ("Login(password=SecretStr('hunter2'), n=1)", "Login(password=[redacted], n=1)"),
        ('body={\\"token\\": \\"hunter2\\", \\"n\\": 1}', 'body={\\"token\\": \\"[redacted]\\", \\"n\\": 1}'),
        ('"{\\"token\\": \\"hunter2", "to": "bob"', '"{\\"token\\": \\"[redacted]", "to": "bob"'),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("authorization: Basic aHVudGVyMg==\r\nHost: a", "authorization: [redacted]\r\nHost: a"),
        ("passwordHash: hunter2", "passwordHash: [redacted]"),
        ("x-api-key: hunter2", "x-api-key: [redacted]"),
        ("redis://user:hunter2@host/0", "redis://user:[redacted]@host/0"),
        ("amqp://:hun@ter2@host, then bob@host", "amqp://:[redacted]@host, then bob@host"),
        ("GET /?token=hunter2&n=1", "GET /?token=[redacted]&n=1"),
        ("first\n  db_password: hunter2\nlast", "first\n  db_password: [redacted]\nlast"),
        ("private_key=-----BEGIN KEY-----\nhunter2\n-----END KEY-----\nlast", "private_key=[redacted]\nlast"),
    ],
)
def test_only_values_of_secret_names_are_hidden(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "TokenError: no such user",
        "cryptography.fernet.InvalidToken: the message was changed",
        "KeyError: 'token'",
        "AuthorizationFailed: for bob",
        "tokenizer: bert, secretary: Ann",
        "the password of bob has expired",
        "https://example.org:8080/token/refresh failed for bob@example.org",
        "password=",
        '{"id": "1", "status": "failed"}',
    ],
)
def test_a_text_that_only_speaks_of_secrets_is_not_changed(text: str) -> None:
    assert redact_text(text) == text


@given(SECRET_KEYS.filter(lambda key: ":" not in key), ANY_TEXT, st.integers(0, 3))
@example("password", '\\"\\', 3)
@example("password", "\\", 0)
@example("password", "\\", 1)
@example("apiKey", "'", 0)
def test_json_inside_json_text_keeps_its_shape_and_loses_its_secrets(
    key: str, middle: str, levels: int
) -> None:
    def wrapped(document: object) -> str:
        text = json.dumps(document)
        for _ in range(levels):
            text = json.dumps({"body": text, "n": 1})
        return text

    document = {"user": "bob", key: f"hunter2{middle}", "city": "Ulm"}
    assert redact_text(wrapped(document)) == wrapped(redact(document))


@given(SECRET_KEYS.filter(lambda key: ":" not in key), ANY_TEXT, st.booleans())
def test_the_repr_of_python_data_keeps_its_shape_and_loses_its_secrets(
    key: str, middle: str, as_bytes: bool
) -> None:
    secret = f"hunter2{middle}"
    value = secret.encode("utf-8", "surrogatepass") if as_bytes else secret
    text = repr({"user": "bob", key: value, "city": "Ulm"})
    shown = redact_text(text)
    quote = repr(value)[-1]
    assert shown == text.replace(repr(value), f"{'b' * as_bytes}{quote}{REDACTED}{quote}")


PIECES = st.sampled_from(
    [
        *(
            "--password ",
            "<password>",
            "</password>",
            "Cookie: ",
            "a=b",
            "|\n  ",
            "- ",
            "name",
            "value",
            "mysql ",
        ),
        *(" -p", "input_value=", "Key (", "PASSWORD ", "IDENTIFIED BY ", "curl -u ", "%22", "&quot;", "auth"),
        *(
            "password",
            "token",
            "Token",
            "Error",
            "api_key",
            "authorization",
            "Bearer ",
            "hunter2",
            "bob",
            "-",
            "_",
        ),
        *(
            "=",
            ":",
            "=>",
            ": ",
            " ",
            "\n",
            '"',
            "'",
            "\\",
            '\\"',
            "{",
            "}",
            "[",
            "]",
            "(",
            ")",
            ",",
            ";",
            "&",
            "b'",
        ),
        *("redis://", "u:", "@", "/", "-----BEGIN K-----", "-----END K-----", REDACTED),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join))
@example("--password auth[redacted]--password ")
@example("--password \ninput_value=input_value=")
@example("Cookie: a=b=>")
@example("Cookie: a=b'c=d'")
@example("Cookie: abc; d=e")
@example("Cookie: -----BEGIN K-------password --password ")
def test_redacting_a_text_twice_is_redacting_it_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.from_regex(r"[^\s\"',;&()\[\]{}:/?#@]+", fullmatch=True))
def test_the_password_in_any_url_is_hidden_whole(password: str) -> None:
    assume(password.lower() not in ("b", "u"))
    assert redact_text(f"cannot reach redis://ada:{password}@host:1/0 now") == (
        "cannot reach redis://ada:[redacted]@host:1/0 now"
    )


@pytest.mark.parametrize("password", ["ab[cd]ef", "ab(cd)ef", "ab{c}d[e]f", "ab[redacted]ef"])
def test_a_password_continues_after_a_bracket(password: str) -> None:
    assert redact_text(f"--password {password} next") == "--password [redacted] next"
    assert redact_text(f"password={password} next") == "password=[redacted] next"
