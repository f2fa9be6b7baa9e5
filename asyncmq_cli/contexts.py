"""The configuration file with its contexts, and which Redis it, the environment and the command line mean.

A context is a table `[context.NAME]`: a named Redis with its settings. The choice of `context use` is stored
in a separate file next to the configuration file, which the tool never writes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta, Struct, ValidationError, convert, field
from msgspec.structs import replace

from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest
from asyncmq_cli.models.address import Address, parse, with_options
from asyncmq_cli.system.files import read_bounded

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
FILE = "the configuration file"
MAX_FILE = 1024 * 1024
"""The largest configuration file, in bytes."""
_CONTEXT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
"""The name of a context. It must be easy to type, and safe in a list with commas and in a shell's prompt."""


GUARDS = ("confirm", "readonly")
Kind = tuple[Any, str]
"""The type of a key's value, and what an error calls it."""
_TEXT: Kind = str, "a text"
_TIME: Kind = float | str, "a number or a text"

PATH_KEYS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
CONNECTION_KEYS = (
    *PATH_KEYS,
    *("ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers", "client_name"),
)
"""Options of the URL that may also be separate keys. If the URL has the option too, the URL's value
counts."""
KEYS: Mapping[str, Kind] = {
    "redis_url": _TEXT,
    "password_file": _TEXT,
    "password_command": (str | Annotated[list[str], Meta(min_length=1)], "a text or a list of texts"),
    "timeout": _TIME,
    "heartbeat_ttl": _TIME,
    "actor": _TEXT,
    "color": _TEXT,
    "redact": (list[str], 'a list of names, such as ["iban"]'),
    "credentials": _TEXT,
    **dict.fromkeys(CONNECTION_KEYS, (str | bool, "a text, or true or false")),
}
"""The keys outside contexts."""
CONTEXT_KEYS: Mapping[str, Kind] = {
    **KEYS,
    "settings": _TEXT,
    "python": _TEXT,
    "guard": (Literal[GUARDS], f"one of {', '.join(GUARDS)}"),
    "max_changes": (Annotated[int, Meta(gt=0)], "a whole number above 0"),
    "record": (bool, "true or false"),
}
"""The keys of a context."""


class Chosen(Struct, frozen=True):
    """The name of a context, and what has chosen it: a flag, a variable or `context use`."""

    name: str
    by: str


class ConfigFile(Struct, frozen=True):
    """The content of the configuration file. `path` is its path, even if it does not exist. `settings` are
    its keys outside contexts. `used` is the context that `context use` has chosen; if that cannot be read,
    `unread_choice` says why."""

    path: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    used: str | None = None
    unread_choice: str = ""
    warnings: tuple[str, ...] = ()

    def context(self, chosen: Chosen) -> Mapping[str, Any]:
        """The keys of a context. Raises UsageProblem if it does not exist."""
        if chosen.name in self.contexts:
            return self.contexts[chosen.name]
        if not self.contexts:
            hint = f"a context is a table [context.NAME] in {self.path}"
        else:
            hint = did_you_mean(nearest(chosen.name, self.contexts, most=1)) or (
                f"choose from {', '.join(self.contexts)}"
            )
        raise UsageProblem(f"no context {chosen.name!r} (named by {chosen.by})", hint=hint)


