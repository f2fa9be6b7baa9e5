"""Where Redis is and who acts: flag > environment > file > default."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import Address, parse
from asyncmq_cli.models.values import COLOR_CHOICES

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
DEFAULT_TIMEOUT = 5.0
DEFAULT_AUDIT_MAXLEN = 100_000
DEFAULT_MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of one stored value that are read, once it is unpacked."""
_LEAST_PAYLOAD = 1024 * 1024
DEFAULT_HEARTBEAT_TTL = 30.0
"""Seconds; AsyncMQ's own `heartbeat_ttl` where its settings do not say otherwise."""
_FILE = "the configuration file"
FILE_KEYS = ("redis_url", "password_file", "password_command", "timeout", "actor", "color", "redact")
MAX_FILE = 1024 * 1024
READ_WITHIN = 2.0
"""Bytes and seconds: a configuration file may be a pipe, or a device that never ends."""
_VARIABLE = re.compile(r"\$\{(?P<name>[^}]*)\}")

_SIZE = re.compile(r"(?P<number>[0-9]{1,15})\s*(?:(?P<unit>[kmg])i?)?b?")
_SIZES = {None: 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True, slots=True)
class Config:
    """What holds for one run. `timeout` and `heartbeat_ttl` are seconds, `max_payload` bytes."""

    address: Address
    timeout: float
    actor: str
    color: str
    audit_maxlen: int
    heartbeat_ttl: float
    password_file: str | None = None
    password_command: tuple[str, ...] | None = None
    """At most one of the two, and none where the address has a password."""
    warnings: tuple[str, ...] = ()
    """What went wrong and did not matter enough to be an error."""
    max_payload: int = DEFAULT_MAX_PAYLOAD
    redact: tuple[str, ...] = ()
    """Names of secrets beside those that are known."""
    url_from: str = ""
    """What said where Redis is, "" for the default."""

    @property
    def max_decoded(self) -> int:
        """Bytes that one value, or those of one page together, may take in memory once decoded."""
        return 3 * self.max_payload

    @property
    def shown_url(self) -> str:
        """The Redis URL without its password, for messages."""
        if self.password_file is None and self.password_command is None:
            return self.address.shown
        # Then what stands before the @ is a user's name.
        return replace(self.address, password="").shown


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of one run.

    `flags` holds what was given on the command line, absent or None where it was not.
    Raises UsageProblem for a value that cannot be used, naming where it came from.
    """
    env = os.environ if environ is None else environ
    stored, warnings = _read_file(env)
    source, address = _address(flags, env, stored)
    # Where the URL is given elsewhere, the file's password is not for that server.
    secret = (
        _password_source(env, stored if source in ("", _FILE) else {}) if address.password is None else {}
    )
    return Config(
        **secret,
        warnings=warnings,
        address=address,
        url_from=source,
        timeout=_duration(
            "--timeout" if flags.get("timeout") is not None else f"timeout in {_FILE}",
            _first(flags.get("timeout"), address.timeout, stored.get("timeout"), default=DEFAULT_TIMEOUT),
        ),
        actor=_first(flags.get("actor"), env.get("ASYNCMQ_ACTOR"), stored.get("actor"), default="")
        or default_actor(),
        color=_one_of(
            "--color" if flags.get("color") else "color",
            _first(flags.get("color"), stored.get("color"), default="auto"),
        ),
        audit_maxlen=_count("ASYNCMQ_AUDIT_MAXLEN", env.get("ASYNCMQ_AUDIT_MAXLEN") or DEFAULT_AUDIT_MAXLEN),
        heartbeat_ttl=_duration(
            "ASYNCMQ_HEARTBEAT_TTL", env.get("ASYNCMQ_HEARTBEAT_TTL") or DEFAULT_HEARTBEAT_TTL
        ),
        max_payload=_size("ASYNCMQ_MAX_PAYLOAD", env.get("ASYNCMQ_MAX_PAYLOAD") or str(DEFAULT_MAX_PAYLOAD)),
        redact=(*stored.get("redact", ()), *_listed(env.get("ASYNCMQ_REDACT") or "")),
    )


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _address(
    flags: Mapping[str, Any], env: Mapping[str, str], stored: Mapping[str, Any]
) -> tuple[str, Address]:
    """With what it comes from, "" for the default."""
    given = {
        "--redis-url": flags.get("redis_url"),
        "ASYNCMQ_REDIS_URL": env.get("ASYNCMQ_REDIS_URL"),
        "REDIS_URL": env.get("REDIS_URL"),
        _FILE: stored.get("redis_url"),
    }
    source = next((source for source, url in given.items() if url), "")
    url = given.get(source) or DEFAULT_REDIS_URL
    return source, parse(_with_variables(url, env) if source == _FILE else url, source)


def _with_variables(url: str, env: Mapping[str, str]) -> str:
    """The URL with what the environment has for each `${NAME}`. A user name or password is encoded on the
    way: it is taken as it is."""
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")

    def value(name: re.Match[str]) -> str:
        if not env.get(name["name"]):
            raise UsageProblem(
                f"redis_url in {_FILE} needs the variable {name['name']!r}, which is not set",
                hint="a ${ that is no variable is written as %24{",
            )
        return env[name["name"]]

    def encoded(name: re.Match[str]) -> str:
        return quote(value(name), safe="", errors="surrogateescape")

    parts = (_VARIABLE.sub(value, scheme), separator, _VARIABLE.sub(encoded, user), at)
    return "".join((*parts, _VARIABLE.sub(value, place)))


def _password_source(env: Mapping[str, str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """`password_file` or `password_command`, or neither. The environment wins over the file."""
    names = {"ASYNCMQ_PASSWORD_FILE": "password_file", "ASYNCMQ_PASSWORD_COMMAND": "password_command"}
    given = {key: env[name] for name, key in names.items() if env.get(name)} or {
        key: stored[key] for key in names.values() if stored.get(key)
    }
    if len(given) > 1:
        raise UsageProblem("password_file and password_command exclude each other")
    if "password_file" in given:
        return {"password_file": str(Path(given["password_file"]).expanduser())}
    command = given.get("password_command")
    if command is None:
        return {}
    try:
        return {"password_command": tuple(shlex.split(command) if isinstance(command, str) else command)}
    except ValueError as exc:
        # Its text does not quote the command.
        raise UsageProblem(f"password_command cannot be split into words: {exc}") from exc


def default_actor() -> str:
    """`user@host`, as well as this machine can tell."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container may run under a number that has no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def config_path(env: Mapping[str, str]) -> Path:
    """Where the configuration file is, or would be."""
    if named := env.get("ASYNCMQ_CONFIG"):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "asyncmq" / "config.toml"


