"""Random Redis URLs: whatever the password contains, no output shows it, and no URL leads to another host."""

from __future__ import annotations

import random
from urllib.parse import quote

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.address import parse
from asyncmq_cli.storage.client.connection import connection_options
from tests.faults.scale import record, scaled, seeded

URLS = scaled(5_000, 1_000_000)
HOST = "prod.invalid"
# No shown part of a URL contains two of these letters and digits next to each other.
_LETTERS = "QXZJK9"
_MARKS = "/?#@:%&=[]\\;,+!$'\"()*~^|.{}<>` \t\n\u00a0\u2028é℀"
_TEMPLATES = [
    *("redis://:{}@" + HOST + end for end in ("", "/0", ":6379/0", ":6379/0?db=0", "?decode_responses=true")),
    *("redis://ops:{}@" + HOST + end for end in ("", "/0", ":6379/0", "/0?socket_timeout=5")),
    "rediss://:{}@prod.invalid:6380/1?ssl_cert_reqs=none",
    "rediss://ops:{}@prod.invalid",
    "rediss://ops:b@prod.invalid?ssl_password={}",
    "redis://prod.invalid/0?password={}",
    "redis://prod.invalid?username=ops&password={}&db=0",
    "unix://:{}@/run/r.sock",
    "unix:///run/r.sock?password={}",
]
_WRONG = [
    "redis://:{}@prod.invalid:port",
    "redis://:{}@prod.invalid/0?nosuch=1",
    "http://:{}@prod.invalid",
    ":{}@prod.invalid",
    "redis://:{}@",
    "redis://:{}@:6379/0",
    "redis://ops:{}@/0",
    "{}",
]


def password(rng: random.Random) -> str:
    made = ""
    while len(made) < 4 or rng.random() < 0.8:
        made += rng.choice(_LETTERS) if rng.random() < 0.7 else rng.choice(_MARKS)
    return made


def assert_hidden(secret: str, shown: str) -> None:
    for start in range(len(secret) - 3):
        part = secret[start : start + 4]
        telling = sum(part.count(letter) for letter in _LETTERS) >= 2
        assert not (telling and part in shown), (secret, shown)


def test_no_url_shows_its_password_or_leads_to_another_host() -> None:
    rng = seeded("fuzz urls")
    accepted = 0
    for _ in range(URLS):
        secret, template = password(rng), rng.choice(_TEMPLATES if rng.random() < 0.7 else _WRONG)
        encoded = rng.random() < 0.3
        url = template.format(quote(secret, safe="") if encoded else secret)
        try:
            address = parse(url, "REDIS_URL")
        except UsageProblem as exc:
            assert_hidden(secret, f"{exc.message} {exc.hint} {exc.details}")
            assert not encoded or template in _WRONG, url
            continue
        accepted += 1
        assert_hidden(secret, f"{address.shown} {address!r}")
        if encoded:
            assert secret in (address.password, address.options.get("ssl_password")), url
        place = connection_options(address)
        assert (place.get("host"), place.get("path")) in ((HOST, None), (None, "/run/r.sock")), url
    assert accepted > URLS / 10
    record("Fuzzed URLs", runs=URLS, losses=0)
