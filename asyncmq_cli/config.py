"""Where Redis is and who acts: flag > environment > context > file > default."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asyncmq_cli import __version__, config_file
from asyncmq_cli.config_file import Chosen, ConfigFile
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import Address, parse, with_options
from asyncmq_cli.models.guard import Rules
from asyncmq_cli.models.values import COLOR_CHOICES, CONTEXT_COLORS

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
DEFAULT_TIMEOUT = 5.0
DEFAULT_AUDIT_MAXLEN = 100_000
DEFAULT_MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of one stored value that are read, once it is unpacked."""
_LEAST_PAYLOAD = 1024 * 1024
DEFAULT_HEARTBEAT_TTL = 30.0
"""Seconds; AsyncMQ's own `heartbeat_ttl` where its settings do not say otherwise."""
_FILE = config_file.NAME
DEFAULT = "default"
"""The origin of a setting that nothing sets."""
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
    credentials: str | None = None
    """At most one of the three, and none where the address has a password."""
    warnings: tuple[str, ...] = ()
    """What went wrong and did not matter enough to be an error."""
    max_payload: int = DEFAULT_MAX_PAYLOAD
    redact: tuple[str, ...] = ()
    """Names of secrets beside those that are known."""
    url_from: str = ""
    """What said where Redis is, "" for the default."""
    context: str = ""
    """The name of the context in force, "" for none."""
    context_color: str = ""
    """The colour in which that name is shown."""
    guard: Rules = field(default_factory=Rules)
    """What has to be so before a change."""
    records: bool = True
    """Whether looking at metrics adds to their history."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each setting comes from, for `context show`."""

    @property
    def max_decoded(self) -> int:
        """Bytes that one value, or those of one page together, may take in memory once decoded."""
        return 3 * self.max_payload

    @property
    def password_source(self) -> str | None:
        """Where the password is, never what it is."""
        if self.password_file is not None:
            return f"in the file {self.password_file!r}"
        if self.password_command is not None:
            # Its arguments may hold a secret.
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
        # Then what stands before the @ is a user's name.
        return replace(self.address, password="").shown