def expanded(path: str) -> str:
    """The path with `~` replaced. Raises UsageProblem if the user has no home directory."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError as exc:
        raise UsageProblem(f"there is no home directory for {path!r}", hint="set HOME") from exc


def config_path(env: Mapping[str, str]) -> Path:
    """The path of the configuration file, even if it does not exist. Raises RuntimeError if there is no home
    directory."""
    if named := env.get("ASYNCMQ_CONFIG"):
        return Path(named)
    base = env.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "asyncmq" / "config.toml"


def read(env: Mapping[str, str]) -> ConfigFile:
    """Read the configuration file; empty if there is none. Raises UsageProblem for a mistake in it."""
    named = bool(env.get("ASYNCMQ_CONFIG"))
    try:
        path = config_path(env)
        # An editor may have added a byte order mark.
        text = read_bounded(path, MAX_FILE).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as exc:
        if named:
            raise UsageProblem(f"cannot read the file that ASYNCMQ_CONFIG names: {exc}") from exc
        return ConfigFile(path)
    except RuntimeError:
        return ConfigFile()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc if isinstance(exc, OSError) else f"{path} is not UTF-8"
        if named:
            raise UsageProblem(f"cannot read {FILE}: {why}") from exc
        return ConfigFile(path, warnings=(f"{FILE} is ignored: {why}",))
    settings = _parse_toml(path, text)
    contexts = _checked_contexts(path, settings.pop("context", {}))
    _check(path, settings, KEYS)
    try:
        return ConfigFile(path, settings, contexts, _used(path))
    except (OSError, UnicodeDecodeError) as exc:
        # The choice is not needed if the command line or the environment names a Redis, so do not fail here.
        why = exc if isinstance(exc, OSError) else f"{_choice(path)} is not UTF-8"
        unread = f"cannot read which context is in use: {why}"
        return ConfigFile(path, settings, contexts, unread_choice=unread, warnings=(unread,))


def use(file: ConfigFile, name: str | None) -> None:
    """Choose the context `name` from now on, or none. Raises UsageProblem."""
    if name is not None:
        file.context(Chosen(name, "the command line"))
    if file.path is None:
        raise UsageProblem(
            "there is no home directory in which to store the choice", hint="set ASYNCMQ_CONTEXT"
        )
    choice = _choice(file.path)
    try:
        if name is None:
            choice.unlink(missing_ok=True)
        else:
            beside = choice.with_name(f"{choice.name}.{os.getpid()}")
            beside.write_text(f"{name}\n", encoding="utf-8")
            beside.replace(choice)
    except OSError as exc:
        raise UsageProblem(f"cannot store the choice: {exc}", hint="set ASYNCMQ_CONTEXT instead") from exc


def _choice(path: Path) -> Path:
    """The file with the name of the context in use."""
    return path.with_suffix(".context")


def _used(path: Path) -> str | None:
    try:
        return read_bounded(_choice(path), 1024).decode().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _checked_contexts(path: Path, tables: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(tables, dict) or not all(isinstance(keys, dict) for keys in tables.values()):
        raise UsageProblem(f"context in {path} must be tables, such as [context.prod]")
    for name, keys in tables.items():
        if not _CONTEXT.fullmatch(name):
            raise UsageProblem(
                f"{name!r} in {path} cannot be the name of a context",
                hint="it has up to 63 letters, digits, '_', '-' and '.'",
            )
        _check(path, keys, CONTEXT_KEYS, f" of [context.{name}]")
    return tables


def _check(path: Path, settings: Mapping[str, Any], keys: Mapping[str, Kind], where: str = "") -> None:
    for key, value in settings.items():
        if key not in keys:
            raise UsageProblem(
                f"unknown key {key!r}{where} in {path}", hint=f"the keys are {', '.join(keys)}"
            )
        kind, called = keys[key]
        try:
            convert(value, kind)
        except ValidationError:
            raise UsageProblem(f"{key}{where} in {path} must be {called}") from None
        # A path or an argument of a program cannot contain a NUL.
        if any("\0" in text for text in (value if isinstance(value, list) else [str(value)])):
            raise UsageProblem(f"{key}{where} in {path} contains a NUL")


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise UsageProblem(f"{path} is not TOML: {exc}") from exc
    except (ValueError, RecursionError) as exc:
        raise UsageProblem(f"{path} has a value that is too long or nested too deeply") from exc


_VARIABLE = re.compile(r"\$\{(?P<name>[^}]*)\}")


class Place(Struct, frozen=True):
    """The address of Redis, and the setting that it comes from (`source`, "" for the default). `keys` are the
    keys of the current context; `secrets` are the keys that may give the password of this Redis."""

    source: str
    address: Address
    context: str = ""
    context_from: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""
    """The name of the application's settings, if the address comes from them. `address` is empty until they
    have been read."""
    heartbeat_ttl: float | None = None
    stalled_check_interval: float | None = None
    warnings: tuple[str, ...] = ()


NOWHERE = Address("redis", "nowhere.invalid")


def ask_application(
    place: Place, flags: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile
) -> Place:
    from asyncmq_cli.system import application

    python = flags.get("python") or place.keys.get("python") or application.python_of(env)
    if not python:
        raise UsageProblem("no Python to read the settings with", hint="--python names one")
    found = application.ask(place.settings, expanded(python))
    asked = replace(
        place,
        address=found.address,
        heartbeat_ttl=found.heartbeat_ttl,
        stalled_check_interval=found.stalled_check_interval,
    )
    return asked if place.context else _recognised(asked, env, file)


_URL_VARIABLES = ("ASYNCMQ_REDIS_URL", "REDIS_URL")


def place_of(flags: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> Place:
    """Find the Redis: from the given URL, the chosen context, the file or the default. Raises
    UsageProblem."""
    chosen = chosen_context(flags, env, file)
    by_flag = chosen is not None and chosen.by == "--context"
    given = {"--redis-url": flags.get("redis_url"), **{name: env.get(name) for name in _URL_VARIABLES}}
    source = next((source for source, url in given.items() if url), "")
    asked = flags.get("settings")
    both = [name for name, has in (("--context", by_flag), (source, source == "--redis-url")) if has]
    both += ["--settings"] if asked else []
    if len(both) > 1:
        raise UsageProblem(f"{' and '.join(both)} exclude each other", hint="both say where Redis is")
    if asked:
        return Place("--settings", NOWHERE, settings=asked)
    if chosen is not None and (by_flag or not source):
        return _of_context(chosen, env, file)
    if source:
        return _of_url(Place(source, parse(str(given[source]), source)), chosen, env, file)
    if file.unread_choice:
        raise UsageProblem(file.unread_choice, hint="choose one by --context, or remove that file")
    url = file.settings.get("redis_url")
    if not url and env.get("ASYNCMQ_SETTINGS_MODULE"):
        return Place("ASYNCMQ_SETTINGS_MODULE", NOWHERE, settings=env["ASYNCMQ_SETTINGS_MODULE"])
    source = FILE if url else ""
    address = _parsed(file.settings, env, FILE) if url else parse(DEFAULT_REDIS_URL)
    return _recognised(Place(source, address, secrets=file.settings), env, file)


def chosen_context(flags: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> Chosen | None:
    """The context that the command line, the environment or `context use` names, or None."""
    names = {
        "--context": flags.get("context"),
        "ASYNCMQ_CONTEXT": env.get("ASYNCMQ_CONTEXT"),
        "'context use'": file.used,
    }
    return next((Chosen(name, by) for by, name in names.items() if name), None)


def _of_context(chosen: Chosen, env: Mapping[str, str], file: ConfigFile) -> Place:
    keys, source = file.context(chosen), f"context {chosen.name!r}"
    if keys.get("settings"):
        if keys.get("redis_url"):
            raise UsageProblem(f"[context.{chosen.name}] has both redis_url and settings")
        return Place(source, NOWHERE, chosen.name, chosen.by, keys, keys, settings=keys["settings"])
    return Place(source, _address_of(chosen.name, keys, env, file), chosen.name, chosen.by, keys, keys)


def _address_of(name: str, keys: Mapping[str, Any], env: Mapping[str, str], file: ConfigFile) -> Address:
    source = f"context {name!r}"
    if not keys.get("redis_url"):
        raise UsageProblem(f"[context.{name}] has no redis_url", hint=f"the context is in {file.path}")
    return _parsed(keys, env, source)


def _parsed(keys: Mapping[str, Any], env: Mapping[str, str], source: str) -> Address:
    """The address in the file or in a context, with the options that are separate keys."""
    address = parse(_with_variables(keys["redis_url"], env, source), source)
    options = {key: str(keys[key]) for key in CONNECTION_KEYS if key in keys}
    paths = {key: expanded(options[key]) for key in PATH_KEYS if key in options}
    return with_options(address, {**options, **paths}, source)


def _of_url(found: Place, chosen: Chosen | None, env: Mapping[str, str], file: ConfigFile) -> Place:
    """The Redis that a flag or a variable names, while a context is chosen by a variable or `context use`."""
    found = _recognised(found, env, file)
    if chosen is None or found.source == "--redis-url" or found.context == chosen.name:
        return found
    if chosen.by == "ASYNCMQ_CONTEXT":
        # Two variables contradict each other, and it is unknown which one was forgotten.
        raise UsageProblem(
            f"ASYNCMQ_CONTEXT={chosen.name} and {found.source} name different servers",
            hint=f"unset one of them, or choose by --context {chosen.name}",
        )
    warning = f"context {chosen.name!r} is not used: {found.source} says where Redis is"
    return replace(found, warnings=(warning,))


_STRICTEST = ("readonly", "confirm", None)


def _recognised(found: Place, env: Mapping[str, str], file: ConfigFile) -> Place:
    """The same place, but if a context names the same Redis, its name and its guard apply, even if the Redis
    was named in another way."""
    same: list[tuple[str, Mapping[str, Any]]] = []
    for name, keys in file.contexts.items():
        try:
            address = _address_of(name, keys, env, file)
        except UsageProblem:
            # This context cannot be resolved, for example because of a variable that is only set when the
            # context is used.
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
"""The keys of a context that apply to its Redis even if the context was not chosen."""


def _with_variables(url: str, env: Mapping[str, str], where: str) -> str:
    """The URL of the file with each `${NAME}` replaced from the environment. The value of a variable is
    percent-encoded here, because user names and passwords in variables are not."""
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")

    def value(name: re.Match[str]) -> str:
        # Drop the line end that `kubectl` and `echo` leave in a stored secret.
        text = env.get(name["name"], "").removesuffix("\n").removesuffix("\r")
        if not text:
            raise UsageProblem(
                f"redis_url in {where} needs the variable {name['name']!r}, which is not set", hint=_LITERAL
            )
        return text

    def encoded(name: re.Match[str]) -> str:
        return quote(value(name), safe="", errors="surrogateescape")

    if "${" in _VARIABLE.sub("", url):
        raise UsageProblem(f"redis_url in {where} has a ${{ without its }}", hint=_LITERAL)
    parts = (_VARIABLE.sub(value, scheme), separator, _VARIABLE.sub(encoded, user), at)
    return "".join((*parts, _VARIABLE.sub(value, place)))


_LITERAL = "write %24{ for a ${ that is not a variable"
