"""The files in contrib/: their form, our command lines and metrics in them, and each with the program that it
is for if this machine has it."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from jsonschema import Draft202012Validator
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from asyncmq_cli import __version__
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.monitoring.snapshots import DeathLabels, ExporterState, Snapshot
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.text.prometheus import exporter_text
from tests.conftest import environment
from tests.release.checkers import check, find
from tests.release.containerfile import stages
from tests.support import forked, library
from tools import commandtree, grafana

ROOT = Path(__file__).parents[2]
CONTRIB = ROOT / "contrib"
RULES = CONTRIB / "prometheus" / "asyncmq.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "asyncmq.json"
KUSTOMIZATION = CONTRIB / "kubernetes" / "kustomization.yaml"
MANIFESTS = sorted(set((CONTRIB / "kubernetes").glob("*.yaml")) - {KUSTOMIZATION})
UNITS = sorted((CONTRIB / "systemd").iterdir())
PROGRAM = "/usr/local/bin/asyncmq-cli"


def require_parses(line: str) -> None:
    """Assert that our program accepts the command line. Raises AdminError."""
    program, *words = shlex.split(line)
    assert Path(program).name == "asyncmq-cli", line
    commandtree.parse(words)


def metrics() -> set[str]:
    """The names of all series of the exporter."""
    row = QueueStats("mail", waiting=1, oldest_waiting_seconds=1.0, workers=1)
    state = ExporterState(
        Snapshot(1e9, [row], [], problems=[]),
        completed=1,
        failed=1,
        expired=1,
        deaths={DeathLabels("mail", "app.send", "KeyError"): 1},
        read_at=1e9,
    )
    text = b"".join(exporter_text(state, generate_latest)).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def queries() -> dict[str, str]:
    """The queries of the dashboard, by panel and letter, without Grafana's variables."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        .replace("$__rate_interval", "5m")
        .replace("$queue", ".*")
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel["targets"]
    }


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def alerts() -> dict[str, str]:
    return {rule["alert"]: rule["expr"] for rule in rules()}


def promtool(*words: str, folder: Path) -> None:
    """Run promtool if it is installed. Without it, only the form and the names of metrics are checked."""
    if find("promtool"):
        check("promtool", *words, folder=folder)


@pytest.mark.parametrize("expression", [*queries().values(), *alerts().values()])
def test_a_query_is_of_metrics_that_there_are(expression: str) -> None:
    named = set(re.findall(r"\basyncmq_\w+", expression))
    assert named and named <= metrics()
    for opened, closed in ("()", "{}", "[]"):
        assert expression.count(opened) == expression.count(closed)


def test_the_page_has_every_metric() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"`(asyncmq_\w+)`", page))
    assert {name for name in metrics() if not name.startswith("process_")} <= listed


def test_the_alerts_are_whole_and_name_commands_that_there_are() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        said = rule["annotations"]["description"].replace("{{ $labels.queue }}", "emails")
        if said.startswith("asyncmq-cli "):
            require_parses(said.partition(" says ")[0])


def test_promtool_takes_the_alerts_and_their_tests() -> None:
    tests = yaml.safe_load((RULES.parent / "asyncmq.rules.test.yml").read_text())["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == set(alerts()), "each alert has a test in which it fires"
    promtool("check", "rules", RULES.name, folder=RULES.parent)
    promtool("test", "rules", "asyncmq.rules.test.yml", folder=RULES.parent)


def test_the_dashboard_is_as_its_script_makes_it() -> None:
    assert DASHBOARD.read_text() == grafana.text(), "python -m tools.grafana contrib/grafana/asyncmq.json"


def test_the_dashboard_is_valid() -> None:
    found = json.loads(DASHBOARD.read_text())
    assert [one["name"] for one in found["templating"]["list"]] == ["datasource", "queue"]
    assert found["templating"]["list"][0]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert {"id", "type", "title", "gridPos", "targets", "fieldConfig"} <= set(panel)
        place = panel["gridPos"]
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not taken & cells and place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])


