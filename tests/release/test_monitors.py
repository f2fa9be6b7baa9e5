"""The files for monitoring systems, tried with the real systems: Debian's prometheus,
prometheus-node-exporter, nagios4-core and icinga2-bin. Tests of those that are not on PATH are skipped."""

from __future__ import annotations

import getpass
import grp
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import redis
import trustme

from asyncmq_cli.demo.server import PrivateRedis
from tests.commands.test_serve import serving
from tests.conftest import Run
from tests.demo.processes import eventually
from tests.docs.conftest import ROOT
from tests.faults.troubles import free_port
from tests.support import library

CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "asyncmq.rules.yml"

pytestmark = pytest.mark.extended


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")


@contextmanager
def running(words: Sequence[str | Path]) -> Iterator[None]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def fetched(url: str) -> str:
    """The body of the response; empty if nothing answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


@needs("prometheus")
def test_prometheus_scrapes_the_exporter_by_tls_and_password_and_alerts(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    jobs = [("waiting", library.job("w"))]
    library.with_backend(server.url, lambda opened: library.fill(opened, "mail", jobs))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = authority.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(tmp_path / "web.pem")
    made.private_key_pem.write_to_path(tmp_path / "web.key")
    users = {"prometheus": bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()}
    tls = {"cert_file": "web.pem", "key_file": "web.key"}
    web = tmp_path / "web.yml"
    web.write_text(json.dumps({"tls_server_config": tls, "basic_auth_users": users}))
    with serving(server.url, "--interval", "1s", "--web-config", str(web)) as exporter:
        job: dict[str, Any] = {"job_name": "asyncmq", "scheme": "https", "scrape_interval": "1s"}
        job["basic_auth"] = {"username": "prometheus", "password": "pw"}
        job["tls_config"] = {"ca_file": "ca.pem"}
        job["static_configs"] = [{"targets": [exporter.url.removeprefix("https://")]}]
        config: dict[str, Any] = {
            "global": {"evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [job],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with running(["prometheus", *options, f"--web.listen-address={address}"]):

            def value(query: str) -> list[str]:
                text = fetched(f"http://{address}/api/v1/query?query={urllib.parse.quote(query)}")
                return [one["value"][1] for one in json.loads(text)["data"]["result"]] if text else []

            assert eventually(lambda: value("asyncmq_up") == ["1"])
            assert value('asyncmq_queue_jobs{queue="mail",state="waiting"}') == ["1"]
            assert value("up") == ["1"]
            # Jobs wait without a worker: the alert would fire five minutes later.
            pending = 'ALERTS{alertname="AsyncmqNobodyWorks",alertstate="pending",queue="mail"}'
            assert eventually(lambda: value(pending) == ["1"])
            rules = json.loads(fetched(f"http://{address}/api/v1/rules"))["data"]["groups"][0]["rules"]
            assert len(rules) == RULES.read_text().count("- alert:")
            assert {rule["health"] for rule in rules} == {"ok"}


@needs("prometheus-node-exporter")
def test_node_exporter_serves_the_text_file(
    server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    client.zadd("queue:mail:waiting", {"x": 1})
    assert cli("metrics", "prometheus", "--output", str(tmp_path / "asyncmq.prom")).code == 0
    address = f"127.0.0.1:{free_port()}"
    options = ("--collector.disable-defaults", "--collector.textfile", f"--web.listen-address={address}")
    with running(["prometheus-node-exporter", *options, f"--collector.textfile.directory={tmp_path}"]):
        assert eventually(lambda: fetched(f"http://{address}/metrics") != "")
        text = fetched(f"http://{address}/metrics")
    assert re.search(r'^asyncmq_queue_jobs\{queue="mail",state="waiting"\} 1$', text, re.MULTILINE)
    assert "node_textfile_scrape_error 0" in text


@needs("icinga2")
def test_icinga_takes_the_command_and_makes_a_service_of_it(tmp_path: Path) -> None:
    host = 'object Host "redis" { check_command = "dummy", vars.asyncmq_redis_url = "redis://redis:6379/0" }'
    included = f'include <itl>\nconst NodeName = "here"\ninclude "{CONTRIB}/icinga/asyncmq.conf"\n'
    (tmp_path / "main.conf").write_text(included + host.replace(", ", "\n") + "\n")
    group = grp.getgrgid(os.getgid()).gr_name
    defined = {"RunAsUser": getpass.getuser(), "RunAsGroup": group, "CacheDir": tmp_path, "DataDir": tmp_path}
    us = [f"--define={name}={value}" for name, value in defined.items()]
    words = ["icinga2", "daemon", "--validate", *us, "--config", tmp_path / "main.conf"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Instantiated 1 Service." in done.stdout, done.stdout


NAGIOS = """
define command {
 command_name tell
 command_line /bin/true
}
define timeperiod {
 timeperiod_name always
 alias always
 monday 00:00-24:00
}
define contact {
 contact_name ops
 service_notification_commands tell
 host_notification_commands tell
 service_notification_period always
 host_notification_period always
}
define host {
 host_name redis.internal
 address 127.0.0.1
 max_check_attempts 1
 check_period always
 contacts ops
}
define service {
 name generic-service
 register 0
 max_check_attempts 1
 check_period always
 contacts ops
}
"""


@needs("nagios4")
def test_nagios_takes_the_command_and_the_service(tmp_path: Path) -> None:
    (tmp_path / "objects.cfg").write_text(NAGIOS)
    paths = {"log_file": "log", "lock_file": "lock", "object_cache_file": "cache", "status_file": "status"}
    lines = [f"cfg_file={path}" for path in (tmp_path / "objects.cfg", CONTRIB / "nagios" / "asyncmq.cfg")]
    lines += [f"{name}={tmp_path / file}" for name, file in {**paths, "temp_file": "temp"}.items()]
    lines += [f"check_result_path={tmp_path}", "nagios_user=root", "nagios_group=root"]
    (tmp_path / "nagios.cfg").write_text("\n".join(lines) + "\n")
    words = ["nagios4", "-v", tmp_path / "nagios.cfg"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Checked 1 services" in done.stdout and "Total Errors:   0" in done.stdout, done.stdout
