"""The hints for errors of the storage layer, by code. Storage does not depend on commands and options, so its
errors have no hints. If a code has several causes, the error has one of them in `cause`. Names of queues and
jobs come from the error's `facts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncmq_cli.errors import AdminError, command_line

Hint = str | Callable[[Mapping[str, Any]], str]


def _show_job(facts: Mapping[str, Any]) -> str:
    return command_line("jobs", "show", facts["queue"], facts["job_id"])


_HINTS: dict[tuple[str, str], Hint] = {
    ("wrong_type", ""): "another program may have written it: inspect it with redis-cli TYPE",
    ("rabbitmq_queue", ""): (
        "AsyncMQ's own CLI and dashboard work with that backend; 'asyncmq jobs show QUEUE ID' prints the "
        "metadata of a job"
    ),
    # Jobs
    ("job_moved", ""): lambda facts: f"read it again with {_show_job(facts)}",
    ("job_exists", ""): lambda facts: f"{_show_job(facts)} shows it",
    ("lock_held", ""): "try again; the lock expires within 30 seconds",
    ("job_cancelled", ""): "remove it, and enqueue it again if it must run",
    ("job_id_reserved", ""): lambda facts: (
        f"{command_line('jobs', 'remove', facts['queue'], facts['job_id'])} takes the job out"
    ),
    ("key_shared", ""): (
        "such affixes are ':payload' and ':pending' at the end of an id, and 'parent:' at its start"
    ),
    ("job_unreadable", ""): "'asyncmq jobs remove' removes it from the queue",
    ("job_too_large", "decoding"): "with a larger ASYNCMQ_MAX_PAYLOAD, such as 512MB, it can be changed",
    ("job_too_large", "backup"): "it can be removed without --backup",
    # Queues
    ("queue_not_empty", "obliterate"): lambda facts: (
        f"{command_line('queues', 'show', facts['queue'])} shows what has been added, and "
        f"{command_line('doctor', facts['queue'])} shows damage; run it again to continue"
    ),
    ("queue_changed", ""): "run it again to remove the rest",
    # Repeatables
    ("repeatable_moved", ""): "list them again with 'asyncmq repeatables list'",
    ("scheduler_at_work", ""): lambda facts: (
        "try again in a moment; a scheduler that has died blocks changes "
        f"until its lock {facts['lock']!r} expires"
    ),
    # The server
    ("redis_unreachable", ""): "is Redis running there? set --redis-url or ASYNCMQ_REDIS_URL",
    ("redis_timeout", ""): "raise --timeout, or find out what blocks the server",
    ("redis_auth", "refused"): "check --redis-url, or where the password comes from",
    ("redis_auth", "missing"): (
        "name a file or a program that gives it, by ASYNCMQ_PASSWORD_FILE or ASYNCMQ_PASSWORD_COMMAND, "
        "or put it into the URL: redis://USER:PASSWORD@HOST"
    ),
    ("redis_permission", ""): "'asyncmq doctor --self' shows the rights of this user, and those it lacks",
    ("redis_readonly", ""): "point --redis-url at the primary",
    ("redis_out_of_memory", ""): "raise maxmemory, or remove jobs, which works without memory",
    ("redis_loading", ""): "try again in a moment",
    ("redis_busy", ""): "try again in a moment",
    ("redis_misconf", ""): "read the server's log",
    ("redis_error", "database"): ("a Redis has the databases 0 to 15 by default; the number ends the URL"),
    ("redis_error", "no_command"): (
        "that server has disabled or renamed it; docs/connecting.md lists the commands that asyncmq needs"
    ),
    ("redis_cluster", ""): ("AsyncMQ's keys are in different slots: use a Redis that is not in cluster mode"),
    ("redis_sentinel", ""): (
        "'redis-cli -p PORT SENTINEL MASTERS' names the primary: redis-sentinel://HOST:PORT/NAME leads to it"
    ),
}


def hint_for(error: AdminError) -> str | None:
    """The error's own hint, else the hint for its code and cause, or None."""
    if error.hint is not None:
        return error.hint
    hint = _HINTS.get((error.code, error.cause))
    return hint(error.facts) if callable(hint) else hint
