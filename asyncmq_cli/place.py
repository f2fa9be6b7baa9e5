"""Find which Redis to use: from a URL, a context, an application's settings or the configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli import config_file
from asyncmq_cli.config_file import Chosen, ConfigFile
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import Address, parse, with_options

DEFAULT_REDIS_URL = "redis://localhost:6379/0"
FILE = config_file.NAME
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
    found = application.ask(place.settings, config_file.expanded(python))
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
    options = {key: str(keys[key]) for key in config_file.CONNECTION_KEYS if key in keys}
    paths = {key: config_file.expanded(options[key]) for key in config_file.PATH_KEYS if key in options}
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
