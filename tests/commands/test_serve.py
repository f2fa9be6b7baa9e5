"""`metrics serve`, as Prometheus, a probe and a supervisor meet it."""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest
import redis
import trustme
from asyncmq.backends.redis import RedisBackend
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from asyncmq_cli import __version__
from asyncmq_cli.cli import exporter
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.monitoring.snapshots import ExporterState, Snapshot
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.text import prometheus
from asyncmq_cli.system.web_server import WebSettings
from tests.commands.test_metrics import assert_promtool_agrees
from tests.conftest import Run, environment, run_tool
from tests.demo.processes import eventually
from tests.support import library
from tests.support.forked import Forked

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NOBODY_LOOKS = "1h"


class Serving:
    """A running exporter, and its answers."""

    def __init__(self, process: Forked, trusted: ssl.SSLContext | None) -> None:
        self.process = process
        self._trusted = trusted
        line = process.stderr.readline().decode()
        found = re.fullmatch(r"note: serving (\S+) on (https?://\S+)/metrics\n", line)
        assert found, line
        self.url = found[2].replace("127.0.0.1", "localhost")

    def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"{self.url}{path}", headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, context=self._trusted, timeout=30) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()

    def samples(self) -> dict[tuple[str, ...], float]:
        """Samples by their name and the values of their labels, sorted by name."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}

    def value(self, *name: str) -> float | None:
        return self.samples().get(name)

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200


@contextmanager
def serving(url: str, *options: str, trusted: ssl.SSLContext | None = None) -> Iterator[Serving]:
    words = ["-m", "asyncmq_cli", "metrics", "serve", "--listen", "127.0.0.1:0", *options]
    process = Forked(words, env=environment(url), stderr=subprocess.PIPE)
    try:
        yield Serving(process, trusted)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def mail(server: PrivateRedis, client: redis.Redis) -> None:
    async def fill(opened: RedisBackend) -> None:
        jobs = [("waiting", "w"), ("completed", "c"), ("failed", "f"), ("expired", "e"), ("active", "a")]
        await library.fill(opened, "mail", [(state, library.job(name)) for state, name in jobs])
        await library.enlist(opened, "worker-1", "mail", 4)
        await opened.enqueue("held", library.job("h", created_at=time.time() - 500))
        await opened.pause_queue("held")
        await library.fill(opened, "stuck", [("active", library.job("s"))])
        await opened.upsert_repeatable("mail", {"task_id": "app.tick", "every": 60})

    library.with_backend(server.url, fill)
    client.hset("queue:stuck:active", "s", time.time() - 3600)
    (member,) = client.zrange("queue:mail:repeatables", 0, -1)
    client.zadd("queue:mail:repeatables", {member: time.time() - 600})


def test_the_exporter_has_these_metrics(server: PrivateRedis, client: redis.Redis, mail: None) -> None:
    with serving(server.url, "--interval", NOBODY_LOOKS) as exporter:
        assert eventually(exporter.is_ready)
        found = exporter.samples()
        assert (
            found.items()
            >= {
                ("asyncmq_up",): 1,
                ("asyncmq_dashboard_ready",): 1,
                ("asyncmq_queue_total",): 3,
                ("asyncmq_queue_jobs", "mail", "waiting"): 1,
                ("asyncmq_queue_jobs", "mail", "failed"): 1,
                ("asyncmq_queue_jobs", "mail", "expired"): 1,
                ("asyncmq_queue_jobs", "mail", "active"): 1,
                ("asyncmq_queue_workers", "mail"): 1,
                ("asyncmq_queue_worker_capacity", "mail"): 4,
                ("asyncmq_queue_worker_capacity", "held"): 0,
                ("asyncmq_queue_paused", "held"): 1,
                ("asyncmq_queue_stuck_claims", "stuck"): 1,
                ("asyncmq_queue_stuck_claims", "mail"): 0,
                ("asyncmq_queue_overdue_schedules", "mail"): 1,
                ("asyncmq_queue_schedules", "mail"): 1,
                ("asyncmq_jobs_completed_total",): 0,
                ("asyncmq_jobs_failed_total",): 0,
                ("asyncmq_jobs_expired_total",): 0,
                ("asyncmq_exporter_build_info", platform.python_version(), __version__): 1,
                ("asyncmq_exporter_looks_total",): 1,
                ("asyncmq_exporter_look_failures_total",): 0,
            }.items()
        )
        assert 500 <= found["asyncmq_queue_oldest_waiting_seconds", "held"] < 600
        assert 0 < found["asyncmq_exporter_redis_seconds_total",] < 5
        assert found["process_resident_memory_bytes",] > 2**20
        text = exporter.get("/metrics")[1]
        assert_promtool_agrees(text)
        names = [family.name for family in openmetrics(exporter.get("/metrics", Accept=OPENMETRICS)[1])]
        assert len(names) == len(set(names)) == text.count("# TYPE ")


def test_a_scrape_never_causes_a_read(server: PrivateRedis, client: redis.Redis, mail: None) -> None:
    with serving(server.url, "--interval", NOBODY_LOOKS) as exporter:
        assert eventually(exporter.is_ready)
        before = client.info("stats")["total_commands_processed"]
        for path in ("/metrics", "/metrics?name[]=x", "/healthz", "/readyz", "/"):
            assert exporter.get(path)[0] == 200
        assert client.info("stats")["total_commands_processed"] == before + 1
        assert exporter.value("asyncmq_exporter_looks_total") == 1
        assert exporter.get("/other")[0] == 404
        assert exporter.get("/metrics", method="POST")[0] == 405
        assert exporter.get("/healthz", method="HEAD") == exporter.get("/metrics", method="HEAD") == (200, "")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_long_answer_is_written_as_it_is_made(zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    state = ExporterState(Snapshot(0.0, [QueueStats("mail", waiting=3)], workers=[], problems=[]))
    app = exporter._App(lambda: state, WebSettings(None, lambda problem: None))
    asked = {
        "PATH_INFO": "/metrics",
        "REQUEST_METHOD": "GET",
        "HTTP_ACCEPT_ENCODING": "gzip" if zipped else "",
    }
    # The process uses CPU time between the two answers.
    monkeypatch.setattr(prometheus, "_of_process", lambda: iter(()))
    found = []
    for held in (exporter._HELD, 0):
        monkeypatch.setattr(exporter, "_HELD", held)
        headers: dict[str, str] = {}
        body = b"".join(app(asked, lambda status, named: headers.update(named)))  # noqa: B023
        assert ("Content-Length" in headers) is bool(held)
        assert headers.get("Content-Encoding") == ("gzip" if zipped else None)
        found.append(gzip.decompress(body) if zipped else body)
    assert found[0] == found[1] and b'asyncmq_queue_jobs{queue="mail",state="waiting"} 3.0' in found[0]


def test_the_exporter_counts_deaths_between_reads(
    server: PrivateRedis, client: redis.Redis, mail: None
) -> None:
    with serving(server.url, "--interval", "1s") as exporter:
        assert eventually(exporter.is_ready)
        jobs = [
            ("failed", library.job("f2", task="app.\ud800", task_id="app.\ud800")),
            ("expired", library.job("e2")),
        ]
        library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs[1:]))
        dead = {**jobs[0][1], "status": "failed", "last_error": "KeyError: 'x'"}
        library.bury(client, "mail", [dead], time.time())
        expired = ("asyncmq_job_deaths_total", "expired", "mail", "app.send")
        failed = ("asyncmq_job_deaths_total", "KeyError", "mail", "app.\\ud800")
        assert eventually(lambda: exporter.value(*expired) == exporter.value(*failed) == 1)
        assert eventually(lambda: exporter.value("asyncmq_jobs_failed_total") == 1)


def test_redis_goes_away_and_comes_back(tmp_path: Path) -> None:
    with PrivateRedis() as own:
        with redis.Redis.from_url(own.url) as client:
            client.zadd("queue:mail:waiting", {"x": 1})
        # Stopped, it keeps the connection and answers nothing: the worst way to be away.
        with serving(own.url, "--interval", "1s", "--timeout", "0.3") as exporter:
            assert eventually(exporter.is_ready)
            os.kill(own.pid, signal.SIGSTOP)
            try:
                assert eventually(lambda: exporter.value("asyncmq_up") == 0)
                assert exporter.get("/readyz") == (503, "Redis could not be read\n")
                assert exporter.get("/healthz") == (200, "ok\n")
                found = exporter.samples()
                assert ("asyncmq_queue_total",) not in found and found["asyncmq_dashboard_ready",] == 0
                assert found["asyncmq_exporter_look_failures_total",] >= 1
            finally:
                os.kill(own.pid, signal.SIGCONT)
            assert eventually(lambda: exporter.value("asyncmq_up") == 1)
            exporter.process.send_signal(signal.SIGTERM)
            assert exporter.process.wait(30) == 143
            reported = exporter.process.stderr.read().decode().splitlines()
    assert [line.partition(":")[0] for line in reported] == ["warning", "note"]
    assert "asyncmq_up is 0" in reported[0] and reported[1] == "note: Redis can be read again"


def test_the_exporter_starts_before_redis() -> None:
    with serving("unix:///nonexistent/redis.sock", "--interval", "1s") as exporter:
        assert eventually(lambda: exporter.value("asyncmq_exporter_look_failures_total") != 0)
        assert exporter.value("asyncmq_up") == 0
        exporter.process.send_signal(signal.SIGINT)
        assert exporter.process.wait(30) == 130


def test_tls_and_passwords(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(tmp_path / "web.pem")
    made.private_key_pem.write_to_path(tmp_path / "web.key")
    config = tmp_path / "web.yml"
    users = {"ada": bcrypt.hashpw(b"pa:55", bcrypt.gensalt(4)).decode()}
    tls = {"cert_file": "web.pem", "key_file": "web.key"}
    config.write_text(json.dumps({"tls_server_config": tls, "basic_auth_users": users}))
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)

    def asked(exporter: Serving, given: str) -> int:
        return exporter.get("/metrics", Authorization=given)[0]

    with serving(server.url, "--web-config", str(config), trusted=trusted) as exporter:
        assert exporter.url.startswith("https://")
        assert eventually(exporter.is_ready), "a probe needs no password"
        assert exporter.get("/metrics")[0] == exporter.get("/")[0] == 401
        basic = {
            name: f"Basic {b64encode(name.encode()).decode()}"
            for name in ("ada:pa:55", "ada:x", "bob:pa:55", "x")
        }
        assert {name: asked(exporter, given) for name, given in basic.items()} == {
            "ada:pa:55": 200,
            "ada:x": 401,
            "bob:pa:55": 401,
            "x": 401,
        }
        assert asked(exporter, "Basic ?") == asked(exporter, "Bearer x") == 401
        # Who speaks no TLS is dropped, and the next is served.
        with pytest.raises(OSError):
            urllib.request.urlopen(exporter.url.replace("https:", "http:"), timeout=30)  # noqa: S310
        assert exporter.is_ready()


def test_who_has_no_certificate_of_ours_is_not_served(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "web.pem")
    tls = {"cert_file": "web.pem", "key_file": "web.pem", "client_ca_file": "ca.pem", "min_version": "TLS13"}
    config = tmp_path / "web.yml"
    required = {**tls, "client_auth_type": "RequireAndVerifyClientCert"}
    config.write_text(json.dumps({"tls_server_config": required}))

    def one_of(issuer: trustme.CA | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if issuer is not None:
            issuer.issue_cert("prometheus").configure_cert(context)
        return context

    with serving(server.url, "--web-config", str(config), trusted=one_of(authority)) as exporter:
        assert eventually(exporter.is_ready)
        old = one_of(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        for refused in (one_of(None), one_of(stranger), old):
            with pytest.raises(OSError):
                urllib.request.urlopen(f"{exporter.url}/metrics", context=refused, timeout=30)  # noqa: S310
        assert exporter.is_ready()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--listen", "9808"], 2, "'9808' is not an address"),
        (["--listen", "192.0.2.1:9808"], 1, "cannot listen on 192.0.2.1:9808: "),
        (["--interval", "0.1"], 2, "--interval must be at least 1 second"),
        (["--web-config", "/nonexistent/web.yml"], 2, "--web-config '/nonexistent/web.yml': No such file"),
        (["--json"], 2, "metrics serve prints no JSON"),
    ],
)
def test_invalid_options_of_serve_are_refused(options: list[str], code: int, said: str, cli: Run) -> None:
    result = cli("metrics", "serve", *options)
    assert (result.code, result.stdout) == (code, "")
    assert said in result.stderr


def test_the_exporter_serves_without_write_rights(
    server: PrivateRedis, client: redis.Redis, mail: None
) -> None:
    client.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@all", "-xadd")
    try:
        url = server.url.replace("unix://", "unix://reader:pw@")
        with serving(url, "--interval", NOBODY_LOOKS) as exporter:
            assert eventually(exporter.is_ready)
            assert exporter.value("asyncmq_jobs_completed_total") == 0
            assert b"metrics history cannot be written" in exporter.process.stderr.readline()
    finally:
        client.execute_command("ACL", "DELUSER", "reader")
    assert run_tool("metrics", "history", "--json", url=server.url).json == {"history": []}
