"""Parse a Redis URL: where to connect, and a form of the URL without secrets.

The grammar is strict. Other parsers guess, and turn a password that is not percent-encoded into a host, a
database or part of an error message; here it is an error. No message quotes any part of a refused URL.

    redis://[USER][:PASSWORD]@HOST[:PORT][/DB][?NAME=VALUE&…]     rediss:// the same, over TLS
    unix://[USER][:PASSWORD]@/PATH[?NAME=VALUE&…]
    redis-sentinel://[USER][:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/NAME[/DB][?…]    rediss-sentinel:// over TLS

With Sentinels, USER and PASSWORD are for the primary called NAME, not for the Sentinels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, unquote, unquote_plus

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest

FORMS = "redis://USER:PASSWORD@HOST:PORT/DB, rediss://… for TLS, unix:///PATH?db=0"
ENCODE = "in a user name or password write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25"
REDACTED = "[redacted]"
DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

_SCHEME = re.compile(r"(?P<scheme>rediss?-sentinel|rediss?|unix)://")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.?")
_IPV6 = re.compile(r"\[(?P<address>[0-9A-Fa-f:.]{2,45})(?:%(?:25)?(?P<zone>[A-Za-z0-9_.-]{1,15}))?\]")
_MASTER = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PORT = re.compile(r"[0-9]{1,5}")
_DB = re.compile(r"[0-9]{1,9}")
_OPTION_NAME = re.compile(r"[A-Za-z_]{1,40}")
_TLS_VERSIONS = {"tlsv1.2": 771, "1.2": 771, "771": 771, "tlsv1.3": 772, "1.3": 772, "772": 772}


class Address(Struct, frozen=True):
    """One server, or the primary called `master` that the `sentinels` (pairs of host and port) know. `port`
    and `db` are None if the URL does not give them. `path` is the path of a Unix socket; then `host` is
    empty. `options` are redis-py's arguments. `timeout` is the longest timeout in the URL, in seconds."""

    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    db: int | None = None
    username: str | None = None
    password: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_login: Mapping[str, str] = field(default_factory=dict)
    """`username` and `password` for the Sentinels themselves."""

    def __repr__(self) -> str:
        # Its options hold passwords, too.
        return f"Address({self.shown!r})"

    @property
    def uses_tls(self) -> bool:
        return self.scheme.startswith("rediss")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, as far as the address shows."""
        host = self.host.lower().rstrip(".")
        return bool(self.path) or host in ("localhost", "::1") or host.startswith("127.")

    @property
    def place(self) -> tuple[Any, ...]:
        """A key that is equal for URLs that name the same server and database, as far as their text shows."""
        if self.path:
            return self.path, self.db or 0
        if self.sentinels:
            return tuple(sorted(self.sentinels)), self.master, self.db or 0
        return self.host.lower().rstrip("."), self.port or DEFAULT_PORT, self.db or 0

    @property
    def shown(self) -> str:
        """A URL for messages, built from the parts that are not secret."""
        user = "" if self.username is None else quote(self.username, safe="")
        if self.password is not None:
            user = f"{user}:{REDACTED}@"
        elif self.username is not None:
            # A password without its colon is parsed as a user name, so hide it as well.
            user = f"{REDACTED}@"
        if self.scheme == "unix":
            db = "" if self.db is None else f"?db={self.db}"
            return f"unix://{user}{quote(self.path)}{db}"
        db = "" if self.db is None else f"/{self.db}"
        if self.sentinels:
            hosts = ",".join(_shown(*place) for place in self.sentinels)
            return f"{self.scheme}://{user}{hosts}/{self.master}{db}"
        return f"{self.scheme}://{user}{_shown(self.host, self.port)}{db}"


def _shown(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def parse(url: str, source: str = "") -> Address:
    """Parse a URL. `source` names the flag, variable or file that it comes from. Raises UsageProblem."""
    return _Parser(source).parse(url)


def with_options(address: Address, options: Mapping[str, str], source: str) -> Address:
    """The same address with further options that the configuration gives beside the URL. Raises
    UsageProblem."""
    return _Parser(source).with_options(address, options)


def of_arguments(found: Mapping[str, Any], name: str) -> Address:
    """The address that an application's client uses. `found` has `kwargs`, redis-py's arguments; `tls`,
    whether it uses TLS; and `sentinels` and `master` if it asks Sentinels. Raises UsageProblem."""
    kwargs: Mapping[str, Any] = found["kwargs"]
    options = {key: _written(kwargs[key]) for key in OPTIONS if key.startswith("ssl_") and key in kwargs}
    username, password = (str(kwargs[key]) if kwargs.get(key) else None for key in _CREDENTIALS)
    scheme = "rediss" if found["tls"] else "redis"
    address = Address(scheme, db=int(kwargs.get("db") or 0), username=username, password=password)
    if "master" in found:
        asked = found["sentinel_kwargs"]
        address = replace(
            address,
            scheme=f"{scheme}-sentinel",
            sentinels=tuple((host, port) for host, port in found["sentinels"]),
            master=found["master"],
            sentinel_login={key: str(asked[key]) for key in _CREDENTIALS if asked.get(key)},
        )
    elif kwargs.get("path"):
        address = replace(address, scheme="unix", path=str(kwargs["path"]))
    else:
        address = replace(
            address, host=str(kwargs.get("host", "localhost")), port=int(kwargs.get("port", 6379))
        )
    return with_options(address, options if found["tls"] else {}, f"the settings {name}")


def _written(value: Any) -> str:
    """An argument of redis-py as text in the form that a URL has."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Parser:
    def __init__(self, source: str) -> None:
        self._where = f" of {source}" if source else ""

    def refuse(self, why: str, hint: str = FORMS) -> NoReturn:
        raise UsageProblem(f"the Redis URL{self._where} cannot be used: {why}", hint=hint)

    def parse(self, url: str) -> Address:
        scheme = _SCHEME.match(url)
        if scheme is None:
            self.refuse(
                "its scheme is unknown", "it starts with redis://, rediss://, unix:// or redis-sentinel://"
            )
        if _UNSAFE.search(url):
            self.refuse("it holds a control character", ENCODE)
        if not _is_utf8(url):
            self.refuse("it is not UTF-8")
        rest = url[scheme.end() :]
        if "#" in rest:
            self.refuse("it holds a #, and what follows it would be lost", ENCODE)
        authority, ending = re.match(r"([^/?]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        if "@" in ending:
            self.refuse("there is an @ after the first / or ?, so its host is ambiguous", ENCODE)
        user, at, host = authority.rpartition("@")
        path, _, query = ending.partition("?")
        values = self._options(query, scheme["scheme"])
        username, password = self._credentials(user if at else None, values)
        values = {name: value for name, value in values.items() if name not in _CREDENTIALS}
        timeout = max((values.pop(name, 0.0) for name in _TIMES), default=0.0)
        address = Address(
            scheme["scheme"],
            db=values.pop("db", None),
            username=username,
            password=password,
            options=values,
            timeout=timeout or None,
        )
        if address.scheme == "unix":
            return replace(address, path=self._socket(host, path))
        if address.scheme.endswith("-sentinel"):
            return self._sentinels(address, host, path)
        name, port = self._host(host)
        return replace(address, host=name, port=port, db=self._db(path, address.db))

    def with_options(self, address: Address, options: Mapping[str, str]) -> Address:
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return replace(address, options={**self._options(query, address.scheme), **address.options})

    def _sentinels(self, address: Address, hosts: str, path: str) -> Address:
        master, _, db = path.removeprefix("/").partition("/")
        if not _MASTER.fullmatch(master):
            self.refuse("it does not name the primary", _SENTINEL_FORM)
        options = dict(address.options)
        login = {name: options.pop(f"sentinel_{name}", None) for name in _CREDENTIALS}
        places = (self._host(text) for text in hosts.split(","))
        return replace(
            address,
            options=options,
            sentinels=tuple((host, port or SENTINEL_PORT) for host, port in places),
            master=master,
            sentinel_login={name: value for name, value in login.items() if value is not None},
            db=self._db(f"/{db}", address.db),
        )

    def _credentials(self, user: str | None, options: Mapping[str, Any]) -> tuple[str | None, str | None]:
        name, _, password = (user or "").partition(":")
        if "@" in name:
            self.refuse("there is an @ in its user name", ENCODE)
        given = {"username": self._decoded(name) or None, "password": self._decoded(password) or None}
        for option in _CREDENTIALS:
            if option in options:
                if given[option] is not None:
                    self.refuse(f"it gives the {option} twice")
                given[option] = options[option]
        return given["username"], given["password"]

    def _decoded(self, text: str) -> str:
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            self.refuse("its percent-encoded characters are not UTF-8", ENCODE)

    def _host(self, text: str) -> tuple[str, int | None]:
        ipv6 = _IPV6.match(text)
        host = ipv6[0] if ipv6 else text.partition(":")[0]
        colon, port = text[len(host) :][:1], text[len(host) + 1 :]
        if not host:
            self.refuse("it names no host", f"{FORMS}; on this machine the host is localhost")
        if colon not in ("", ":") or (colon and not (_PORT.fullmatch(port) and 0 < int(port) < 65536)):
            self.refuse("its port is not a number from 1 to 65535", f"{FORMS}; {ENCODE}")
        if ipv6 is not None:
            host = ipv6["address"] + (f"%{ipv6['zone']}" if ipv6["zone"] else "")
        if not (_is_ipv6(host) if ipv6 is not None else _HOST.fullmatch(host) and len(host) < 254):
            self.refuse(
                "its host name is not valid",
                f"write an IPv6 address in brackets, and other names as xn--…; {ENCODE}",
            )
        return host, int(port) if colon else None

    def _socket(self, host: str, path: str) -> str:
        if host or len(path) < 2:
            self.refuse("it names no socket", "unix:///PATH has three slashes: unix:///run/redis.sock?db=0")
        decoded = self._decoded(path)
        if "\0" in decoded:
            self.refuse("the path of its socket holds a NUL")
        return decoded

    def _db(self, path: str, option: int | None) -> int | None:
        text = path.strip("/")
        if not text:
            return option
        if not _DB.fullmatch(text) or not path.startswith(f"/{text}"):
            self.refuse("its database is not a number", f"{FORMS}; {ENCODE}")
        if option not in (None, int(text)):
            self.refuse("it names two databases")
        return int(text)

    def _options(self, query: str, scheme: str) -> dict[str, Any]:
        """The parsed values of the options, without those that are accepted without effect."""
        given = [piece.partition("=") for piece in query.split("&") if piece]
        found: dict[str, Any] = {}
        seen: set[str] = set()
        for name, _, text in given:
            if name not in OPTIONS:
                self._refuse_unknown(name, given)
            if name in seen:
                self.refuse(f"it gives {name} twice")
            seen.add(name)
            if name.startswith("sentinel_") and not scheme.endswith("-sentinel"):
                self.refuse(f"{name} is for Sentinels", _SENTINEL_FORM)
            if name.startswith("ssl_") and not scheme.startswith("rediss"):
                self.refuse(
                    f"{name} is for TLS", "start the URL with rediss:// for TLS, or leave the option out"
                )
            read = OPTIONS[name]
            if read is None:
                continue
            try:
                found[name] = read(unquote_plus(text, errors="strict"))
            except UnicodeDecodeError:
                self.refuse(f"the value of {name} is not UTF-8")
            except ValueError as exc:
                self.refuse(f"{name} must be {exc}")
        return found

    def _refuse_unknown(self, name: str, given: list[tuple[str, str, str]]) -> NoReturn:
        if any(known.lower().endswith("password") for known, *_ in given) or not _OPTION_NAME.fullmatch(name):
            # It may be the rest of a password with an unencoded &.
            self.refuse("it has an unknown option", f"{ENCODE}, & as %26; {_KNOWN}")
        self.refuse(f"unknown option {name}", did_you_mean(nearest(name, OPTIONS, most=1)) or _KNOWN)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    from ipaddress import IPv6Address

    try:
        IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a text that is not empty")
    return text


def _whole(text: str) -> int:
    if not _DB.fullmatch(text):
        raise ValueError("a whole number")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", text) or not float(text):
        raise ValueError("a number of seconds above 0")
    return float(text)


def _yes_or_no(text: str) -> bool:
    answer = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower())
    if answer is None:
        raise ValueError("true or false")
    return answer


