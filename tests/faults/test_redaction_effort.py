"""The time of redaction is linear in the length of a text, even if the text is made to be slow."""

from __future__ import annotations

import os
import time

import pytest

from asyncmq_cli.output.redaction.redact import redact_text
from tests.output.redaction.test_redact_forms import FORMS

# Beginnings of forms that the redaction recognises, without their ends.
BEGINNINGS = (
    *(
        "token",
        "password=",
        "password='",
        'password="\\',
        "secret ",
        "secret=[",
        "secret={'",
        "api_key_",
        "cookie: ",
    ),
    *(
        "authorization: ",
        "authorization: bearer ",
        "authorization: Digest a=b,",
        "; pwd=x' ",
        "<password ",
        "<password>",
    ),
    *(
        "['token', 'x",
        '["token", \\"',
        "token: |\n",
        "token:\n  - ",
        "redis://u:",
        "redis://u:@",
        "a://a",
        "sk-",
        "eyJ",
    ),
    *(
        "eyJa.",
        "eyJaaaaaaaaa-",
        "Bearer a",
        "-----BEGIN PRIVATE KEY-----",
        "private_key=-----BEGIN ",
        "name=token ",
    ),
    *(
        "name: token\n",
        "<name>token</name><value>",
        "INSERT INTO a (token) VALUES (",
        "Key (token)=(",
        "login a ",
    ),
    *(
        "[SQL: token [parameters: (",
        "[parameters: (",
        "input_value=",
        "'loc': ('token') ",
        "mysql -p",
        "Command '",
    ),
    *(
        "IDENTIFIED BY '",
        "--token ",
        "--token', '",
        "&key=aaaaaaaaaaaaaaaaaaaa",
        "%22token%22%3A%22",
        "&quot;token&quot;:",
    ),
    *(
        '"token":"',
        "u:p@tcp(",
        "password('",
        "token: Optional[",
        "unexpected token: ",
        "_",
        "\\",
        "'",
        "12345678:AA",
    ),
)
SMALL = 20_000
TIMES = 8
"""A text so many times as long may take twice as many times as long; a square would take eight times."""
WHOLE = os.environ.get("FAULTS") == "whole"


def effort(text: str) -> float:
    def once() -> float:
        start = time.process_time()
        redact_text(text)
        return time.process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("text", BEGINNINGS, ids=lambda text: text.encode("unicode_escape").decode()[:40])
def test_a_secret_after_a_hostile_text_is_redacted(text: str) -> None:
    assert "hunter2" not in redact_text(text * (SMALL // len(text)) + "\n'\"}] password=hunter2")


if WHOLE:

    @pytest.mark.parametrize(
        "text",
        (*BEGINNINGS, *(text for texts in FORMS.values() for text in texts)),
        ids=lambda text: text.encode("unicode_escape").decode()[:40],
    )
    def test_a_longer_text_takes_longer_by_its_length_alone(text: str) -> None:
        small, large = (text * (size // len(text)) for size in (SMALL, TIMES * SMALL))
        # A few milliseconds cannot be measured reliably.
        assert effort(large) < 2 * TIMES * max(effort(small), 0.005)
