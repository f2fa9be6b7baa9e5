"""`asyncmq jobs`: `reading` has the verbs that only read, `changes` those that change jobs."""

from __future__ import annotations

# The help lists verbs in the order in which they were added: those of `reading`, then those of `changes`.
from asyncmq_cli.commands.jobs import changes
from asyncmq_cli.commands.jobs.reading import app

__all__ = ["app", "changes"]
