"""Redis URLs: their parts, the URLs that are refused, and the shown form."""

from __future__ import annotations

import pytest

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import OPTIONS, Address, parse

PARSED: dict[str, Address] = {
    "redis://h": Address("redis", "h"),
    "redis://h/": Address("redis", "h"),
    "redis://h:6380/3": Address("redis", "h", 6380, db=3),
    "redis://h/3/": Address("redis", "h", db=3),
    "redis://h?db=3": Address("redis", "h", db=3),
    "redis://:pw@h": Address("redis", "h", password="pw"),
    "redis://u:p%40w@h:6379/0": Address("redis", "h", 6379, db=0, username="u", password="p@w"),
    "redis://u:p@w@h": Address("redis", "h", username="u", password="p@w"),
    "redis://u:p:w[]%!@h": Address("redis", "h", username="u", password="p:w[]%!"),
    "redis://u:p w@h": Address("redis", "h", username="u", password="p w"),
    "redis://u:pä@h": Address("redis", "h", username="u", password="pä"),
    "rediss://u@h": Address("rediss", "h", username="u"),
    "redis://u:@h": Address("redis", "h", username="u"),
    "redis://h?username=u&password=a%26b": Address("redis", "h", username="u", password="a&b"),
    "redis://[::1]:6379/0": Address("redis", "::1", 6379, db=0),
    "redis://[fe80::1%25eth0]": Address("redis", "fe80::1%eth0"),
    "redis://redis_1.internal.": Address("redis", "redis_1.internal."),
    "unix:///run/redis.sock": Address("unix", path="/run/redis.sock"),
    "unix://u:pw@/run/r%40b.sock?db=1": Address(
        "unix", path="/run/r@b.sock", db=1, username="u", password="pw"
    ),
    "redis://h?timeout=2&socket_timeout=1.5&socket_connect_timeout=3": Address("redis", "h", timeout=3.0),
    "rediss://h?ssl_cert_reqs=CERT_NONE&ssl_check_hostname=no&ssl_min_version=TLSv1.3": Address(
        "rediss",
        "h",
        options={"ssl_cert_reqs": "none", "ssl_check_hostname": False, "ssl_min_version": 772},
    ),
    "redis-sentinel://u:pw@a,b:26380,[::1]/main/2?sentinel_username=s&sentinel_password=x%26": Address(
        "redis-sentinel",
        db=2,
        username="u",
        password="pw",
        sentinels=(("a", 26379), ("b", 26380), ("::1", 26379)),
        master="main",
        sentinel_login={"username": "s", "password": "x&"},
    ),
    "rediss-sentinel://a/main?ssl_cert_reqs=none": Address(
        "rediss-sentinel", sentinels=(("a", 26379),), master="main", options={"ssl_cert_reqs": "none"}
    ),
    "redis://h?decode_responses=true&max_connections=50&protocol=3": Address("redis", "h"),
}