def _read_file(env: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the configuration file says, and warnings."""
    named = bool(env.get("ASYNCMQ_CONFIG"))
    try:
        path = config_path(env)
        # An editor may have put a byte order mark before it.
        text = read_bounded(path, MAX_FILE).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError, RuntimeError) as exc:
        if named:
            raise UsageProblem(f"cannot read the file that ASYNCMQ_CONFIG names: {exc}") from exc
        return {}, ()
    except UnicodeDecodeError as exc:
        raise UsageProblem(f"cannot read {_FILE}: {path} is not UTF-8") from exc
    except OSError as exc:
        if named:
            raise UsageProblem(f"cannot read {_FILE}: {exc}") from exc
        return {}, (f"{_FILE} is passed over: {exc}",)
    stored = _parse_toml(path, text)
    unknown = sorted(set(stored) - set(FILE_KEYS))
    if unknown:
        raise UsageProblem(
            f"unknown key {unknown[0]!r} in {path}", hint=f"the keys are {', '.join(FILE_KEYS)}"
        )
    for key, value in stored.items():
        _check_type(path, key, value)
    return stored, ()


def _check_type(path: Path, key: str, value: Any) -> None:
    if key == "redact":
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise UsageProblem(f'{key} in {path} must be a list of names, such as ["iban"]')
        return
    if isinstance(value, str):
        return
    if key == "timeout":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageProblem(f"{key} in {path} must be a number or a text")
    elif key == "password_command":
        if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
            raise UsageProblem(f"{key} in {path} must be a text or a list of texts")
    else:
        raise UsageProblem(f"{key} in {path} must be a text")


def read_bounded(path: Path, most: int) -> bytes:
    """A file's bytes. Raises OSError, also where it holds more than `most` or does not end in good time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return drain(descriptor, most, READ_WITHIN)
    except OSError as exc:
        exc.filename = exc.filename or str(path)
        raise
    finally:
        os.close(descriptor)


def drain(descriptor: int, most: int, seconds: float) -> bytes:
    """All bytes up to the end. Raises OSError where that takes longer, or they are more."""
    import errno
    import select

    found, until = bytearray(), time.monotonic() + seconds
    while True:
        if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
            raise OSError(errno.ETIMEDOUT, f"it does not end within {seconds:g} s")
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            continue
        if not piece:
            return bytes(found)
        found += piece
        if len(found) > most:
            raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes")


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise UsageProblem(f"{path} is not TOML: {exc}") from exc


def _first(*values: Any, default: Any) -> Any:
    """The first value that was given; an empty environment variable was not."""
    return next((value for value in values if value not in (None, "")), default)


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageProblem(f"{name} must be a number above 0, not {value!r}")
    return number


def _duration(name: str, value: Any) -> float:
    """Seconds, of a number or of a duration as people type it."""
    try:
        number = seconds(value) if isinstance(value, str) and value[-1:].isalpha() else float(value)
    except (UsageProblem, TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageProblem(f"{name} must be a time above 0, such as 5 (seconds), 500ms or 1m, not {value!r}")
    return number


def _count(name: str, value: Any) -> int:
    number = _positive(name, value)
    if not number.is_integer():
        raise UsageProblem(f"{name} must be a whole number, not {value!r}")
    return int(number)


def _size(name: str, text: str) -> int:
    """Bytes, of a number or of one with a unit: `64MB`, `512m`, `1GiB`, each in powers of 1024."""
    found = _SIZE.fullmatch(text.strip().lower())
    size = int(found["number"]) * _SIZES[found["unit"]] if found else 0
    if not _LEAST_PAYLOAD <= size < 2**50:
        raise UsageProblem(f"{name} must be a size of at least 1 MB, such as 64MB, not {text!r}")
    return size


def _one_of(name: str, value: Any) -> str:
    if value not in COLOR_CHOICES:
        raise UsageProblem(
            f"{name} must be one of {', '.join(COLOR_CHOICES)}, not {value!r}",
            hint="auto: on a terminal alone",
        )
    return str(value)
