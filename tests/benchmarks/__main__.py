"""`make bench`: measures, prints a table, and at full size writes docs/performance.md."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import pickle
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.benchmarks import cases, keyspace, peer
from tests.benchmarks.busy import beside_a_worker
from tests.benchmarks.cases import Case
from tests.benchmarks.measure import Cost, longest_pause, module, run, tool
from tests.benchmarks.report import Report, Row
from tests.benchmarks.screen import judged, seen_on

FULL = 1_000_000
_LIBRARY_SECONDS = 60.0
_NEARLY, _TRIES = 0.96, 4
_DEAD = 200_000
FOLLOWING, LIBRARY = "events tail", "library"
WATCHERS = (
    ["events", "tail", "--interval", "5s", "--no-record"],
    ["overview", "--watch", "5s"],
    ["metrics", "serve", "--interval", "5s", "--no-record", "--listen", "127.0.0.1:0"],
    ["ui", "--every", "5s"],
)
_WATCHED, _SHARE = 25.0, 0.02
SCREEN, _SMALL = "ui: first picture and keys", 1000
ROUNDS = 10
FEW = 5
_READING = 5.0
"""Seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--jobs", type=int, default=FULL)
    parser.add_argument(
        "--only", default="", help="only the cases whose name holds one of these, with commas between"
    )
    parser.add_argument("--but", default="", help="all but these, such as 'library'")
    parser.add_argument(
        "--repeats", type=int, default=0, help="how often the long ones at most, whatever each case says"
    )
    parser.add_argument("--write", action="store_true", help="write the page whatever the size")
    given = parser.parse_args()
    writing = given.write or (given.jobs >= FULL and not given.only)
    bench = Bench(given.jobs, given.only, given.but, given.repeats, writing=writing)
    bench.everything()
    for missed in bench.report.missed():
        say(f"not reached: {missed}")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def filled(total: int) -> Iterator[PrivateRedis]:
    say(f"filling a Redis with {total:,} jobs …")
    # DEBUG RELOAD puts the keyspace back after a change.
    with own_server() as server:
        if total:
            keyspace.fill(str(server.socket), total)
        yield server


@contextlib.contextmanager
def own_server() -> Iterator[PrivateRedis]:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    extra = ["--enable-debug-command", "local"] if found else []
    with PrivateRedis(Path(found) if found else None, extra=extra) as server:
        yield server


