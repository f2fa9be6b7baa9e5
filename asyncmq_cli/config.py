"""Where Redis is and who acts: flag > environment > file > default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import Address, parse

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
DEFAULT_TIMEOUT = 5.0
DEFAULT_AUDIT_MAXLEN = 100_000
DEFAULT_HEARTBEAT_TTL = 30.0
"""Seconds; AsyncMQ's own `heartbeat_ttl` where its settings do not say otherwise."""
COLOR_CHOICES = ("auto", "always", "never")
FILE_KEYS = ("redis_url", "timeout", "actor", "color")


@dataclass(frozen=True, slots=True)
class Config:
    """What holds for one run. `timeout` and `heartbeat_ttl` are seconds."""

    address: Address
    timeout: float
    actor: str
    color: str
    audit_maxlen: int
    heartbeat_ttl: float

    @property
    def shown_url(self) -> str:
        """The Redis URL without its password, for messages."""
        return self.address.shown


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of one run.

    `flags` holds what was given on the command line, absent or None where it was not.
    Raises UsageProblem for a value that cannot be used, naming where it came from.
    """
    env = os.environ if environ is None else environ
    stored = _read_file(env)
    address = _address(flags, env, stored)
    return Config(
        address=address,
        timeout=_duration(
            "--timeout" if flags.get("timeout") is not None else "timeout in the configuration file",
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
    )


def _address(flags: Mapping[str, Any], env: Mapping[str, str], stored: Mapping[str, Any]) -> Address:
    given = {
        "--redis-url": flags.get("redis_url"),
        "ASYNCMQ_REDIS_URL": env.get("ASYNCMQ_REDIS_URL"),
        "REDIS_URL": env.get("REDIS_URL"),
        "the configuration file": stored.get("redis_url"),
    }
    source = next((source for source, url in given.items() if url), "")
    return parse(given.get(source) or DEFAULT_REDIS_URL, source)


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


def _read_file(env: Mapping[str, str]) -> dict[str, Any]:
    try:
        path = config_path(env)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, RuntimeError) as exc:
        if env.get("ASYNCMQ_CONFIG"):
            raise UsageProblem(f"cannot read the file that ASYNCMQ_CONFIG names: {exc}") from exc
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageProblem(f"cannot read the configuration file: {exc}") from exc
    stored = _parse_toml(path, text)
    unknown = sorted(set(stored) - set(FILE_KEYS))
    if unknown:
        raise UsageProblem(
            f"unknown key {unknown[0]!r} in {path}", hint=f"the keys are {', '.join(FILE_KEYS)}"
        )
    for key, value in stored.items():
        number = key == "timeout" and isinstance(value, int | float) and not isinstance(value, bool)
        if not number and not isinstance(value, str):
            raise UsageProblem(
                f"{key} in {path} must be a {'number or a text' if key == 'timeout' else 'text'}"
            )
    return stored


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


def _one_of(name: str, value: Any) -> str:
    if value not in COLOR_CHOICES:
        raise UsageProblem(
            f"{name} must be one of {', '.join(COLOR_CHOICES)}, not {value!r}",
            hint="auto: on a terminal alone",
        )
    return str(value)
