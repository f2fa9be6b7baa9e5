"""How many cases the suite runs: a few in `make test`, all in `make faults`.

FAULTS=whole        run all cases instead of a few
FAULTS_SEED=N       repeat the random choices of a run; each test prints its seed
FAULTS_FIGURES=F    a file to which figures are added, from which docs/reliability.md is made
"""

from __future__ import annotations

import json
import os
import random
import secrets
from pathlib import Path
from typing import TypeVar

import redis

from tests.support.servers import running_on

T = TypeVar("T")

WHOLE = os.environ.get("FAULTS") == "whole"
SEED = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))


def scaled(few: T, whole: T) -> T:
    return whole if WHOLE else few


def seeded(name: str) -> random.Random:
    """A random generator that is determined by the seed and the name of the test."""
    print(f"FAULTS_SEED={SEED} repeats this: {name}")  # noqa: T201
    return random.Random(f"{SEED}:{name}")


def record(section: str, client: redis.Redis | None = None, **figures: int) -> None:
    """Add figures to the file of FAULTS_FIGURES, if it is set. `client` is connected to the server that they
    belong to."""
    file = os.environ.get("FAULTS_FIGURES")
    if not file:
        return
    server = running_on(client) if client is not None else None
    line = {"section": section, "server": server, "seed": SEED, "figures": figures}
    with Path(file).open("a") as opened:
        opened.write(json.dumps(line) + "\n")
