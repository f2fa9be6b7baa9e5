"""Many commands in one round trip, each about one key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage.read.scan import WrongType

Question = tuple[Any, ...]
"""A command: its name, the key that it is about, and what else it takes."""


def ask(client: redis.Redis, questions: Sequence[Question]) -> list[Any]:
    """The reply to each; a WrongType is in the place of one whose key holds something else.

    Raises what else Redis said.
    """
    if not questions:
        return []
    pipe: Any = client.pipeline(transaction=False)
    for question in questions:
        pipe.execute_command(*question)
    replies = pipe.execute(raise_on_error=False)
    return [_settled(question[1], reply) for question, reply in zip(questions, replies, strict=True)]


def answer(reply: Any) -> Any:
    """One of these replies. Raises the WrongType that it is."""
    if isinstance(reply, WrongType):
        raise reply
    return reply


def _settled(key: bytes, reply: Any) -> Any:
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return WrongType(key)
    if isinstance(reply, Exception):
        raise reply
    return reply
