"""The command lines in the documents do what the text says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import Result
from tests.docs.conftest import Shell
from tools.pages import DOCS, Block, blocks

PAGES = ("getting-started.md", "recipes.md", "metrics.md", "security.md", "formats.md")
_END = "-- end of block --"


def sections() -> Iterator[tuple[str, list[Block]]]:
    """The blocks of a section run in one shell, one after the other."""
    for page in PAGES:
        found = [block for block in blocks((DOCS / page).read_text()) if block.language == "sh"]
        for section in dict.fromkeys(block.section for block in found):
            yield f"{page}: {section}", [block for block in found if block.section == section]


SECTIONS = dict(sections())


def shape(text: str) -> str:
    """The text without values that vary: numbers, times, and the white space around them."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME", text)
    text = re.sub(r"\b\d+[dhms]( \d+[dhms])?\b", "AGE", text)
    text = re.sub(r"-?\b\d+\.\d+\b|\b\d+\b", "N", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def run(shell: Shell, found: list[Block]) -> tuple[Result, list[str]]:
    result = shell(f"\necho; echo '{_END}'\n".join(block.text for block in found))
    return result, result.stdout.split(f"\n{_END}\n")


def only_the_other_causes_are_left(result: Result, printed: list[str]) -> None:
    retried = [line for line in result.lines if line.startswith("success\temails\treceipt-")]
    assert len(set(retried)) == 12, result
    assert printed[-1].split()[-1] == "2", result


AFTERWARDS = {"recipes.md: A spike of failures": only_the_other_causes_are_left}
"""Where the shape is not all that matters."""


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_runs_as_it_stands(section: str, shell: Shell) -> None:
    found = SECTIONS[section]
    result, printed = run(shell, found)
    assert result.code == 0, result
    assert len(printed) == len(found), result
    for block, output in zip(found, printed, strict=True):
        if block.output is not None:
            assert shape(output) == shape(block.output), f"line {block.line}\n{output}"
    if section in AFTERWARDS:
        AFTERWARDS[section](result, printed)


@pytest.mark.extended
@pytest.mark.parametrize("page", ["getting-started.md", "recipes.md"])
def test_a_page_can_be_pasted_into_the_demos_shell(page: str, demo_shell: Shell) -> None:
    found = [block for section, blocks in SECTIONS.items() if section.startswith(page) for block in blocks]
    result, printed = run(demo_shell, found)
    assert (result.code, len(printed)) == (0, len(found)), result
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == []
    # Nothing was asked for that the demo does not have.
    for block, output in zip(found, printed, strict=True):
        if block.output is not None and "mallory@laptop" not in block.text + block.output:
            assert output.strip() and "null" not in output.splitlines(), f"line {block.line}\n{output}"


def test_shown_output_is_compared() -> None:
    assert sum(block.output is not None for found in SECTIONS.values() for block in found) > 15
    assert shape("a\t3\n") == shape("a 12") != shape("b 3")


def test_the_metrics_are_those_that_the_page_names(shell: Shell) -> None:
    from tools.pages import plain, table

    page = (DOCS / "metrics.md").read_text()
    printed = shell("asyncmq metrics prometheus").stdout
    named = {plain(row[0]): set(plain(row[1]).split(", ")) - {""} for row in table(page, "Metric")}
    assert list(named) == re.findall(r"^# TYPE (\w+) gauge$", printed, re.MULTILINE)
    for name, labels in named.items():
        sample = re.search(rf"^{name}(?:{{(.*)}})? ", printed, re.MULTILINE)
        assert sample is not None
        assert set(re.findall(r"(\w+)=", sample[1] or "")) == labels


def test_the_alerts_speak_of_metrics_that_there_are(shell: Shell) -> None:
    found = [block for block in blocks((DOCS / "metrics.md").read_text()) if block.language == "yaml"]
    (rules,) = filter(None, (yaml.safe_load(block.text).get("groups") for block in found))
    printed = shell("asyncmq metrics prometheus").stdout
    for rule in rules[0]["rules"]:
        names = re.findall(r"\basyncmq_\w+", rule["expr"])
        assert all(f"# TYPE {name} gauge" in printed for name in names)
        assert names or "node_textfile_mtime_seconds" in rule["expr"]


def test_the_textfile_says_that_redis_is_unreachable(shell: Shell) -> None:
    text = """
    export ASYNCMQ_REDIS_URL=unix:///nowhere/redis.sock
    status=0
    asyncmq metrics prometheus --output asyncmq.prom || status=$?
    echo "$status"
    grep -v '^#' asyncmq.prom
    """
    assert shell(text).lines == ["3", "asyncmq_dashboard_ready 0.0"]
