from __future__ import annotations

import re
from pathlib import Path

from asyncmq_cli.services.doctor.catalogue import BY_CODE, DAMAGES
from asyncmq_cli.services.doctor.repair import REPAIRS

ROW = re.compile(r"^\| `(\w+)` \|[^|]+\| (.+) \|$", re.MULTILINE)


def test_the_docs_list_each_code_in_order_with_its_repair_or_advice() -> None:
    rows = ROW.findall(Path("docs/doctor.md").read_text())
    assert [code for code, _ in rows] == [damage.code for damage in DAMAGES], "the table of docs/doctor.md"
    for (code, what), damage in zip(rows, DAMAGES, strict=True):
        assert what.startswith("*") is (damage.way == "advice"), code
        assert (f"only with `--code {code}`" in what) is (damage.way == "named"), code


def test_each_code_has_a_case_that_makes_the_damage() -> None:
    """Some are made in the tests of another subject, such as workers."""
    tests = "".join(path.read_text() for path in Path("tests").rglob("test_*.py"))
    missing = [code for code in BY_CODE if f'"{code}"' not in tests]
    assert not missing, f"no case in test_damages.py or test_advice.py: {missing}"


def test_each_damage_of_a_job_that_can_be_repaired_has_its_repair() -> None:
    repairable = {damage.code for damage in DAMAGES if damage.way != "advice"}
    assert repairable - set(REPAIRS) == {"cancel_unfinished", "repeatable_duplicate"}
    assert set(REPAIRS) <= repairable
