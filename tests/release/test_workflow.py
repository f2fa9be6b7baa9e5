"""The release workflow: its rights, its steps, and that nothing outside the repository can change it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.conftest import ROOT
from tests.release.checkers import check

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
TEXT = WORKFLOW.read_text()
JOBS: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["jobs"]
SIGNS = {"id-token": "write", "attestations": "write"}


def uses(name: str) -> list[str]:
    return [step["uses"].partition("@")[0] for step in JOBS[name]["steps"] if "uses" in step]


def test_only_a_tag_starts_the_release() -> None:
    # PyYAML reads the key `on` as YAML 1.1 does.
    assert yaml.safe_load(TEXT)[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}


def test_each_action_is_pinned_by_its_commit() -> None:
    lines = [line.strip() for line in TEXT.splitlines() if "uses:" in line]
    for line in lines:
        assert re.fullmatch(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    pins = {line.partition("@")[0]: line.partition("@")[2] for line in lines}
    assert all(line.partition("@")[2] == pins[line.partition("@")[0]] for line in lines)


def test_each_job_has_the_rights_that_it_needs_and_no_more() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "build": {"contents": "read"},
        "provenance": SIGNS,
        "publish": {"id-token": "write"},
        "image": {"contents": "read", "packages": "write", **SIGNS},
        "page": {"contents": "write"},
    }
    assert all(job["timeout-minutes"] <= 60 for job in JOBS.values())


def test_what_runs_our_code_has_no_token_to_publish_with() -> None:
    assert all(right == "read" for right in JOBS["build"]["permissions"].values())
    checkouts = [s for job in JOBS.values() for s in job["steps"] if "actions/checkout@" in s.get("uses", "")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_secret_and_no_index_is_named() -> None:
    assert "secrets." not in TEXT and "password:" not in TEXT
    assert "://" not in TEXT and "repository-url" not in TEXT


def test_no_value_is_text_of_a_script() -> None:
    scripts = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
    assert scripts and not any("${{" in script for script in scripts)


def test_the_release_is_built_by_make() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = re.findall(r"run: make (\w+)", TEXT)
    assert called == ["shipped", "release"] and set(called) <= targets
    release = re.search(r"^release: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert release and release[1].split() == ["test", "audit", "dist", "pyz", "sbom"]


def test_all_that_is_published_is_signed() -> None:
    attest = "actions/attest-build-provenance"
    assert attest in uses("provenance") and attest in uses("image")
    assert uses("publish")[-1] == "pypa/gh-action-pypi-publish"
    assert JOBS["publish"]["steps"][-1]["with"]["attestations"] is True
    assert JOBS["publish"]["environment"] == JOBS["image"]["environment"] == "release"
    assert {name: job["needs"] for name, job in JOBS.items() if "needs" in job} == {
        "provenance": "build",
        "publish": "provenance",
        "image": "build",
        "page": ["publish", "image"],
    }


@pytest.mark.extended
@pytest.mark.parametrize(
    "words",
    [
        ("actionlint", WORKFLOW),
        ("zizmor", "--offline", "--persona", "pedantic", ".github", "contrib/github"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW),
        ("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"),
        ("check-jsonschema", "--builtin-schema", "vendor.github-actions", "contrib/github/action.yml"),
    ],
    ids=["actionlint", "zizmor", "workflow", "dependabot", "action"],
)
def test_linters_find_nothing_in_the_workflow(words: tuple[str | Path, ...]) -> None:
    check(str(words[0]), *words[1:], folder=ROOT)
