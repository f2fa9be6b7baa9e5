"""What went wrong with TLS before anything was said to the server, in words, and what to do about it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.models.address import Address

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def trouble(exc: BaseException, address: Address) -> tuple[str, str] | None:
    """The reason and a hint; None where it is not TLS that failed, or it needs no more words."""
    for cause in causes_of(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate was refused: {cause.verify_message}",
                "?ssl_ca_certs=FILE in the URL names who signed it; its host must be the certificate's",
            )
    unread = _unreadable(address)
    if unread is None:
        return None
    option, path, why = unread
    return f"{option} {path!r} cannot be read: {why}", f"name a PEM file with {option}=FILE in the URL"


def causes_of(exc: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the innermost last."""
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _unreadable(address: Address) -> tuple[str, str, str] | None:
    """The first of the address's files that cannot be read: its option, its path and why."""
    for option in _FILES:
        path = address.options.get(option)
        if path is not None:
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as exc:
                return option, path, exc.strerror or str(exc)
    return None
