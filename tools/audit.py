"""`python -m tools.audit requirements.lock` asks the OSV database about every locked version.

The exit status is 0 only if the database answered for all versions and knows no vulnerability; 1 if it knows
one; 2 if the database or the lock cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SERVICE = "https://api.osv.dev/v1/querybatch"

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)

Pin = tuple[str, str]


class NotAudited(Exception):
    pass


def pins(lock: str) -> list[Pin]:
    """Name and version, also of those that only other systems or Pythons install."""
    return sorted(set(_PIN.findall(lock)))


def known(asked: Sequence[Pin], service: str, timeout: float) -> Iterator[tuple[Pin, str]]:
    """The ids of what is known of each. Raises NotAudited where there is no answer for each."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in asked
    ]
    results = _answer(queries, service, timeout).get("results")
    if not isinstance(results, list) or len(results) != len(asked):
        raise NotAudited(f"{service} gave no answer for each of {len(asked)} packages")
    for pin, result in zip(asked, results, strict=True):
        # A further page would only have more of the same: one is enough to fail.
        for found in (result or {}).get("vulns", []):
            yield pin, found["id"]


def _answer(queries: Sequence[Any], service: str, timeout: float) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the address is ours, or the caller's own
        service, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            answer = json.load(response)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NotAudited(f"{service} cannot be asked: {error}") from error
    if not isinstance(answer, dict):
        raise NotAudited(f"{service} gave an answer of another shape")
    return answer


def audit(lock: Path, service: str, timeout: float) -> int:
    try:
        asked = pins(lock.read_text(encoding="utf-8"))
        if not asked:
            raise NotAudited(f"{lock} locks nothing")
        found = list(known(asked, service, timeout))
    except (NotAudited, OSError) as problem:
        sys.stderr.write(f"error: nothing was audited: {problem}\n")
        return 2
    for (name, version), vulnerability in found:
        sys.stdout.write(f"{name}\t{version}\t{vulnerability}\n")
    sys.stderr.write(f"{len(asked)} packages audited, {len(found)} known vulnerabilities\n")
    return 1 if found else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("lock", type=Path)
    parser.add_argument("--service", default=SERVICE, help="another address of the same protocol")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds")
    given = parser.parse_args(arguments)
    return audit(given.lock, given.service, given.timeout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
