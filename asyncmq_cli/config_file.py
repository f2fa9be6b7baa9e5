"""Read the configuration file: its keys, its contexts, and the context that `context use` has chosen.

A context is a table `[context.NAME]`: a named Redis with its settings. The choice of `context use` is stored
in a separate file next to the configuration file, which the tool never writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest
from asyncmq_cli.system.files import read_bounded

NAME = "the configuration file"
MAX_FILE = 1024 * 1024
"""The largest configuration file, in bytes."""
_CONTEXT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
"""The name of a context. It must be easy to type, and safe in a list with commas and in a shell's prompt."""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a text"


def _time(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number or isinstance(value, str) else "a number or a text"


def _words(value: Any) -> str | None:
    is_list = isinstance(value, list) and value and all(isinstance(word, str) for word in value)
    return None if is_list or isinstance(value, str) else "a text or a list of texts"


def _names(value: Any) -> str | None:
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return None if is_list else 'a list of names, such as ["iban"]'


def _count(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if is_count else "a whole number above 0"


def _guard(value: Any) -> str | None:
    return None if value in GUARDS else f"one of {', '.join(GUARDS)}"


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


GUARDS = ("confirm", "readonly")


def _text_or_bool(value: Any) -> str | None:
    return None if isinstance(value, str | bool) else "a text, or true or false"


PATH_KEYS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
CONNECTION_KEYS = (
    *PATH_KEYS,
    *("ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers", "client_name"),
)
"""Options of the URL that may also be separate keys. If the URL has the option too, the URL's value
counts."""
Check = Callable[[Any], "str | None"]
"""Checks a value. Returns a description of what it must be, or None if it is valid."""
KEYS: Mapping[str, Check] = {
    "redis_url": _text,
    "password_file": _text,
    "password_command": _words,
    "timeout": _time,
    "heartbeat_ttl": _time,
    "actor": _text,
    "color": _text,
    "redact": _names,
    "credentials": _text,
    **dict.fromkeys(CONNECTION_KEYS, _text_or_bool),
}
"""The keys outside contexts."""
CONTEXT_KEYS: Mapping[str, Check] = {
    **KEYS,
    "settings": _text,
    "python": _text,
    "guard": _guard,
    "max_changes": _count,
    "record": _yes_or_no,
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
            raise UsageProblem(f"cannot read {NAME}: {why}") from exc
        return ConfigFile(path, warnings=(f"{NAME} is ignored: {why}",))
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


def _check(path: Path, settings: Mapping[str, Any], keys: Mapping[str, Check], where: str = "") -> None:
    for key, value in settings.items():
        if key not in keys:
            raise UsageProblem(
                f"unknown key {key!r}{where} in {path}", hint=f"the keys are {', '.join(keys)}"
            )
        if (wanted := keys[key](value)) is not None:
            raise UsageProblem(f"{key}{where} in {path} must be {wanted}")
        # A path or an argument of a program cannot contain a NUL.
        if any(isinstance(text, str) and "\0" in text for text in _listed(value)):
            raise UsageProblem(f"{key}{where} in {path} contains a NUL")


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
    except (ValueError, RecursionError) as exc:
        raise UsageProblem(f"{path} has a value that is too long or nested too deeply") from exc
