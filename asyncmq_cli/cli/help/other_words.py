"""Words of other tools and of the AsyncMQ library, and our words for the same.

`suggestions` makes hints from these tables."""

from __future__ import annotations

from collections.abc import Mapping

# By word, our verbs for it. If several are listed, the first one that the noun has is used.
NAMES: Mapping[str, tuple[str, ...]] = {
    "ls": ("list",),
    "get": ("show",),
    "info": ("show",),
    "inspect": ("show",),
    "describe": ("show",),
    "view": ("show",),
    "cat": ("show",),
    "rm": ("remove",),
    "delete": ("remove",),
    "del": ("remove",),
    "purge": ("remove",),
    "clear": ("remove",),
    "requeue": ("retry",),
    "replay": ("retry",),
    "unpause": ("resume",),
    "start": ("resume",),
    "stop": ("pause", "cancel"),
    "kill": ("cancel",),
    "abort": ("cancel",),
    "create": ("add",),
    "enqueue": ("add",),
    "push": ("add",),
    "schedule": ("add",),
    "promote": ("run-now",),
    "follow": ("tail",),
    "status": ("overview",),
    "stats": ("overview",),
    "top": ("overview",),
    "dashboard": ("overview",),
    "repair": ("doctor",),
    "fsck": ("doctor",),
    "dead": ("dlq",),
    "failed": ("dlq",),
    "schedules": ("repeatables",),
    "--limit": ("--size",),
    "--count": ("--size", "--limit"),
    "--per-page": ("--size",),
    "--size": ("--limit",),
    "--since": ("--newer-than",),
    "--after": ("--newer-than", "--since"),
    "--newer-than": ("--since",),
    "--before": ("--older-than",),
    "--until": ("--older-than",),
    "--status": ("--state",),
    "--search": ("--q",),
    "--query": ("--q",),
    "--filter": ("--q",),
    "--id": ("--job-id",),
    "--name": ("--task",),
    "--columns": ("--fields",),
    "--format": ("--output",),
    "--follow": ("--watch",),
    "--noop": ("--dry-run",),
    "--url": ("--redis-url",),
    "--host": ("--redis-url",),
    "--user": ("--by", "--actor"),
    "--actor": ("--by",),
}

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "version": ("--version",),
    "completion": ("--install-completion", "--show-completion"),
    "completions": ("--install-completion", "--show-completion"),
}
"""Options that are tried as commands."""

ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("", "enqueue"): "asyncmq jobs add",
    ("queues", "enqueue"): "asyncmq jobs add",
    ("", "push"): "asyncmq jobs add",
    ("queues", "push"): "asyncmq jobs add",
    ("", "ps"): "asyncmq workers list",
    ("queues", "ps"): "asyncmq workers list",
    ("jobs", "ps"): "asyncmq jobs list QUEUE --state active",
    ("queues", "stats"): "asyncmq overview",
    ("queues", "top"): "asyncmq queues list --watch",
    ("queues", "watch"): "asyncmq queues list --watch",
    ("queues", "count"): "asyncmq queues list",
    ("jobs", "wait"): "asyncmq wait QUEUE",
    ("queues", "wait"): "asyncmq wait QUEUE",
    ("jobs", "stats"): "asyncmq queues show QUEUE",
    ("jobs", "count"): "asyncmq queues show QUEUE",
    ("jobs", "top"): "asyncmq jobs list QUEUE --state active",
    ("jobs", "search"): "asyncmq jobs list QUEUE --q TEXT",
    ("jobs", "find"): "asyncmq jobs list QUEUE --q TEXT",
    ("workers", "top"): "asyncmq workers list --watch",
    ("workers", "watch"): "asyncmq workers list --watch",
    ("workers", "ps"): "asyncmq workers list",
    **{("jobs", word): "asyncmq jobs list QUEUE --state all --ndjson" for word in ("export", "dump")},
    **{("dlq", word): "asyncmq dlq list QUEUE --ndjson" for word in ("export", "dump")},
    ("", "log"): "asyncmq audit",
    ("", "logs"): "asyncmq audit",
    ("", "history"): "asyncmq audit",
    ("", "count"): "asyncmq queues list",
}
"""By noun ("" for none) and the word after it: the command, which only reads or has its own hints, that does
what was meant."""