@pytest.mark.extended
def test_the_dashboard_has_nothing_that_grafana_does_not_know() -> None:
    """It is unchanged after Grafana's own library has read and written it."""
    cog = importlib.import_module("grafana_foundation_sdk.cog.plugins")
    encoder = importlib.import_module("grafana_foundation_sdk.cog.encoder").JSONEncoder()
    model = importlib.import_module("grafana_foundation_sdk.models.dashboard").Dashboard
    cog.register_default_plugins()
    ours = json.loads(DASHBOARD.read_text())
    assert_kept(ours, json.loads(encoder.encode(model.from_json(ours))), "")


def assert_kept(ours: Any, theirs: Any, place: str) -> None:
    """Assert that everything in ours is in theirs, which may also have defaults."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            assert key in theirs, f"{place}.{key}"
            assert_kept(value, theirs[key], f"{place}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), place
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_kept(one, other, f"{place}[{number}]")
    else:
        assert ours == theirs, place


def test_promtool_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    made = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries().values())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": made}]}))
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_the_command_of_nagios() -> None:
    text = (CONTRIB / "nagios" / "asyncmq.cfg").read_text()
    (line,) = re.findall(r"command_line +(.*)", text)
    (name,) = re.findall(r"command_name +(.*)", text)
    (service,) = re.findall(r"check_command +(.*)", text)
    called, *given = service.split("!")
    assert called == name
    for number, value in enumerate(given, 1):
        line = line.replace(f"$ARG{number}$", value)
    assert "$" not in line
    require_parses(line)


def test_the_command_of_icinga() -> None:
    text = (CONTRIB / "icinga" / "asyncmq.conf").read_text()
    options = re.findall(r'^    "(--[a-z-]+)" = ', text, re.MULTILINE)
    values = {"--redis-url": "redis://redis.internal:6379/0", "--queue": "emails"}
    line = " ".join(f"{option} {values.get(option, '10')}" for option in options if option != "--context")
    assert len(options) == 9
    require_parses(f"{PROGRAM} check {line}")
    require_parses(f"{PROGRAM} check --context production")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_of_systemd(unit: Path, tmp_path: Path) -> None:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text())
    assert parsed["Unit"]["Description"]
    if unit.suffix == ".timer":
        assert unit.with_suffix(".service").exists()
    else:
        line = parsed["Service"]["ExecStart"]
        require_parses(line)
        if parsed["Service"].get("Restart"):
            assert parsed["Service"]["SuccessExitStatus"] == "143"
    if program := shutil.which("systemd-analyze"):
        for each in UNITS:
            (tmp_path / each.name).write_text(each.read_text().replace(PROGRAM, sys.executable))
        done = subprocess.run([program, "verify", unit.name], cwd=tmp_path, capture_output=True, text=True)
        # Of other units of this machine it may have something to say, too.
        reported = [line for line in done.stderr.splitlines() if "asyncmq" in line]
        assert not reported, reported


def test_the_crontab() -> None:
    lines = [line for line in (CONTRIB / "cron" / "asyncmq").read_text().splitlines() if line[:1] in "*"]
    assert len(lines) == 2
    for line in lines:
        *times, user, command = line.split(maxsplit=6)
        assert all(re.fullmatch(r"\*(/\d+)?", each) for each in times) and user == "nobody"
        require_parses(command)


def test_what_runs_by_the_clock_runs(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> None:
    """The command of Nagios, both lines of the crontab, and the timer's unit run in a shell unchanged."""
    library.with_backend(server.url, lambda opened: opened.enqueue("mail", library.job("w")))
    program = tmp_path / "asyncmq-cli"
    forked.client(program, "-m", "asyncmq_cli")

    def run(line: str) -> tuple[int, str, str]:
        environ = {**environment(server.url), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        line = line.replace(PROGRAM, str(program))
        done = subprocess.run(
            ["/bin/sh", "-c", line], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout.partition(" - ")[0], done.stderr

    nagios = (CONTRIB / "nagios" / "asyncmq.cfg").read_text()
    (line,) = re.findall(r"command_line +(.*)", nagios)
    (service,) = re.findall(r"check_command +.*?!.*?!(.*)", nagios)
    unit = (CONTRIB / "systemd" / "asyncmq-check.service").read_text()
    (started,) = re.findall(r"^ExecStart=(.*)", unit, re.MULTILINE)
    check, record = [
        text.split(maxsplit=6)[-1]
        for text in (CONTRIB / "cron" / "asyncmq").read_text().splitlines()
        if text[:1] == "*"
    ]
    for each in (line.replace("$ARG1$", server.url).replace("$ARG2$", service), started, check):
        assert run(each) == (2, "ASYNCMQ CRITICAL", ""), each
    assert run(record) == (0, "", "") and client.xlen("asyncmq-cli:metrics") == 1
    client.delete("queue:mail:waiting")
    client.delete("jobs:mail:ids")
    assert run(check) == (0, "", ""), "cron mails nothing while all is well"


def test_the_manifests_of_kubernetes() -> None:
    schema = json.loads((Path(__file__).parent / "kubernetes.json").read_text())
    validator = Draft202012Validator(schema)
    kinds = []
    for path in MANIFESTS:
        for manifest in yaml.safe_load_all(path.read_text()):
            problems = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(manifest)]
            assert not problems, problems
            kinds.append(manifest["kind"])
            for container in containers_in(manifest):
                require_parses(shlex.join(container["command"]))
                assert container["image"] == "asyncmq-cli", "kustomization.yaml says which"
    assert sorted(kinds) == ["CronJob", "Deployment", "Service"]


def test_the_manifests_take_the_image_that_the_release_publishes() -> None:
    found = yaml.safe_load(KUSTOMIZATION.read_text())
    (image,) = found["images"]
    assert sorted(found["resources"]) == [path.name for path in MANIFESTS]
    assert (image["name"], image["newTag"]) == ("asyncmq-cli", __version__)
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert f"IMAGE: {image['newName']}\n".replace("OWNER", "${{ github.repository_owner }}") in workflow
    user = dict(stages()[1])["USER"].partition(":")[0]
    assert all(f"runAsUser: {user}\n" in path.read_text() for path in MANIFESTS)


@pytest.mark.extended
def test_kubernetes_takes_the_manifests(tmp_path: Path) -> None:
    check("kubernetes-validate", "--strict", *[path.name for path in MANIFESTS], folder=KUSTOMIZATION.parent)
    check("kubectl", "kustomize", ".", folder=KUSTOMIZATION.parent)


def containers_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for each in value for found in containers_in(each)]
    if not isinstance(value, dict):
        return []
    return [
        *value.get("containers", []),
        *(found for each in value.values() for found in containers_in(each)),
    ]


