"""`asyncmq jobs`: `reading` has the verbs that only read, `changes` those that change jobs."""

from __future__ import annotations

# `changes` adds its verbs to the `app` of `reading`, which has its own before.
from asyncmq_cli.commands.jobs import changes
from asyncmq_cli.commands.jobs.reading import app

__all__ = ["app", "changes"]
