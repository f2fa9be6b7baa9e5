"""The commands: one module per command or noun, named as on the command line. Each module defines a Typer
`app`.

`asyncmq --help` lists the first two tables in this order, without importing the modules.
"""

NOUNS = {
    "queues": "List and inspect queues, pause and resume them.",
    "jobs": "Find jobs, read why they failed, retry, requeue, remove and cancel them.",
    "dlq": "Inspect the dead-letter queue: failed and expired jobs, and why they died.",
    "tasks": "Count jobs by task: which fail, which pile up, how long they take.",
    "repeatables": "List scheduled definitions and their coming runs, add, pause, resume and remove them.",
    "workers": "List workers with their health, forget those that are gone.",
    "metrics": "Measure throughput and backlog, keep a history, feed Prometheus.",
    "audit": "List what was done to queues and jobs, by whom and why; follow, export and verify it.",
    "events": "Follow what happens in the queues.",
    "context": "Name the Redis servers in use, and choose one of them.",
}
COMMANDS = {
    "overview": "Show what is wrong, why, and all queues on one screen.",
    "check": "Probe the queues for cron, CI and Nagios: one line, and the state as the exit status.",
    "wait": "Wait until a queue is empty, or until jobs have ended.",
    "doctor": "Find and repair what crashes and bugs leave behind: lost jobs, leftovers, duplicates.",
    "ui": "Open an interactive screen to browse queues, jobs and failures, and to act on them.",
    "demo": "Try everything on a private, temporary Redis with real AsyncMQ workers.",
    "schema": "Print the JSON Schema of a document that --json prints.",
    "help": "Show the help of a command, as COMMAND --help does.",
}
MODULES = {name: f"program.{name}" for name in ("context", "ui", "demo", "schema", "help")}
"""The modules of commands that are not directly in this folder, relative to it."""