def test_the_action_waits_and_checks(server: PrivateRedis, client: redis.Redis, tmp_path: Path) -> None:
    action = yaml.safe_load((CONTRIB / "github" / "action.yml").read_text())
    assert set(action) == {"name", "description", "inputs", "runs"}
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    assert all(set(step) == {"name", "shell", "env", "run"} for step in steps)
    assert not any("${{" in step["run"] for step in steps), "an input is never text of a script"
    jobs = [("completed", library.job("c")), ("failed", library.job("f"))]
    library.with_backend(server.url, lambda opened: library.fill(opened, "a b", jobs))
    forked.client(tmp_path / "asyncmq-cli", "-m", "asyncmq_cli")
    waiting, checking = steps

    def run(step: dict[str, Any], **inputs: str) -> int:
        given = {name: str(one.get("default")) for name, one in action["inputs"].items()}
        given |= {"redis-url": server.url, "queue": "a b", **inputs}
        path = f"{tmp_path}:{os.environ['PATH']}"
        environ = {**environment(None), "PATH": path}
        environ |= {name: filled(text, given) for name, text in step["env"].items()}
        words = ["bash", "-e", "-c", step["run"]]
        return subprocess.run(words, env=environ, capture_output=True, cwd=ROOT, check=False).returncode

    assert run(waiting) == 0
    assert run(checking) == 1
    assert run(checking, thresholds="--max-failed 1 --max-waiting 5") == 0


def filled(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def test_the_page_names_every_file() -> None:
    page = (CONTRIB / "README.md").read_text()
    for path in CONTRIB.rglob("*.*"):
        assert path.suffix in (".md", ".service") or path.name in page, path
