"""Resolve the settings of a run. Precedence: flag > environment > context > file > default."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli import __version__, contexts
from asyncmq_cli.contexts import FILE, NOWHERE, Place, ask_application, place_of
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.changes import Rules
from asyncmq_cli.models.values import COLOR_CHOICES, CONTEXT_COLORS

if TYPE_CHECKING:
    from asyncmq_cli.contexts import ConfigFile
    from asyncmq_cli.models.address import Address

DEFAULT_TIMEOUT = 5.0
DEFAULT_AUDIT_MAXLEN = 100_000
DEFAULT_MAX_PAYLOAD = 64 * 1024 * 1024
"""The largest stored value that is read, in bytes after decompression."""
_LEAST_PAYLOAD = 1024 * 1024
DEFAULT_HEARTBEAT_TTL = 30.0
"""Seconds: the default of AsyncMQ's setting `heartbeat_ttl`."""
DEFAULT = "default"
"""The origin of a setting that nothing sets."""

_NEVER_EMPTY = ("redis_url", "context", "settings", "python", "timeout", "actor", "color")

_SIZE = re.compile(r"(?P<number>[0-9]{1,15})\s*(?:(?P<unit>[kmg])i?)?b?")
_SIZES = {None: 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class Config(Struct, frozen=True):
    """The settings of one run. `timeout` and `heartbeat_ttl` are seconds, `max_payload` bytes."""

    address: Address
    timeout: float
    actor: str
    color: str
    audit_maxlen: int
    heartbeat_ttl: float
    password_file: str | None = None
    password_command: tuple[str, ...] | None = None
    credentials: str | None = None
    """At most one of `password_file`, `password_command` and `credentials` is set, and none if the address
    has a password."""
    warnings: tuple[str, ...] = ()
    """Problems that are only worth a warning."""
    max_payload: int = DEFAULT_MAX_PAYLOAD
    redact: tuple[str, ...] = ()
    """Names of further secrets to redact."""
    url_from: str = ""
    """The setting that names this Redis; "" for the default."""
    context: str = ""
    """The name of the current context; "" for none."""
    context_color: str = ""
    """The colour in which the name of the context is shown."""
    guard: Rules = field(default_factory=Rules)
    """The conditions that a change must meet."""
    stalled_check_interval: float | None = None
    """Seconds; None unless the application's settings have it."""
    records: bool = True
    """Whether reading metrics adds a snapshot to the history."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each setting comes from, for `context show`."""

    @property
    def is_unasked(self) -> bool:
        """Whether the address is only in the application's settings, which were not read."""
        return self.address is NOWHERE

    @property
    def max_decoded(self) -> int:
        """The bytes that a decoded value, or all values of a page together, may take in memory."""
        return 3 * self.max_payload

    @property
    def password_source(self) -> str | None:
        """Where the password comes from, as text without the password; None if there is none."""
        if self.password_file is not None:
            return f"in the file {self.password_file!r}"
        if self.password_command is not None:
            # Do not show the arguments, which may contain a secret.
            return f"printed by {self.password_command[0]!r}"
        if self.credentials is not None:
            return f"a token of {self.credentials}"
        return None if self.address.password is None else "in the URL"

    @property
    def client_name(self) -> bytes:
        """The connection's name in CLIENT LIST: printable ASCII without spaces."""
        text = f"asyncmq-cli/{__version__}:{self.actor}"
        return re.sub(rb"[^!-~]", b"_", text.encode("utf-8", "replace"))[:200]

    @property
    def shown_url(self) -> str:
        """The Redis URL without its password, for messages."""
        if self.password_file is None and self.password_command is None and self.credentials is None:
            return self.address.shown
        # With a password, the part before the @ is only a user name.
        return replace(self.address, password="").shown


class _Sources:
    """The sources of settings. If several have a setting, the first one counts."""

    def __init__(
        self, flags: Mapping[str, Any], env: Mapping[str, str], stored: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """`stored` has the keys of the context and of the file, by the source's name for messages."""
        self._flags, self._env, self._stored = flags, env, stored
        self.origins: dict[str, str] = {}

    def read(
        self, key: str, read: Callable[[str, Any], Any], default: Any, variable: str = "", url: Any = None
    ) -> Any:
        """The value as parsed by `read`, which also gets the setting's name for messages. `url` is its value
        in the Redis URL."""
        given = {
            f"--{key}": self._flags.get(key),
            variable: self._env.get(variable) if variable else None,
            "the Redis URL": url,
            **{where: keys.get(key) for where, keys in self._stored.items()},
        }
        # An empty environment variable counts as not set.
        where = next((where for where, value in given.items() if value not in (None, "")), DEFAULT)
        self.origins[key] = where
        name = where if where.startswith(("--", "ASYNCMQ_")) else f"{key} in {where}"
        return read(name, given.get(where, default))


def resolve(
    flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, ask: bool = True
) -> Config:
    """The configuration of one run. If `ask` is False, an application's settings are not read, and the
    address is empty.

    `flags` has the options of the command line; an option that was not given is absent or None. Raises
    UsageProblem for an invalid value; the message names its source.
    """
    _require_values(flags)
    env = os.environ if environ is None else environ
    file = contexts.read(env)
    place = place_of(flags, env, file)
    if place.settings and ask:
        place = ask_application(place, flags, env, file)
    address, keys = place.address, place.keys
    paint = keys["color"] if keys.get("color") in CONTEXT_COLORS else ""
    shared = {key: value for key, value in keys.items() if key != "color" or not paint}
    of_context = {f"context {place.context!r}": shared} if place.context else {}
    sources = _Sources(flags, env, {**of_context, FILE: file.settings})
    rules = _rules(flags, env, place)
    secret = _password_source(env, place) if address.password is None else {}
    found = Config(
        **secret,
        warnings=(*file.warnings, *place.warnings),
        address=address,
        url_from=place.source,
        context=place.context,
        context_color=paint,
        guard=rules,
        stalled_check_interval=place.stalled_check_interval,
        records=bool(keys.get("record", not rules.read_only_by)),
        timeout=sources.read("timeout", _duration, DEFAULT_TIMEOUT, url=address.timeout),
        actor=sources.read("actor", _actor, "", "ASYNCMQ_ACTOR"),
        color=sources.read("color", _color, "auto"),
        audit_maxlen=_count("ASYNCMQ_AUDIT_MAXLEN", env.get("ASYNCMQ_AUDIT_MAXLEN") or DEFAULT_AUDIT_MAXLEN),
        heartbeat_ttl=sources.read(
            "heartbeat_ttl", _duration, place.heartbeat_ttl or DEFAULT_HEARTBEAT_TTL, "ASYNCMQ_HEARTBEAT_TTL"
        ),
        max_payload=_size("ASYNCMQ_MAX_PAYLOAD", env.get("ASYNCMQ_MAX_PAYLOAD") or str(DEFAULT_MAX_PAYLOAD)),
        redact=tuple(name for _, names in _redacted(env, file, place) for name in names),
    )
    return replace(found, origins={**sources.origins, **dict(_origins(found, place, sources, env, file))})


def _require_values(flags: Mapping[str, Any]) -> None:
    for name in _NEVER_EMPTY:
        if flags.get(name) == "":
            # Probably a shell variable that is not set. The default would be another Redis or actor.
            raise UsageProblem(
                f"--{name.replace('_', '-')} is empty", hint="give it a value, or leave it out"
            )


def _origins(
    found: Config, place: Place, sources: _Sources, env: Mapping[str, str], file: ConfigFile
) -> Iterator[tuple[str, str]]:
    """The origins of the settings that do not come from `sources` alone."""
    yield "context", place.context_from or DEFAULT
    yield "redis_url", f"{place.settings} ({place.source})" if place.settings else place.source or DEFAULT
    yield "password", _password_origin(env, found, place)
    for key in ("guard", "max_changes", "record"):
        yield key, f"context {place.context!r}" if key in place.keys else DEFAULT
    yield "read_only", found.guard.read_only_by or DEFAULT
    if found.context_color:
        yield "color", f"context {place.context!r}"
    yield "redact", ", ".join(origin for origin, _ in _redacted(env, file, place)) or DEFAULT
    if place.heartbeat_ttl and sources.origins["heartbeat_ttl"] == DEFAULT:
        yield "heartbeat_ttl", place.settings
    yield "stalled_check_interval", place.settings or DEFAULT


_PASSWORD_KEYS = {
    "ASYNCMQ_PASSWORD_FILE": "password_file",
    "ASYNCMQ_PASSWORD_COMMAND": "password_command",
    "ASYNCMQ_CREDENTIALS": "credentials",
}
"""The keys of the file, by the variables that mean the same."""
_OFF = ("", "0", "false", "no", "off")


def _rules(flags: Mapping[str, Any], env: Mapping[str, str], place: Place) -> Rules:
    guard = place.keys.get("guard")
    forbidding = {
        "--read-only": bool(flags.get("read_only")),
        "ASYNCMQ_READ_ONLY": env.get("ASYNCMQ_READ_ONLY", "").lower() not in _OFF,
        f"context {place.context!r}": guard == "readonly",
    }
    return Rules(
        context=place.context,
        must_confirm=guard == "confirm",
        read_only_by=next((by for by, holds in forbidding.items() if holds), ""),
        max_changes=place.keys.get("max_changes"),
    )


def _password_source(env: Mapping[str, str], place: Place) -> dict[str, Any]:
    """`password_file` or `password_command`, or neither. The environment takes precedence over the file. The
    file's password is only for the file's own URL and is not sent to another server."""
    given = {key: env[name] for name, key in _PASSWORD_KEYS.items() if env.get(name)} or {
        key: place.secrets[key] for key in _PASSWORD_KEYS.values() if place.secrets.get(key)
    }
    if len(given) > 1:
        raise UsageProblem(f"{' and '.join(given)} exclude each other")
    if "credentials" in given:
        return {"credentials": given["credentials"]}
    if "password_file" in given:
        return {"password_file": contexts.expanded(given["password_file"])}
    command = given.get("password_command")
    if command is None:
        return {}
    try:
        words = tuple(shlex.split(command) if isinstance(command, str) else command)
    except ValueError as exc:
        # The text of the exception does not quote the command.
        raise UsageProblem(f"password_command cannot be split into words: {exc}") from exc
    if not "".join(words[:1]).strip():
        raise UsageProblem("password_command names no program")
    return {"password_command": words}


def _password_origin(env: Mapping[str, str], found: Config, place: Place) -> str:
    variable = next((name for name in _PASSWORD_KEYS if env.get(name)), "")
    if found.password_source is None:
        return DEFAULT
    return place.source if found.address.password is not None else variable or place.source or FILE


def _redacted(env: Mapping[str, str], file: ConfigFile, place: Place) -> Iterator[tuple[str, Sequence[str]]]:
    """The names of further secrets, by their source."""
    if names := file.settings.get("redact"):
        yield FILE, names
    if names := place.keys.get("redact"):
        yield f"context {place.context!r}", names
    if text := env.get("ASYNCMQ_REDACT"):
        yield "ASYNCMQ_REDACT", [name.strip() for name in text.split(",") if name.strip()]


def _actor(name: str, value: str) -> str:
    """The value, or if it is empty `user@host`, as far as this machine knows them."""
    if value:
        return value
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container may run as a user id that has no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _duration(name: str, value: Any) -> float:
    """Seconds, from a number or a typed duration. Raises UsageProblem."""
    try:
        number = seconds(value) if isinstance(value, str) and value[-1:].isalpha() else float(value)
    except (UsageProblem, TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageProblem(f"{name} must be a time above 0, such as 5 (seconds), 500ms or 1m, not {value!r}")
    return number


def _count(name: str, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number < 1e9:
        raise UsageProblem(f"{name} must be a number above 0, not {value!r}")
    if not number.is_integer():
        raise UsageProblem(f"{name} must be a whole number, not {value!r}")
    return int(number)


def _size(name: str, text: str) -> int:
    """Bytes, from a number or a number with a unit: `64MB`, `512m`, `1GiB`. All units are powers of 1024.
    Raises UsageProblem."""
    found = _SIZE.fullmatch(text.strip().lower())
    size = int(found["number"]) * _SIZES[found["unit"]] if found else 0
    if not _LEAST_PAYLOAD <= size < 2**50:
        raise UsageProblem(f"{name} must be a size of at least 1 MB, such as 64MB, not {text!r}")
    return size


def _color(name: str, value: Any) -> str:
    """When to print in colour; in a context, it may also be the colour of its name. Raises UsageProblem."""
    choices = (*COLOR_CHOICES, *CONTEXT_COLORS) if name.startswith("color in context ") else COLOR_CHOICES
    if value not in choices:
        raise UsageProblem(
            f"{name} must be one of {', '.join(choices)}, not {value!r}", hint="auto colours only a terminal"
        )
    return str(value)
