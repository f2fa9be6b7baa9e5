"""Find the login that the URL does not have: a password from a file or a command, or a short-lived token
of AWS IAM or Microsoft Entra ID.

For tokens, redis-py asks a credential provider for user and password for each connection. The libraries that
they need are extras, `asyncmq-cli[aws]` and `asyncmq-cli[azure]`.
"""

from __future__ import annotations

import codecs
import functools
import logging
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from redis.credentials import CredentialProvider

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.storage.client.replies import WrongServer
from asyncmq_cli.system.files import drain, read_bounded

if TYPE_CHECKING:
    from asyncmq_cli.config import Config

FORMS = "aws:CACHE:REGION, aws-serverless:CACHE:REGION, aws-memorydb:CLUSTER:REGION or azure"
_AWS = {"aws": "elasticache", "aws-serverless": "elasticache", "aws-memorydb": "memorydb"}
_TOKEN_SECONDS = 900
_ENTRA_SCOPE = "https://redis.azure.com/.default"


# These libraries would log tracebacks and advice to the operator's screen.
for _name in ("azure", "botocore", "msal", "redis_entraid"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


def provider(setting: str, user: str | None) -> CredentialProvider:
    """The credential provider that the setting names, for this user. Raises UsageProblem."""
    kind, *names = setting.split(":")
    if kind == "azure" and not names:
        return _Reporting(kind, _entra())
    if kind not in _AWS or len(names) != 2 or not all(names):
        raise UsageProblem(f"credentials cannot be {setting!r}", hint=f"choose from {FORMS}")
    if user is None:
        raise UsageProblem(
            f"credentials = {setting!r} need a user", hint="put it into the URL: rediss://USER@HOST"
        )
    return _Reporting(kind, _Iam(user, *names, kind=kind))


class _Reporting(CredentialProvider):
    """Converts any exception of a provider's library into WrongServer."""

    def __init__(self, kind: str, provider: Any) -> None:
        self._kind, self._provider = kind, provider

    def get_credentials(self) -> Any:
        try:
            return self._provider.get_credentials()
        except Exception as exc:
            # Keep only the first line; the rest of the message describes every way to log in.
            why = str(exc).strip().partition("\n")[0].strip() or type(exc).__name__
            raise WrongServer("redis_credentials", f"no credentials from {self._kind}: {why}") from exc


class _Iam(CredentialProvider):
    """Provides IAM tokens: the password is a `connect` request, signed with the AWS credentials that botocore
    finds."""

    def __init__(self, user: str, name: str, region: str, *, kind: str) -> None:
        try:
            import botocore.session
            from botocore.model import ServiceId
            from botocore.signers import RequestSigner
        except ImportError as exc:
            raise _missing("aws", "botocore") from exc
        self._user, self._name, self._region = user, name, region
        self._query = {"Action": "connect", "User": user}
        if kind == "aws-serverless":
            self._query["ResourceType"] = "ServerlessCache"
        session = botocore.session.get_session()
        service = _AWS[kind]
        self._signer = RequestSigner(
            ServiceId(service),
            region,
            service,
            "v4",
            session.get_credentials(),
            session.get_component("event_emitter"),
        )

    def get_credentials(self) -> tuple[str, str]:
        url = f"https://{self._name}/?{urlencode(self._query)}"
        request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
        signed: str = self._signer.generate_presigned_url(
            request, operation_name="connect", expires_in=_TOKEN_SECONDS, region_name=self._region
        )
        return self._user, signed.removeprefix("https://")


def _entra() -> Any:
    try:
        from redis_entraid.cred_provider import create_from_default_azure_credential
    except ImportError as exc:
        raise _missing("azure", "redis-entraid") from exc
    return create_from_default_azure_credential((_ENTRA_SCOPE,))


def _missing(extra: str, library: str) -> UsageProblem:
    return UsageProblem(
        f"credentials of {extra} need the library {library}", hint=f"pip install 'asyncmq-cli[{extra}]'"
    )


MAX_PASSWORD = 64 * 1024
COMMAND_WITHIN = 30.0
"""Seconds. This is long because a password manager may first ask the user to unlock it."""


def password(config: Config) -> str | None:
    """The password from `password_file` or `password_command`, else from the URL, or None. Raises
    UsageProblem."""
    if config.password_file is not None:
        return _of_file(config.password_file)
    if config.password_command is not None:
        return _of_command(config.password_command)
    return config.address.password


@functools.cache
def _of_file(path: str) -> str:
    try:
        return _whole(read_bounded(Path(path), MAX_PASSWORD), f"the password file {path!r}")
    except OSError as exc:
        raise UsageProblem(f"cannot read the password file: {exc}") from exc


@functools.cache
def _of_command(words: tuple[str, ...]) -> str:
    """The password that a program prints. It runs once per process, without a shell and without input. Its
    stderr is not shown, because it may contain the password."""
    # Name only the program, because its arguments may contain a secret.
    name = f"the password command {words[0]!r}"
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as exc:
        raise UsageProblem(f"{name} cannot be started: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            printed = drain(process.stdout.fileno(), MAX_PASSWORD, COMMAND_WITHIN)
        status = process.wait(COMMAND_WITHIN)
    except (OSError, subprocess.TimeoutExpired) as exc:
        why = getattr(exc, "strerror", None) or f"it did not end within {COMMAND_WITHIN:g} s"
        raise UsageProblem(f"gave up on {name}: {why}") from exc
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
    if status != 0:
        raise UsageProblem(f"{name} failed with status {status}", hint="run it by hand to see why")
    return _whole(printed, f"the output of {name}")


def _whole(data: bytes, what: str) -> str:
    line = data.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise UsageProblem(f"{what} is empty")
    if b"\n" in line:
        raise UsageProblem(f"{what} has more than one line", hint="it must be the password alone")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UsageProblem(f"{what} is not UTF-8") from None