def _cert_reqs(text: str) -> str:
    # Also accept Python's names, such as CERT_NONE.
    word = text.lower().removeprefix("cert_")
    if word not in ("none", "optional", "required"):
        raise ValueError("none, optional or required")
    return word


def _tls_version(text: str) -> int:
    version = _TLS_VERSIONS.get(text.lower())
    if version is None:
        raise ValueError("TLSv1.2 or TLSv1.3")
    return version


_CREDENTIALS = ("username", "password")
_SENTINEL_FORM = "redis-sentinel://HOST:26379,HOST,HOST/NAME/DB, with the NAME that the Sentinels know"
_TIMES = ("timeout", "socket_timeout", "socket_connect_timeout")
OPTIONS: Mapping[str, Callable[[str], Any] | None] = {
    "db": _whole,
    **dict.fromkeys(_CREDENTIALS, _text),
    **dict.fromkeys(("sentinel_username", "sentinel_password"), _text),
    **dict.fromkeys(_TIMES, _seconds),
    "client_name": _text,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_check_hostname": _yes_or_no,
    "ssl_min_version": _tls_version,
    **dict.fromkeys(
        ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_ciphers"), _text
    ),
    # An application's URL may contain these. They configure its own client, and have no effect here.
    **dict.fromkeys(
        (
            *("decode_responses", "encoding", "encoding_errors", "protocol", "legacy_responses"),
            *("max_connections", "health_check_interval", "socket_read_size", "socket_keepalive"),
            *("retry_on_timeout", "retry_on_error"),
        )
    ),
}
"""By the name of the option, the parser of its value; None for an option that is accepted without effect."""
_KNOWN = "the options are " + ", ".join(name for name, read in OPTIONS.items() if read is not None)
