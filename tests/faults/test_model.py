"""Random sequences of the library's calls and of ours, compared with a plain model of the queue."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asyncmq_cli.app import run
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment
from tests.faults import ledger
from tests.faults.scale import SEED, record, scaled, seeded
from tests.support import library

QUEUE = "model:q*[1]"
NAMES = [f"j{number}" for number in range(6)]
STEPS = scaled(25, 50)
EXAMPLES = scaled(4, 150)
COUNTED = ("waiting", "active", "delayed", "failed", "completed", "expired", "cancelled")

picks = st.lists(st.sampled_from([*NAMES, "ghost"]), min_size=1, max_size=4, unique=True)


@dataclass
class Model:
    """The expected queue: the state of each job, the order of waiting jobs, and the cancelled jobs."""

    state: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)
    paused: bool = False
    events: list[tuple[str, str]] = field(default_factory=list)

    def put(self, name: str, state: str) -> None:
        if name in self.waiting:
            self.waiting.remove(name)
        self.state[name] = state
        if state == "waiting":
            self.waiting.append(name)

    def drop(self, name: str) -> None:
        self.state.pop(name)
        self.marked.discard(name)
        if name in self.waiting:
            self.waiting.remove(name)


@dataclass
class Kept:
    """What a backup has of a job: its state, whether it is marked as cancelled, and its score in the waiting
    set."""

    state: str
    marked: bool
    score: float | None


class Context:
    """Values that all runs of the state machine share."""

    loop: asyncio.AbstractEventLoop
    backend: RedisBackend
    client: redis.Redis
    url: str
    folder: Path
    steps = 0
    changes = 0


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        Context.client.flushall()
        # Without a key there is no queue, and nothing to compare.
        Context.client.set(f"queue:{QUEUE}:waiting:seq", 0)
        self.model = Model()
        self.backups: list[tuple[Path, dict[str, Kept]]] = []
        # A removal can be undone once, whatever happened afterwards.
        self.restored: set[tuple[Path, str]] = set()

    def theirs(self, call: Any) -> Any:
        return Context.loop.run_until_complete(call)

    def ours(self, *args: str) -> dict[str, Any]:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*args, "--json", "--redis-url", Context.url])
        out.flush()
        reported = out.buffer.getvalue()  # type: ignore[attr-defined]
        assert "bug in" not in err.getvalue(), err.getvalue()
        assert code in (0, 1, 4), (args, code, err.getvalue())
        return json.loads(reported) if reported else {}

    def scores(self) -> dict[str, float]:
        found = Context.client.zrange(f"queue:{QUEUE}:waiting", 0, -1, withscores=True)
        return {name.decode(): score for name, score in found}

    @rule(name=st.sampled_from(NAMES), size=st.sampled_from([1, 70_000]))
    def enqueue(self, name: str, size: int) -> None:
        if name not in self.model.state and name not in self.model.marked:
            self.theirs(Context.backend.enqueue(QUEUE, library.job(name, args=["z" * size])))
            self.model.put(name, "waiting")

    @rule(name=st.sampled_from(NAMES))
    def delay(self, name: str) -> None:
        if name not in self.model.state and name not in self.model.marked:
            at = time.time() + 3600
            self.theirs(Context.backend.enqueue_delayed(QUEUE, library.job(name), at))
            self.model.put(name, "delayed")

    @precondition(lambda self: self.model.waiting)
    @rule(end=st.sampled_from(["complete", "fail", "expire", "nothing"]))
    def claim(self, end: str) -> None:
        claimed = self.theirs(Context.backend.dequeue(QUEUE))
        name = self.model.waiting[0]
        assert claimed is not None and claimed["id"] == name
        self.model.put(name, "active")
        if end == "complete":
            self.theirs(Context.backend.complete_active_job(QUEUE, claimed, {"ok": name}))
            self.model.put(name, "completed")
        elif end == "fail":
            self.theirs(Context.backend.fail_active_job(QUEUE, {**claimed, "last_error": "boom"}))
            self.model.put(name, "failed")
        elif end == "expire":
            self.theirs(Context.backend.expire_active_job(QUEUE, claimed))
            self.model.put(name, "expired")

    @rule(names=picks)
    def retry(self, names: list[str]) -> None:
        fit = {n for n in names if self.model.state.get(n) in ("failed", "expired")} - self.model.marked
        self.change("retry", names, fit, self.ours("jobs", "retry", QUEUE, *names))
        for name in names:
            if name in fit:
                self.model.put(name, "waiting")

    @rule(names=picks)
    def cancel(self, names: list[str]) -> None:
        fit = {n for n in names if self.model.state.get(n) in ("waiting", "delayed", "active")}
        self.change("cancel", names, fit, self.ours("jobs", "cancel", QUEUE, *names, "--yes"))
        for name in fit:
            self.model.put(name, "cancelled")
            self.model.marked.add(name)

    @rule(names=picks, force=st.booleans(), kept=st.booleans())
    def remove(self, names: list[str], force: bool, kept: bool) -> None:
        fit = {
            n
            for n in names
            if self.model.state.get(n, "active") != "active" or (force and n in self.model.state)
        }
        path = Context.folder / f"{time.monotonic_ns()}"
        scores = self.scores()
        holds = {
            n: Kept(self.model.state[n], n in self.model.marked, scores.get(n)) for n in names if n in fit
        }
        more = [*(["--force"] if force else []), *(["--backup", str(path)] if kept else [])]
        self.change("remove", names, fit, self.ours("jobs", "remove", QUEUE, *names, "--yes", *more))
        for name in fit:
            self.model.drop(name)
        if kept and fit:
            self.backups.append((path, holds))

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        path, holds = data.draw(st.sampled_from(self.backups))
        fit = {
            n
            for n in holds
            if n not in self.model.state
            and (n not in self.model.marked or holds[n].marked)
            and (path, n) not in self.restored
        }
        self.restored |= {(path, n) for n in fit}
        self.change("restore", list(holds), fit, self.ours("jobs", "restore", str(path), "--yes"))
        for name in fit:
            # No worker runs a restored job, so one that was active waits.
            was_active = holds[name].state == "active"
            self.model.put(name, "waiting" if was_active else holds[name].state)
            if holds[name].marked:
                self.model.marked.add(name)
        if fit:
            # Its position follows from its score, which is restored.
            scores = self.scores()
            assert all(scores.get(n) == holds[n].score for n in fit if holds[n].state != "active")
            self.model.waiting.sort(key=scores.__getitem__)

    @rule(verb=st.sampled_from(["pause", "resume"]))
    def pause(self, verb: str) -> None:
        done = self.ours("queues", verb, QUEUE)
        assert done["succeeded"] == 1
        paused = verb == "pause"
        if self.model.paused is not paused:
            self.model.events.append((f"queue.{verb}", "success"))
        self.model.paused = paused

    def change(self, verb: str, names: list[str], fit: set[str], report: dict[str, Any]) -> None:
        """Make a change, and assert that its report and the audit trail agree with the model."""
        reported = {row["job_id"]: row["status"] for row in report["results"]}
        assert reported == {name: "success" if name in fit else "failed" for name in names}
        Context.changes += len(names)
        recorded = {(f"job.{verb}", reported[name]) for name in names}
        events = library.events(Context.client)[len(self.model.events) :]
        assert {event["job_id"]: event["status"] for event in events} == reported
        assert len(events) == len(names)
        assert {(event["action"], event["status"]) for event in events} == recorded
        self.model.events += [(event["action"], event["status"]) for event in events]

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        Context.steps += 1
        row = self.ours("queues", "show", QUEUE)
        states = list(self.model.state.values())
        assert {name: row[name] for name in COUNTED} == {name: states.count(name) for name in COUNTED}
        assert row["paused"] is self.model.paused
        assert row["dlq"] == states.count("failed") + states.count("expired")
        listed = self.ours("jobs", "list", QUEUE, "--state", "all", "--size", "100")
        assert {job["id"]: job["status"] for job in listed["jobs"]} == self.model.state
        assert listed["total"] == len(states)
        assert list(self.scores()) == self.model.waiting
        self.layout_holds()

    def layout_holds(self) -> None:
        keys = ledger.places(Context.client, QUEUE)
        home = {
            "waiting": "waiting",
            "delayed": "delayed",
            "failed": "dlq",
            "expired": "dlq",
            "active": "active",
        }
        for name, state in self.model.state.items():
            lies = {key.removesuffix(":payload") for key in ledger.in_(keys, name)}
            expected = {"record", "ids", f"state {state}"} | {home[state] for _ in [0] if state in home}
            assert lies - {"cancelled"} == expected, (name, lies)
        known = set(self.model.state) | {f"{name}:payload" for name in self.model.state}
        assert set().union(*(names for key, names in keys.items() if key != "cancelled")) <= known
        assert keys["cancelled"] == self.model.marked
        theirs = self.theirs(Context.backend.inspect_jobs(QUEUE, "waiting", page=1, size=100))
        assert theirs.total == len(self.model.waiting)


@pytest.fixture
def context(server: PrivateRedis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["asyncmq"])
    loop = asyncio.new_event_loop()
    Context.loop, Context.client, Context.url = loop, client, server.url
    Context.backend = RedisBackend(server.url)
    with tempfile.TemporaryDirectory() as folder:
        Context.folder = Path(folder)
        yield
    loop.run_until_complete(Context.backend.redis.aclose())
    loop.run_until_complete(Context.backend.redis.connection_pool.disconnect())
    loop.close()


@pytest.mark.extended
@pytest.mark.usefixtures("context")
def test_random_calls_of_the_library_and_the_tool_agree_with_a_plain_model(client: redis.Redis) -> None:
    seeded("model")
    Context.steps = Context.changes = 0
    machine = seed(SEED)(QueueMachine)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record("The model", client, runs=EXAMPLES, steps=Context.steps, changes=Context.changes, losses=0)