_DRAIN = "'asyncmq queues drain QUEUE --dry-run' shows the waiting jobs that it would remove"
_CLEAN = (
    "'asyncmq queues clean QUEUE --state completed --older-than 7d --dry-run' shows the ended jobs that it "
    "would remove"
)
_OBLITERATE = "'asyncmq queues obliterate QUEUE --dry-run' shows everything that it would remove"
_STOP = "stop workers on their own host; 'asyncmq queues pause --help' says how to stop a queue"

REASONS: Mapping[tuple[str, str], str] = {
    **{(noun, word): _DRAIN for noun in ("", "jobs") for word in ("drain", "empty")},
    **{(noun, "clean"): _CLEAN for noun in ("", "jobs")},
    ("queues", "empty"): _DRAIN,
    **{(noun, "obliterate"): _OBLITERATE for noun in ("", "jobs")},
    ("queues", "remove"): _OBLITERATE,
    ("dlq", "--state"): "dead jobs are failed or expired; 'asyncmq jobs list QUEUE --state failed' has one",
    ("workers", "cancel"): _STOP,
    ("workers", "pause"): _STOP,
}
"""By noun and verb: for a verb that the noun does not have, what to do instead."""

# For a word that asks to read, a hint never suggests a verb that changes something. No hint suggests an
# option that drops a safeguard.
# fmt: off
READS = frozenset((
    "list", "ls", "show", "get", "info", "inspect", "describe", "view", "read", "find", "search", "count",
    "peek", "tail", "head", "watch", "status", "stats", "top", "ps", "cat", "print", "display", "query",
    "look", "export", "dump", "log", "logs", "history", "follow", "dashboard", "failed", "dead",
))
CHANGES = frozenset((
    "add", "cancel", "clean", "drain", "edit", "forget", "obliterate", "pause", "record", "remove", "requeue",
    "rerun", "restore", "resume", "retry", "run", "run-now", "use",
))
# fmt: on
WITHOUT_SAFEGUARD = frozenset({"--yes", "--force"})

VALUES: Mapping[str, str] = {
    "running": "active",
    "processing": "active",
    "in-progress": "active",
    "started": "active",
    "pending": "waiting",
    "queued": "waiting",
    "enqueued": "waiting",
    "ready": "waiting",
    "scheduled": "delayed",
    "done": "completed",
    "finished": "completed",
    "success": "completed",
    "successful": "completed",
    "succeeded": "completed",
    "complete": "completed",
    "error": "failed",
    "errors": "failed",
    "failure": "failed",
    "canceled": "cancelled",
    "blocked": "waiting-children",
    "any": "all",
}
"""By words of other tools: our names of states."""
DEAD_WORDS = frozenset({"dead", "dlq", "dead-letter", "deadletter"})

EXTRA_ARGUMENTS: Mapping[str, str] = {
    "asyncmq overview": "asyncmq queues show {}",
    "asyncmq metrics show": "asyncmq queues show {}",
    "asyncmq events tail": "asyncmq queues show {}",
}
"""By command: the command to suggest if the name of a queue was given as an extra argument."""
QUEUE_AS_VERB: Mapping[str, str] = {
    "": "asyncmq queues show {}",
    "queues": "asyncmq queues show {}",
    "jobs": "asyncmq jobs list {}",
    "dlq": "asyncmq dlq list {}",
    "repeatables": "asyncmq repeatables list {}",
    "workers": "asyncmq workers list --queue {}",
    "tasks": "asyncmq tasks list {}",
    "metrics": "asyncmq queues show {}",
    "events": "asyncmq queues show {}",
    "audit": "asyncmq audit --queue {}",
}
"""By noun: the command to suggest if the name of a queue was given instead of a verb."""
