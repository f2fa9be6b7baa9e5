"""Parse the Containerfile into instructions."""

from __future__ import annotations

import re

from tests.docs.conftest import ROOT

INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$")


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in (ROOT / "Containerfile").read_text().splitlines() if line[:1] != "#"]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(found[1], found[2]) for line in joined.splitlines() if (found := INSTRUCTION.match(line))]


def stages() -> list[list[tuple[str, str]]]:
    """The stages: the instructions after each FROM."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        elif found:
            found[-1].append((word, rest))
    return found
