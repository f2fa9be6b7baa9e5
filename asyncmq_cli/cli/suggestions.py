"""Usage errors, with the command or option that may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.nearest import did_you_mean
from asyncmq_cli.nearest import nearest as matches

_MOST = 3

# Names in other tools, and in AsyncMQ's own; the first of several that exists here.
_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "ls": ("list",),
    "get": ("show",),
    "info": ("show",),
    "inspect": ("show",),
    "describe": ("show",),
    "view": ("show",),
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
    "status": ("overview",),
    "stats": ("overview",),
    "top": ("overview",),
    "repair": ("doctor",),
    "fsck": ("doctor",),
    "dead": ("dlq",),
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
    "--format": ("--output", "--json"),
    "--follow": ("--watch",),
    "--noop": ("--dry-run",),
    "--url": ("--redis-url",),
    "--host": ("--redis-url",),
    "--user": ("--by", "--actor"),
    "--actor": ("--by",),
}
# A hint never leads from a word for looking to a verb that changes something, nor to an option that drops a
# safeguard.
# fmt: off
_LOOKS = frozenset((
    "list", "ls", "show", "get", "info", "inspect", "describe", "view", "read", "find", "search", "count",
    "peek", "tail", "head", "watch", "status", "stats", "top", "cat", "print", "display", "query", "look",
    "export", "dump", "log", "logs", "history",
))
CHANGES = frozenset((
    "add", "cancel", "forget", "pause", "record", "remove", "requeue", "restore", "resume", "retry",
))
# fmt: on
_WITHOUT_SAFEGUARD = frozenset({"--yes", "--force"})
# Options that are tried as commands.
_OPTIONS_MEANT = {
    "version": ("--version",),
    "completion": ("--install-completion", "--show-completion"),
    "completions": ("--install-completion", "--show-completion"),
}
# Verbs and options of a noun that do not exist, and why.
_REASONS: dict[tuple[str, ...], str] = {
    ("queues", "remove"): "a queue is what it holds; 'asyncmq jobs remove QUEUE --state all' empties it",
    ("dlq", "--state"): "dead jobs are failed or expired; 'asyncmq jobs list QUEUE --state failed' has one",
}
# The command that takes what was given as an extra argument.
_EXTRA_ARGUMENT = {
    "asyncmq overview": "asyncmq queues show {}",
    "asyncmq queues list": "asyncmq queues show {}",
    "asyncmq workers list": "asyncmq workers list --queue {}",
}


def no_such_command(group: Any, word: str, context: Any) -> UsageProblem:
    """The error for an unknown noun or verb; its hint names the nearest."""
    path = context.command_path
    names = [name for name, _, _ in group.entries()]
    reason = _reason(path, [word, *_OTHER_WORDS.get(word.lower(), ())])
    near: list[str] = []
    only_looks = word.lower() in _LOOKS
    if reason is None:
        # The same verb of another noun is likelier than a verb that is only similar.
        near = list(_OPTIONS_MEANT.get(word.lower(), ())) if group is context.find_root().command else []
        near = near or nearest(word, names, close=True) or _as_a_verb(word, context) or nearest(word, names)
        near = [name for name in near if not (only_looks and name.split()[-1] in CHANGES)]
    return UsageProblem(
        f"no such command {word!r}", hint=reason or hint(near, path), details={"nearest": near}
    )


def usage_problem(exc: Any, context: Any) -> UsageProblem:
    """The error for what Typer finds wrong with a line. Of its errors only an unknown option has
    `possibilities`."""
    path = context.command_path
    if hasattr(exc, "possibilities"):
        return no_such_option(context, exc.option_name)
    message = " ".join(exc.format_message().split())
    return UsageProblem(message[:1].lower() + message[1:].rstrip("."), hint=hint([], path))


def no_verb(path: str, verbs: Sequence[str]) -> UsageProblem:
    return UsageProblem(f"{path} needs a verb", hint=f"one of {', '.join(verbs)}; {hint([], path)}")


def no_such_option(context: Any, name: str) -> UsageProblem:
    path = context.command_path
    options = [
        p for p in context.command.get_params(context) if p.param_type_name == "option" and not p.hidden
    ]
    reason = _reason(path, [name])
    known = [each for option in options for each in option.opts if each.startswith("--")]
    near = [each for each in nearest(name, known) if each not in _WITHOUT_SAFEGUARD] if reason is None else []
    return UsageProblem(f"no such option {name}", hint=reason or hint(near, path), details={"nearest": near})


def extra_argument(path: str, word: str) -> UsageProblem:
    meant = _EXTRA_ARGUMENT.get(path)
    near = [] if meant is None else [f"'{meant.format(word)}'"]
    return UsageProblem(f"{path} takes no further argument {word!r}", hint=hint(near, path))


def _reason(path: str, words: Iterable[str]) -> str | None:
    noun = path.removeprefix("asyncmq").split(maxsplit=1)[:1]
    return next((_REASONS[of] for of in ((*noun, word) for word in words) if of in _REASONS), None)


def hint(near: Sequence[str], path: str) -> str:
    if not near:
        return f"'{path} --help' shows how"
    if len(near) > _MOST:
        nouns = [name.split()[-2] for name in near[1:]]
        return f"of what? '{near[0]}', or {', '.join(nouns)}"
    return did_you_mean(near) or ""


def nearest(word: str, names: Iterable[str], *, close: bool = False) -> list[str]:
    """At most three of the names, the nearest first; with `close` only those that are a typo away."""
    existing = list(names)
    known = {
        other: next(name for name in meant if name in existing)
        for other, meant in _OTHER_WORDS.items()
        if any(name in existing for name in meant) and other not in existing
    }
    # The singular of a noun works, too.
    known |= {form: name for name in existing for form in (name, name.removesuffix("s"))}
    word = word.lower()
    if word in known:
        return [known[word]]
    started = {name for form, name in known.items() if len(word.strip("-")) > 1 and form.startswith(word)}
    if len(started) == 1:
        return list(started)
    spelt = [form for form in known if form in existing or not form.startswith("--")]
    found = matches(word, spelt, cutoff=0.75)
    if not found and not close:
        found = matches(word, spelt)
    return list(dict.fromkeys(known[form] for form in found))


def _as_a_verb(word: str, context: Any) -> list[str]:
    """`jobs retry` and `dlq retry` for `retry`: the verb without its noun, or with another one."""
    root = context.find_root().command
    meant = (word, *_OTHER_WORDS.get(word, ()))
    nouns = {name: root.get_command(context, name).commands for name, _, is_noun in root.entries() if is_noun}
    return [f"asyncmq {name} {verb}" for name, verbs in nouns.items() for verb in meant if verb in verbs]
