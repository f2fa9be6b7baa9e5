"""Explain TLS failures: the reason, and what to do about it."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import DEFAULT_PORT

if TYPE_CHECKING:
    from asyncmq_cli.models.address import Address

PROBED_WITHIN = 1.0
"""Seconds for a probe of the server."""
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SAYS = b"PING\r\n"
_NO_SERVER = (ConnectionRefusedError, FileNotFoundError, socket.gaierror)


def trouble(exc: BaseException, address: Address, seconds: float) -> tuple[str, str] | None:
    """The reason and a hint; None if TLS did not fail, or nothing more is known. May probe the server for
    TLS, for at most `seconds` seconds; the probe sends nothing secret."""
    for cause in causes_of(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate was refused: {cause.verify_message}",
                "add ?ssl_ca_certs=FILE to the URL to trust its CA; its host must be in the certificate",
            )
    unread = _unreadable(address)
    if unread is not None:
        option, path, why = unread
        return f"{option} {path!r} cannot be read: {why}", f"name a PEM file with {option}=FILE in the URL"
    unusable = _unusable(address)
    if unusable is not None:
        return unusable
    places = address.sentinels or ([(address.host, address.port or DEFAULT_PORT)] if address.host else [])
    if not places or any(isinstance(cause, _NO_SERVER) for cause in causes_of(exc)):
        return None
    within = min(seconds, PROBED_WITHIN)
    kind = "-sentinel" if address.sentinels else ""
    if address.uses_tls and _answers(*places[0], within, tls=False):
        return "that port does not use TLS", f"use redis{kind}:// instead of rediss{kind}://"
    if not address.uses_tls and _answers(*places[0], within, tls=True):
        return "that port uses TLS", f"use rediss{kind}:// instead of redis{kind}://"
    if address.sentinels:
        return None
    hung_up = any(isinstance(cause, ssl.SSLError | ConnectionError) for cause in causes_of(exc))
    if hung_up and address.uses_tls and "ssl_certfile" not in address.options:
        # Since TLS 1.3 a server refuses only after the handshake, often by closing the connection.
        return (
            "it closed the connection after the TLS handshake",
            "if it wants a client certificate, add ssl_certfile=FILE and ssl_keyfile=FILE to the URL",
        )
    return None


def _answers(host: str, port: int, seconds: float, *, tls: bool) -> bool:
    """Whether the server completes a TLS handshake or, without `tls`, replies like Redis in plain text."""
    try:
        with socket.create_connection((host, port), seconds) as plain:
            if not tls:
                plain.sendall(_SAYS)
                return plain.recv(1) in (b"+", b"-")
            # Nothing secret is sent, so the certificate is not verified.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain, server_hostname=host):
                return True
    except ssl.SSLError as exc:
        # An alert proves that the server uses TLS; it wants a client certificate or another version.
        return "ALERT" in (exc.reason or "")
    except (OSError, ValueError):
        return False


def require_files(address: Address) -> None:
    """Raise UsageProblem if a file in the URL is a FIFO or a device: OpenSSL would wait or read forever."""
    for option in _FILES:
        path = address.options.get(option)
        if path is not None and Path(path).exists() and not Path(path).is_file():
            raise UsageProblem(f"{option} {path!r} is not a regular file", hint="name a PEM file")


def causes_of(exc: BaseException) -> Iterator[BaseException]:
    """An error and its causes, the innermost last."""
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _unreadable(address: Address) -> tuple[str, str, str] | None:
    """The first file in the URL that cannot be read: its option, its path, and the reason. None if all can be
    read."""
    for option in _FILES:
        path = address.options.get(option)
        if path is not None:
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as exc:
                return option, path, exc.strerror or str(exc)
    return None


def _unusable(address: Address) -> tuple[str, str] | None:
    """The error about a file that the URL names, and its hint. None if OpenSSL accepts all of them."""
    trusted, own, key = (address.options.get(option) for option in _FILES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted is not None:
        try:
            context.load_verify_locations(cafile=trusted)
        except (OSError, ValueError):
            return f"ssl_ca_certs {trusted!r} has no certificate", "name a PEM file with the CAs to trust"
    if own is not None:
        try:
            # Always pass a password, because OpenSSL would ask for a missing one on the terminal.
            context.load_cert_chain(own, key, password=str(address.options.get("ssl_password") or "-"))
        except (OSError, ValueError):
            files = f"ssl_certfile {own!r}" + ("" if key is None else f" and ssl_keyfile {key!r}")
            return (
                f"{files} {'is' if key is None else 'are'} not a certificate and its key",
                "name PEM files that belong together, and the password of the key with ssl_password",
            )
    return None