REFUSED = {
    "redis-sentinel://a,b": "does not name the primary",
    "redis-sentinel://a,b/": "does not name the primary",
    "redis-sentinel://a,b//0": "does not name the primary",
    "redis-sentinel://a,,b/main": "no host",
    "redis-sentinel://a:0/main": "port",
    "redis-sentinel://a/main/x": "its database is not a number",
    "redis-sentinel://a/main?ssl_cert_reqs=none": "ssl_cert_reqs is for TLS",
    "redis://h?sentinel_password=x": "sentinel_password is for Sentinels",
    "redis://a,b": "its host name is not valid",
    "": "scheme is unknown",
    "http://h": "scheme is unknown",
    "REDIS://h": "scheme is unknown",
    "redis:h": "scheme is unknown",
    "u:pw@h:6379": "scheme is unknown",
    "redis://": "no host",
    "redis:///0": "no host",
    "redis://:6379/0": "no host",
    "redis://:pw@": "no host",
    "redis://:57#Wc903z@prod/0": "it holds a #",
    "redis://h/0#": "it holds a #",
    "redis://:12/abcdef@prod:6379/0": "an @ after the first / or ?",
    "redis://:12?abcdef@prod:6379/0": "an @ after the first / or ?",
    "unix:///run/redis@1/r.sock": "an @ after the first / or ?",
    "redis://ada@example.org:pw@h": "an @ in its user name",
    "redis://u:%ff@h": "not UTF-8",
    "redis://u:\udcff@h": "not UTF-8",
    "redis://h\n": "a control character",
    "redis://h ": "its host name is not valid",
    "redis://h/0 ": "its database is not a number",
    "redis://h:port": "its port is not",
    "redis://h:0": "its port is not",
    "redis://h:65536": "its port is not",
    "redis://h:": "its port is not",
    "redis://h:²": "its port is not",
    "redis://h:6379:6380": "its port is not",
    "redis://::1": "no host",
    "redis://[::1": "its port is not",
    "redis://[::1]6379": "its port is not",
    "redis://[1.2.3.4]": "its host name is not valid",
    "redis://h1,h2": "its host name is not valid",
    "redis://a..b": "its host name is not valid",
    "redis://a℀b": "its host name is not valid",
    "redis://a\\b": "its host name is not valid",
    f"redis://{'a' * 64}": "its host name is not valid",
    "redis://h/zero": "its database is not a number",
    "redis://h/1/2": "its database is not a number",
    "redis://h//1": "its database is not a number",
    "redis://h/-1": "its database is not a number",
    "redis://h/1?db=2": "two databases",
    "redis://h?db=one": "db must be a whole number",
    "redis://h?db=1&db=1": "db twice",
    "redis://:a@h?password=b": "the password twice",
    "redis://h?timeout=soon": "timeout must be a number of seconds",
    "redis://h?socket_timeout=0": "socket_timeout must be a number of seconds",
    "redis://h?ssl_cert_reqs=none": "ssl_cert_reqs is for TLS",
    "rediss://h?ssl_cert_reqs=maybe": "ssl_cert_reqs must be none, optional or required",
    "rediss://h?ssl_check_hostname=off": "ssl_check_hostname must be true or false",
    "rediss://h?ssl_min_version=2": "ssl_min_version must be TLSv1.2 or TLSv1.3",
    "unix://run/redis.sock": "no socket",
    "unix://": "no socket",
    "unix:///": "no socket",
    "unix:///a%00b": "a NUL",
}


@pytest.mark.parametrize("url", PARSED)
def test_a_url_means_one_thing(url: str) -> None:
    assert parse(url) == PARSED[url]


@pytest.mark.parametrize("url", REFUSED)
def test_ambiguous_and_invalid_urls_are_refused_with_a_reason(url: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        parse(url, "--redis-url")
    assert raised.value.message.startswith("the Redis URL of --redis-url cannot be used: ")
    assert REFUSED[url] in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h", "redis://:[redacted]@h"),
        ("redis://u:p%40w@h:6379/0", "redis://u:[redacted]@h:6379/0"),
        ("redis://only@h", "redis://[redacted]@h"),
        ("unix://u:pw@/path/redis.sock?db=1", "unix://u:[redacted]@/path/redis.sock?db=1"),
        ("redis://h/0?password=pw", "redis://:[redacted]@h/0"),
        ("rediss://h?ssl_password=pw", "rediss://h"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix:///a%1bb", "unix:///a%1Bb"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert parse(url).shown == shown
    assert "pw" not in repr(parse(url))


@pytest.mark.parametrize(
    "option", ["credential_provider", "redis_connect_func", "command_packer", "path", "retry", "parser_class"]
)
def test_an_option_that_is_not_known_is_refused_by_its_name(option: str) -> None:
    with pytest.raises(UsageProblem, match=f"unknown option {option}") as raised:
        parse(f"rediss://h?db=0&{option}=/etc/passwd")
    assert raised.value.hint and "options are" in raised.value.hint
    assert "/etc/passwd" not in raised.value.message + raised.value.hint


def test_a_misspelt_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageProblem) as raised:
        parse("rediss://h?ssl_ca_cert=/ca.pem")
    assert raised.value.hint == "did you mean ssl_ca_certs?"


def test_the_rest_of_a_password_is_not_shown_as_an_option() -> None:
    for url in ("redis://h?password=ab&cdefgh=1", "redis://h?PASSWORD=ab", "redis://h?s3cr3t+pa55"):
        with pytest.raises(UsageProblem, match="it has an unknown option"):
            parse(url)


def test_every_option_is_documented() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "connecting.md").read_text()
    assert [name for name in OPTIONS if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("redis://localhost:6379/0", True),
        ("redis://LOCALHOST./", True),
        ("redis://127.0.0.1", True),
        ("rediss://[::1]:6380", True),
        ("unix:///run/redis.sock", True),
        ("redis://redis.example.org", False),
        ("redis://localhost.example.org", False),
        ("redis://10.0.0.1", False),
    ],
)
def test_an_address_shows_whether_the_server_is_on_this_machine(url: str, local: bool) -> None:
    assert parse(url).is_local is local