class _Sources:
    """Where a setting may come from; of several that have it the first counts."""

    def __init__(
        self, flags: Mapping[str, Any], env: Mapping[str, str], stored: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """`stored` has the keys of the context and of the file, by what each is called."""
        self._flags, self._env, self._stored = flags, env, stored
        self.origins: dict[str, str] = {}

    def find(self, key: str, default: Any, *, variable: str = "", url: Any = None) -> tuple[str, Any]:
        """The value, and what to call it in an error. `url` is what the Redis URL says of it."""
        given = {
            f"--{key}": self._flags.get(key),
            variable: self._env.get(variable) if variable else None,
            "the Redis URL": url,
            **{where: keys.get(key) for where, keys in self._stored.items()},
        }
        # An empty environment variable is not set.
        where = next((where for where, value in given.items() if value not in (None, "")), DEFAULT)
        self.origins[key] = where
        return _called(key, where), given.get(where, default)

    def read(
        self, key: str, read: Callable[[str, Any], Any], default: Any, variable: str = "", url: Any = None
    ) -> Any:
        """The value as `read` has it."""
        return read(*self.find(key, default, variable=variable, url=url))


def _called(key: str, where: str) -> str:
    """What a setting from there is called in an error."""
    return where if where.startswith(("--", "ASYNCMQ_")) else f"{key} in {where}"


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of one run.

    `flags` holds what was given on the command line, absent or None where it was not.
    Raises UsageProblem for a value that cannot be used, naming where it came from.
    """
    env = os.environ if environ is None else environ
    file = config_file.read(env)
    place = _place(flags, env, file)
    address, keys = place.address, place.keys
    paint = keys["color"] if keys.get("color") in CONTEXT_COLORS else ""
    shared = {key: value for key, value in keys.items() if key != "color" or not paint}
    of_context = {f"context {place.context!r}": shared} if place.context else {}
    sources = _Sources(flags, env, {**of_context, _FILE: file.settings})
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
        records=bool(keys.get("record", not rules.read_only_by)),
        timeout=sources.read("timeout", _duration, DEFAULT_TIMEOUT, url=address.timeout),
        actor=sources.find("actor", "", variable="ASYNCMQ_ACTOR")[1] or default_actor(),
        color=sources.read("color", _color, "auto"),
        audit_maxlen=_count("ASYNCMQ_AUDIT_MAXLEN", env.get("ASYNCMQ_AUDIT_MAXLEN") or DEFAULT_AUDIT_MAXLEN),
        heartbeat_ttl=sources.read(
            "heartbeat_ttl", _duration, DEFAULT_HEARTBEAT_TTL, "ASYNCMQ_HEARTBEAT_TTL"
        ),
        max_payload=_size("ASYNCMQ_MAX_PAYLOAD", env.get("ASYNCMQ_MAX_PAYLOAD") or str(DEFAULT_MAX_PAYLOAD)),
        redact=(
            *file.settings.get("redact", ()),
            *keys.get("redact", ()),
            *_listed(env.get("ASYNCMQ_REDACT") or ""),
        ),
    )
    origins = {
        "context": place.context_from or DEFAULT,
        "redis_url": place.source or DEFAULT,
        "password": _password_origin(env, found, place),
        **sources.origins,
        **{
            key: f"context {place.context!r}" if key in keys else DEFAULT
            for key in ("guard", "max_changes", "record")
        },
        "read_only": rules.read_only_by or DEFAULT,
        **({"color": f"context {place.context!r}"} if paint else {}),
        "redact": ", ".join(_redact_origins(env, file, place)) or DEFAULT,
    }
    return replace(found, origins=origins)


_PASSWORD_KEYS = ("password_file", "password_command", "credentials")
_PASSWORD_VARIABLES = ("ASYNCMQ_PASSWORD_FILE", "ASYNCMQ_PASSWORD_COMMAND", "ASYNCMQ_CREDENTIALS")
_OFF = ("", "0", "false", "no", "off")


def _rules(flags: Mapping[str, Any], env: Mapping[str, str], place: _Place) -> Rules:
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


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where Redis is, and what said so, "" for the default. `keys` are those of the context in force, and
    `secrets` those that may name the password of this Redis."""

    source: str
    address: Address
    context: str = ""
    context_from: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


_URL_VARIABLES = ("ASYNCMQ_REDIS_URL", "REDIS_URL")


def _place(flags: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> _Place:
    """Where Redis is: by the URL given, the context chosen, the file or the default."""
    chosen = chosen_context(flags, env, file)
    by_flag = chosen is not None and chosen.by == "--context"
    given = {"--redis-url": flags.get("redis_url"), **{name: env.get(name) for name in _URL_VARIABLES}}
    source = next((source for source, url in given.items() if url), "")
    if by_flag and source == "--redis-url":
        raise UsageProblem("--context and --redis-url exclude each other", hint="both say where Redis is")
    if chosen is not None and (by_flag or not source):
        return _of_context(chosen, env, file)
    if source:
        return _of_url(_Place(source, parse(str(given[source]), source)), chosen, env, file)
    url = file.settings.get("redis_url")
    source = _FILE if url else ""
    address = _parsed(file.settings, env, _FILE) if url else parse(DEFAULT_REDIS_URL)
    return _recognised(_Place(source, address, secrets=file.settings), env, file)


def chosen_context(flags: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> Chosen | None:
    """The context that the command line, the environment or `context use` names."""
    names = {
        "--context": flags.get("context"),
        "ASYNCMQ_CONTEXT": env.get("ASYNCMQ_CONTEXT"),
        "'context use'": file.used,
    }
    return next((Chosen(name, by) for by, name in names.items() if name), None)


def _of_context(chosen: Chosen, env: Mapping[str, str], file: ConfigFile) -> _Place:
    keys, source = file.context(chosen), f"context {chosen.name!r}"
    return _Place(source, _address_of(chosen.name, keys, env, file), chosen.name, chosen.by, keys, keys)


def _address_of(name: str, keys: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> Address:
    source = f"context {name!r}"
    if not keys.get("redis_url"):
        raise UsageProblem(f"[context.{name}] has no redis_url", hint=f"it stands in {file.path}")
    return _parsed(keys, env, source)


def _parsed(keys: Mapping[str, Any], env: Mapping[str, str], source: str) -> Address:
    """The address of the file or of a context, with the options that stand beside it."""
    address = parse(_with_variables(keys["redis_url"], env, source), source)
    options = {key: str(keys[key]) for key in config_file.CONNECTION_KEYS if key in keys}
    paths = {key: str(Path(options[key]).expanduser()) for key in config_file.PATH_KEYS if key in options}
    return with_options(address, {**options, **paths}, source)


def _of_url(found: _Place, chosen: Chosen | None, env: Mapping[str, str], file: ConfigFile) -> _Place:
    """The place that a flag or a variable names, beside a context chosen by a variable or `context use`."""
    found = _recognised(found, env, file)
    if chosen is None or found.source == "--redis-url" or found.context == chosen.name:
        return found
    if chosen.by == "ASYNCMQ_CONTEXT":
        # Two variables, and no telling which of them was forgotten.
        raise UsageProblem(
            f"ASYNCMQ_CONTEXT={chosen.name} and {found.source} name different servers",
            hint=f"unset one of them, or choose by --context {chosen.name}",
        )
    warning = f"context {chosen.name!r} is not used: {found.source} says where Redis is"
    return replace(found, warnings=(warning,))


_STRICTEST = ("readonly", "confirm", None)


def _recognised(found: _Place, env: Mapping[str, str], file: ConfigFile) -> _Place:
    """The same place. If a context names the same Redis, its name and its guard hold, whatever named it."""
    same: list[tuple[str, Mapping[str, Any]]] = []
    for name, keys in file.contexts.items():
        try:
            address = _address_of(name, keys, env, file)
        except UsageProblem:
            # Such as a variable that only those set who use that context.
            continue
        if address.place == found.address.place:
            same.append((name, keys))
    if not same:
        return found
    name, keys = min(same, key=lambda each: _STRICTEST.index(each[1].get("guard")))
    return replace(
        found,
        context=name,
        context_from="its address",
        keys={key: keys[key] for key in _OF_PLACE if key in keys},
    )


_OF_PLACE = ("heartbeat_ttl", "guard", "max_changes", "record", "redact", "color")
"""The keys of a context that hold for its Redis, whoever connects."""


def _with_variables(url: str, env: Mapping[str, str], where: str) -> str:
    """The URL of the file with what the environment has for each `${NAME}`. A user name or password is
    encoded on the way: it is taken as it is."""
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")

    def value(name: re.Match[str]) -> str:
        if not env.get(name["name"]):
            raise UsageProblem(
                f"redis_url in {where} needs the variable {name['name']!r}, which is not set",
                hint="a ${ that is no variable is written as %24{",
            )
        return env[name["name"]]

    def encoded(name: re.Match[str]) -> str:
        return quote(value(name), safe="", errors="surrogateescape")

    parts = (_VARIABLE.sub(value, scheme), separator, _VARIABLE.sub(encoded, user), at)
    return "".join((*parts, _VARIABLE.sub(value, place)))


def _password_source(env: Mapping[str, str], place: _Place) -> dict[str, Any]:
    """`password_file` or `password_command`, or neither. The environment wins over the file, whose password
    is for its own URL: no other server is sent it."""
    names = dict(zip(_PASSWORD_VARIABLES, _PASSWORD_KEYS, strict=True))
    given = {key: env[name] for name, key in names.items() if env.get(name)} or {
        key: place.secrets[key] for key in names.values() if place.secrets.get(key)
    }
    if len(given) > 1:
        raise UsageProblem(f"{' and '.join(given)} exclude each other")
    if "credentials" in given:
        return {"credentials": given["credentials"]}
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


def _password_origin(env: Mapping[str, str], found: Config, place: _Place) -> str:
    variable = next((name for name in _PASSWORD_VARIABLES if env.get(name)), "")
    if found.password_source is None:
        return DEFAULT
    return place.source if found.address.password is not None else variable or place.source or _FILE


def _redact_origins(env: Mapping[str, str], file: ConfigFile, place: _Place) -> Iterator[str]:
    if file.settings.get("redact"):
        yield _FILE
    if place.keys.get("redact"):
        yield f"context {place.context!r}"
    if env.get("ASYNCMQ_REDACT"):
        yield "ASYNCMQ_REDACT"


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


def _color(name: str, value: Any) -> str:
    """When to print in colour; in a context also the colour of its name."""
    choices = (*COLOR_CHOICES, *CONTEXT_COLORS) if name.startswith("color in context ") else COLOR_CHOICES
    if value not in choices:
        raise UsageProblem(
            f"{name} must be one of {', '.join(choices)}, not {value!r}", hint="auto: on a terminal alone"
        )
    return str(value)
