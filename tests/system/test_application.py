"""An application's own settings name the Redis. Its Python is asked only if the user wants that."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import redis

from asyncmq_cli.config import resolve
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system import application
from tests.conftest import Result, run_tool

SETTINGS = """
import redis.asyncio as redis
from redis.asyncio.sentinel import Sentinel
from asyncmq.backends.memory import InMemoryBackend
from asyncmq.backends.redis import RedisBackend
from asyncmq.conf.global_settings import Settings

print("an application may print what it likes")

class Real(Settings):
    heartbeat_ttl: int = 77
    stalled_check_interval: float = 5.0
    backend = RedisBackend("{url}")

class Memory(Settings):
    backend = InMemoryBackend()

class Tls(Settings):
    backend = RedisBackend("rediss://ops:p%40w@tls.internal:6390/3?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem")

_sentinel = Sentinel([("a", 26379), ("b", 26380)], sentinel_kwargs={{"password": "s"}}, password="pw", db=2)

class Watched(Settings):
    backend = RedisBackend(_sentinel.master_for("main"))

instance = Real()

class Broken(Settings):
    @property
    def backend(self):
        raise RuntimeError("no configuration here")
"""


@pytest.fixture
def app(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> Path:
    """A folder with the package `shop`; its Redis has one paused queue."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/settings.py").write_text(SETTINGS.format(url=server.url.replace("?db=0", "?db=4")))
    with redis.Redis.from_url(server.url.replace("db=0", "db=4")) as elsewhere:
        elsewhere.set("queue:shop:paused", "1")
    return tmp_path


def run(app: Path, *args: str, **env: str) -> Result:
    return run_tool(*args, env={"PYTHONPATH": str(app), **env})


NAMES = ("queues", "list", "--fields", "name")
PYTHON = ("--python", sys.executable)


def test_the_settings_lead_to_the_redis_of_the_application(app: Path) -> None:
    for name in ("shop.settings:Real", "shop.settings.Real", "shop.settings:instance"):
        found = run(app, *NAMES, "--settings", name, *PYTHON)
        assert (found.code, found.lines, found.stderr) == (0, ["shop"], ""), found
    by_variable = run(app, *NAMES, *PYTHON, ASYNCMQ_SETTINGS_MODULE="shop.settings.Real")
    assert by_variable.lines == ["shop"], by_variable
    shown = run(app, "context", "show", "--settings", "shop.settings:Real", *PYTHON, "--json").json[
        "settings"
    ]
    assert shown["heartbeat_ttl"] == {"value": 77.0, "from": "shop.settings:Real"}
    assert shown["stalled_check_interval"] == {"value": 5.0, "from": "shop.settings:Real"}
    assert shown["redis_url"]["from"] == "shop.settings:Real (--settings)"
    assert shown["redis_url"]["value"].endswith("?db=4")


def test_the_python_is_that_of_the_virtual_environment_in_use(app: Path) -> None:
    found = run(app, *NAMES, "--settings", "shop.settings:Real", VIRTUAL_ENV=sys.prefix)
    assert found.lines == ["shop"], found
    none = run(app, *NAMES, "--settings", "shop.settings:Real", VIRTUAL_ENV="/nowhere")
    assert none.code == 2 and "cannot run '/nowhere/bin/python'" in none.stderr


def test_a_context_may_name_them(app: Path) -> None:
    (app / "config.toml").write_text(
        f'[context.shop]\nsettings = "shop.settings:Real"\npython = "{sys.executable}"\nguard = "readonly"\n'
    )
    env = {"ASYNCMQ_CONFIG": str(app / "config.toml")}
    assert run(app, *NAMES, "--context", "shop", **env).lines == ["shop"]
    assert run(app, "queues", "resume", "shop", "--context", "shop", **env).code == 1
    listed = run(app, "context", "list", "--json", **env).json["contexts"]
    assert listed[0]["redis_url"] == "settings shop.settings:Real"


def test_every_other_source_of_the_address_takes_precedence(app: Path, server: PrivateRedis) -> None:
    broken = {"ASYNCMQ_SETTINGS_MODULE": "shop.settings.Broken"}
    assert run(app, *NAMES, ASYNCMQ_REDIS_URL=server.url, **broken).code == 0
    assert run(app, *NAMES, "--redis-url", server.url, **broken).code == 0
    both = run(app, *NAMES, "--redis-url", server.url, "--settings", "shop.settings:Real")
    assert both.code == 2 and "--redis-url and --settings exclude each other" in both.stderr
    # A prompt is drawn at every command.
    assert run(app, "context", "prompt", **broken).code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "shop.settings:Memory",
            "use the backend asyncmq.backends.memory.InMemoryBackend, but this tool",
        ),
        ("shop.settings:Broken", "cannot be read: RuntimeError: no configuration here"),
        ("shop.nowhere:Settings", "cannot be read: ModuleNotFoundError: No module named 'shop.nowhere'"),
        ("shop.settings:Ghost", "cannot be read: AttributeError"),
        ("shop", "the settings 'shop' have no such name"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, message: str, app: Path) -> None:
    found = run(app, *NAMES, "--settings", name, *PYTHON)
    assert found.code == 2 and message in found.stderr, found


def test_tls_and_sentinels_are_taken_over(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(app))
    tls = application.ask("shop.settings:Tls", sys.executable).address
    assert (tls.scheme, tls.host, tls.port, tls.db) == ("rediss", "tls.internal", 6390, 3)
    assert (tls.username, tls.password) == ("ops", "p@w")
    assert tls.options == {"ssl_cert_reqs": "none", "ssl_ca_certs": "/etc/ca.pem"}
    watched = application.ask("shop.settings:Watched", sys.executable).address
    assert watched.shown == "redis-sentinel://:[redacted]@a:26379,b:26380/main/2"
    assert watched.sentinel_login == {"password": "s"}


def test_an_application_that_does_not_end_is_given_up(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (app / "slow.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(app))
    monkeypatch.setattr(application, "WITHIN", 0.5)
    began = time.monotonic()
    with pytest.raises(
        UsageProblem, match=r"gave up on the settings slow:Settings: it did not end within 0\.5 s"
    ):
        application.ask("slow:Settings", sys.executable)
    assert time.monotonic() - began < 30


def test_settings_are_imported_only_if_they_are_named(tmp_path: Path) -> None:
    assert resolve({}, {"XDG_CONFIG_HOME": str(tmp_path)}).url_from == ""