class Bench:
    def __init__(self, total: int, only: str, but: str, repeats: int, *, writing: bool) -> None:
        self.report = Report(total)
        self._writing = writing
        self._total = total
        self._only = [part for part in only.split(",") if part]
        self._but = [part for part in but.split(",") if part]
        self._repeats = repeats

    def everything(self) -> None:
        self._pause()
        with filled(0) as empty:
            for case in cases.start_up():
                self.measure(case, empty if case.server else None)
        with filled(self._total) as server:
            chosen = islice(keyspace.jobs(keyspace.BIG, keyspace.counts_of(self._total), 1), 10, 11)
            for case in cases.reading(self._total, next(chosen).id):
                self.measure(case, server)
            self.follow(server)
            at_full_size = self._timed_search(server) if self._is_wanted(LIBRARY) else 0.0
            self.beside_rq(server)
            self.retry(server)
            self.watch(server)
            self.screen(server)
        self.beside_the_library(at_full_size)
        self._pause()
        if self._writing:
            self.report.write()

    def _pause(self) -> None:
        """Measure the longest pauses of the machine itself; called before and after all measurements."""
        if self._writing:
            for together in (1, 3):
                longest = max(longest_pause(together, _READING), self.report.pauses.get(together, 0.0))
                self.report.pauses[together] = longest
                say(f"{together} reading the clock: held up for {longest * 1e3:.1f} ms at most")

    def measure(self, case: Case, server: PrivateRedis | None) -> None:
        if not self._is_wanted(case.name):
            return
        runs: list[Cost] = []
        floors: list[Cost] = []
        for _ in range(self._repeated(case.repeats)):
            if case.floor is not None:
                floors.append(run(case.floor, server))
            runs.append(run(tool(*case.args), server, status=case.status))
        self.add(Row(case.name, runs, floors, case.at_most, case.worked_at_most, case.sent_at_most))

    def _is_wanted(self, name: str) -> bool:
        if any(part in name for part in self._but):
            return False
        return not self._only or any(part in name for part in self._only)

    def _repeated(self, times: int) -> int:
        """Very short runs are repeated many times, whatever `--repeats` is."""
        return times if times >= FEW or not self._repeats else min(times, self._repeats)

    def follow(self, server: PrivateRedis) -> None:
        """The cost of a round of `events tail`, without the start-up and the first round. The command waits
        between rounds, so the seconds are those of the processor."""
        if not self._is_wanted(f"{FOLLOWING}, a quiet round"):
            return
        firsts, quiet = [], []
        with filled(0) as empty:
            for _ in range(self._repeated(3)):
                start_up = run(tool(*cases.following(1)), empty)
                first = run(tool(*cases.following(1)), server)
                row = run(tool(*cases.following(1 + ROUNDS)), server)
                firsts.append(busy(first, start_up, 1))
                quiet.append(busy(row, first, ROUNDS))
        self.add(Row(f"{FOLLOWING}, the first round", firsts))
        self.add(Row(f"{FOLLOWING}, a quiet round", quiet, firsts, 0.1))

    def add(self, row: Row) -> None:
        """Add a result. It is written at once, so that a run which is ended early keeps its measurements."""
        self.report.rows.append(row)
        say("  ".join(row.cells))
        if self._writing:
            self.report.write()

    def retry(self, server: PrivateRedis) -> None:
        """Run the tool and the floor, each on the original keyspace."""
        count = min(cases.RETRIED, self._total // 10)
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "retried"
            wanted = [
                case
                for case in (cases.retrying(count, str(prepared)), cases.chained(count))
                if self._is_wanted(case.name)
            ]
            if wanted:
                prepared.write_bytes(pickle.dumps(list(islice(retried(self._total), count))))
                with redis.Redis.from_url(server.url, socket_timeout=None) as client:
                    client.save()
            for case in wanted:
                self._changing(case, server)

    def _changing(self, case: Case, server: PrivateRedis) -> None:
        runs, floors = [], []
        with redis.Redis.from_url(server.url, socket_timeout=None) as client:
            for _ in range(self._repeated(case.repeats)):
                assert case.floor is not None
                floors.append(run(case.floor, server))
                client.execute_command("DEBUG", "RELOAD", "NOSAVE")
                runs.append(run(tool(*case.args), server))
                client.execute_command("DEBUG", "RELOAD", "NOSAVE")
        self.add(Row(case.name, runs, floors, case.at_most))

    def watch(self, server: PrivateRedis) -> None:
        """Measure the cost for Redis of programs that read every five seconds, while a worker finishes
        jobs."""
        wanted = [words for words in WATCHERS if self._is_wanted(f"{' '.join(words)}, busy")]
        if not wanted:
            return
        seconds = min(_WATCHED, self._total / 10_000)
        for words, cost in zip(wanted, beside_a_worker(server, wanted, seconds), strict=True):
            name = f"`{' '.join(words)}`"
            if cost.share > _SHARE:
                self.report.shortfalls.append(
                    f"{name} beside a busy worker: {cost.share:.1%} of Redis's time; target {_SHARE:.0%}"
                )
            self.remark(
                f"{name} beside a worker that finishes {cost.finished:.0f} jobs a second: its commands take "
                f"{cost.share:.2%} of Redis's time (target: at most {_SHARE:.0%}); Redis's whole "
                f"work grew by {cost.grown:.1%}"
            )

    def screen(self, server: PrivateRedis) -> None:
        """Measure the first screen of `ui` and its keys, on a small Redis and on this one."""
        if not self._is_wanted(SCREEN):
            return
        with filled(_SMALL) as small:
            for where, jobs in ((small, _SMALL), (server, self._total)):
                looks = [seen_on(where) for _ in range(self._repeated(3))]
                reported, missed = judged(jobs, looks, is_small=where is small)
                self.report.shortfalls += missed
                self.remark(reported)

    def beside_rq(self, server: PrivateRedis) -> None:
        """The same tasks with rq, which keeps a set of its queues, with as many jobs on its own Redis."""
        tasks = [
            (f"{name}, beside rq", args, task)
            for name, args, task in (
                ("queues list at a terminal", ["queues", "list", "--color", "always"], "info"),
                ("dlq list --page 1", ["dlq", "list", keyspace.BIG], "failed"),
            )
        ]
        wanted = [task for task in tasks if self._is_wanted(task[0])]
        if not wanted:
            return
        if importlib.util.find_spec("rq") is None:
            self.remark("rq is not installed, and was not measured")
            return
        say(f"filling a Redis with {self._total:,} jobs of rq …")
        with own_server() as theirs:
            peer.fill(str(theirs.socket), self._total)
            for name, args, task in wanted:
                runs, rivals = [], []
                for _ in range(FEW):
                    rivals.append(run(module("peer", task), theirs))
                    runs.append(run(tool(*args), server))
                self.add(Row(name, runs, rivals, 1.0))

    def _timed_search(self, server: PrivateRedis) -> float:
        args = tool("jobs", "list", keyspace.BIG, "--state", "failed", "--q", cases.TEXT, "--json")
        return statistics.median(run(args, server).seconds for _ in range(3))

    def beside_the_library(self, at_full_size: float) -> None:
        if not self._is_wanted(LIBRARY):
            return
        with filled(self._total // 10) as server:
            tenth = self._timed_search(server)
            self.remark(
                f"the filtered list of failed jobs takes {at_full_size / tenth:.1f} times as long at "
                f"{self._total:,} jobs as at {self._total // 10:,} (target: at most 12)"
            )
            self._rival(server, "queues list, with the dashboard's counts", ["queues", "list"], "counts")
        dead = min(_DEAD, self._total // 5)
        with own_server() as server:
            keyspace.write(str(server.socket), keyspace.BIG, keyspace.jobs(keyspace.BIG, {"failed": dead}, 1))
            search = ["jobs", "list", keyspace.BIG, "--state", "failed", "--q", cases.TEXT]
            what = f"a search among {dead:,} failed jobs"
            library = self._rival(server, what, search, "listing", "failed", cases.TEXT, at_least=100)
            floor = statistics.median(run(module("floors", "place", "dlq"), server).seconds for _ in range(3))
            self.remark(f"{what}: the floor {floor:.2f} s, the library {library / floor:,.0f} times as long")
        self._retry_loop()

    def _rival(
        self, server: PrivateRedis, what: str, args: list[str], *theirs: str, at_least: float = 0
    ) -> float:
        ours = statistics.median(run(tool(*args), server).seconds for _ in range(3))
        library = run(module("rival", *theirs), server).seconds
        self.compare(what, ours, library, at_least)
        return library

    def compare(self, what: str, ours: float, library: float, at_least: float) -> None:
        times = library / ours
        if times < at_least:
            self.report.shortfalls.append(
                f"{what}: the library {times:,.0f} times as long; target {at_least:g}"
            )
        self.remark(f"{what}: {ours:.2f} s, the library {library:.1f} s, {times:,.0f} times as long")

    def _retry_loop(self) -> None:
        """Retry with the library. It reads the whole dead-letter queue for each job, so twice as many jobs
        take four times as long. Finds the largest number that takes less than a minute."""
        count, ended = 1000, []
        for _ in range(_TRIES):
            tool_seconds, library = self._retry_both(count)
            if library <= _LIBRARY_SECONDS:
                ended.append((count, tool_seconds, library))
                if library > _NEARLY * _LIBRARY_SECONDS:
                    break
            count = int(count * math.sqrt((1 + _NEARLY) / 2 * _LIBRARY_SECONDS / library))
        count, tool_seconds, library = max(ended)
        self.compare(f"a retry of all of {count:,} dead letters", tool_seconds, library, 100)

    def _retry_both(self, count: int) -> tuple[float, float]:
        command = tool("jobs", "retry", keyspace.BIG, "--q", cases.IN_MANY, "--yes")
        with own_server() as server:
            ours = statistics.median(self._retry_once(server, count, command) for _ in range(3))
            return ours, self._retry_once(server, count, module("rival", "retry", cases.IN_MANY))

    def _retry_once(self, server: PrivateRedis, count: int, command: Sequence[str]) -> float:
        with redis.Redis.from_url(server.url, socket_timeout=None) as client:
            client.flushall()
        made = keyspace.jobs(keyspace.BIG, {"failed": count}, 1)
        keyspace.write(str(server.socket), keyspace.BIG, made)
        return run(command, server).seconds

    def remark(self, text: str) -> None:
        self.report.remarks.append(text)
        say(text)
        if self._writing:
            self.report.write()


def retried(total: int) -> Iterator[tuple[bytes, int, bytes, bytes, bytes]]:
    """The data that the retry of each dead letter writes; see the floor of the same name."""
    event = {"action": "job.retry", "source": "jobs.bulk", "status": "success", "queue": keyspace.BIG}
    for made in keyspace.jobs(keyspace.BIG, keyspace.counts_of(total), 1):
        if made.state == "failed":
            dead = keyspace.stored(made)[0]
            record = {**dead, "status": "waiting", "has_dependents": False}
            for name in ("result", "last_error", "error_traceback"):
                del record[name]
            reported = {**event, "job_id": made.id, "actor": "benchmark", "details": {}, "error": None}
            member, text, entry = (json.dumps(value).encode() for value in (dead, record, reported))
            yield member, made.record["priority"], made.id.encode(), text, entry


def busy(whole: Cost, part: Cost, rounds: int) -> Cost:
    """The cost of one round: the difference between two runs, divided by `rounds`, the number of rounds that
    `whole` has more than `part`."""
    cpu = (whole.cpu - part.cpu) / rounds
    commands, sent = whole.commands - part.commands, whole.sent - part.sent
    redis_cpu = (whole.redis_cpu - part.redis_cpu) / rounds
    return replace(
        whole,
        seconds=cpu,
        cpu=cpu,
        redis_cpu=redis_cpu,
        commands=round(commands / rounds),
        sent=round(sent / rounds),
    )


main()
