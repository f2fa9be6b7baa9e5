"""Usage errors whose hints name the command or option that the user probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.cli.help import other_words
from asyncmq_cli.errors import (
    AdminError,
    JobNotFound,
    QueueNotFound,
    UsageProblem,
    command_line,
    did_you_mean,
)
from asyncmq_cli.errors import nearest as matches
from asyncmq_cli.models.values import DEAD_STATES, few

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session

_MOST = 3
_QUEUES_NAMED = 8
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{4,27}|[0-9a-f]{12,}")
_GROUP_ID = re.compile(r"[0-9a-f]{4,12}")


def no_such_command(group: Any, word: str, context: Any) -> UsageProblem:
    """The error for an unknown noun or verb; its hint names the nearest ones."""
    path = context.command_path
    reason = _reason(path, [word, *other_words.NAMES.get(word.lower(), ())])
    near = [] if reason is not None else _meant(group, word, context)
    shown = reason or (None if near else _verb_first(word, context)) or hint(near, path)
    return UsageProblem(f"no such command {word!r}", hint=shown, details={"nearest": near})


def _verb_first(word: str, context: Any) -> str | None:
    """A hint for a word that may be the name of a queue or a job id, given before the verb; None for other
    words."""
    noun = _noun(context.command_path)
    line = other_words.QUEUE_AS_VERB.get(noun) if noun else None
    if line is None or word.startswith("-"):
        return None
    what = "a queue"
    if _JOB_ID.fullmatch(word) and noun in ("jobs", "dlq"):
        what, line = "a job", "asyncmq jobs show {}"
    return f"if it is {what}: {quoted(line, word)}; '{context.command_path} --help' shows all verbs"


def _meant(group: Any, word: str, context: Any) -> list[str]:
    """The commands that the user may have meant by an unknown noun or verb, the likeliest first."""
    names = [name for name, _, _ in group.entries()]
    lower, noun = word.lower(), _noun(context.command_path)
    only_reads = lower in other_words.READS
    elsewhere = other_words.ELSEWHERE.get((noun, lower))
    near = [elsewhere] if elsewhere is not None else []
    if not near and not noun:
        near = list(other_words.OPTIONS.get(lower, ()))
    # The same verb of another noun is likelier than a verb that is only similar.
    if not near:
        close = nearest(word, names, close=True)
        # It may be no typo: `mail` is one letter away from `tail`, but may be a queue.
        queue = _as_a_queue(word, context) if close and not _is_known(word, names) else []
        near = [*queue, *close] or _as_a_verb(word, context)
    near = near or _as_a_queue(word, context) or nearest(word, names)
    return [name for name in near if not (only_reads and name.split()[-1] in other_words.CHANGES)]


def _as_a_queue(word: str, context: Any) -> list[str]:
    """The command that shows the queue of this name, if there is one."""
    line = other_words.QUEUE_AS_VERB.get(_noun(context.command_path))
    if line is None or word not in (_queues(context, word) or ()):
        return []
    return [quoted(line, word)]


def quoted(line: str, word: str) -> str:
    """`line` with the word inserted and escaped for a shell, in quotes for a hint."""
    return command_line(*(word if each == "{}" else each for each in line.split()[1:]))


def _queues(context: Any, start: str = "") -> list[str] | None:
    """The names of queues that begin with `start`, as far as they are found within the time limit of TAB
    completion; None if Redis cannot be reached."""
    from asyncmq_cli import config
    from asyncmq_cli.services.candidates import PATIENCE, CandidateRequest, live

    given = {**(context.find_root().obj or {}), **context.params}
    try:
        settings = config.resolve({name: value for name, value in given.items() if value})
    except AdminError:
        return None
    found = live(settings, CandidateRequest("queues", start), PATIENCE)
    return [each.value for each in found] or None


def usage_problem(exc: Any, context: Any) -> UsageProblem:
    """Our error for a usage error of Typer. Among Typer's errors, only the one for an unknown option has
    `possibilities`, and only the one for a missing argument has `param_type`."""
    path = context.command_path
    if hasattr(exc, "possibilities"):
        return no_such_option(context, exc.option_name)
    param = getattr(exc, "param", None)
    if hasattr(exc, "param_type") and param is not None and param.param_type_name == "argument":
        return _missing_argument(context, param)
    message = " ".join(exc.format_message().split())
    return UsageProblem(message[:1].lower() + message[1:].rstrip("."), hint=hint([], path))


def _missing_argument(context: Any, param: Any) -> UsageProblem:
    """The error for a missing argument. If it is a queue, the hint lists the first few queues."""
    path, name = context.command_path, str(param.metavar).strip("[].")
    message = f"{path} needs {'an' if name[0] in 'AEIO' else 'a'} {name}"
    if name != "QUEUE":
        queue = context.params.get("queue")
        if name == "ID" and isinstance(queue, str) and _noun(path) in ("jobs", "dlq", "repeatables"):
            return UsageProblem(message, hint=f"{command_line(_noun(path), 'list', queue)} shows ids")
        return UsageProblem(message, hint=hint([], path))
    names = _queues(context) or []
    lists = "'asyncmq queues list' shows the queues"
    return UsageProblem(
        message,
        hint=f"which one? {few(names, _QUEUES_NAMED)}; {lists}" if names else lists,
        details={"queues": names[:_QUEUES_NAMED]},
    )


def no_verb(path: str, verbs: Sequence[str]) -> UsageProblem:
    return UsageProblem(f"{path} needs a verb", hint=f"one of {', '.join(verbs)}; {hint([], path)}")


def no_such_option(context: Any, name: str) -> UsageProblem:
    path = context.command_path
    params = context.command.get_params(context)
    options = [p for p in params if p.param_type_name == "option" and not p.hidden]
    takes_queue = any(p.param_type_name == "argument" and _is_queue(p) for p in params)
    reason = _reason(path, [name])
    if reason is None and name in ("--queue", "--queues") and takes_queue:
        reason = f"the queue is an argument: '{path} QUEUE'"
    if reason is None and name in ("--yes", "-y"):
        reason = f"'{path}' asks for no confirmation"
    known = [each for option in options for each in option.opts if each.startswith("--")]
    near = []
    if reason is None:
        near = [each for each in nearest(name, known) if each not in other_words.WITHOUT_SAFEGUARD]
    output = next((option for option in options if "--output" in option.opts), None)
    if not near and name[2:] in (choice.value for choice in _choices(output, context)):
        reason = f"did you mean -o {name[2:]}?"
    if (
        reason is None
        and not near
        and name[:2] != "--"
        and any(p.param_type_name == "argument" for p in params)
    ):
        reason = f"{hint(near, path)}; -- comes before a name that begins with -"
    return UsageProblem(f"no such option {name}", hint=reason or hint(near, path), details={"nearest": near})


def _is_queue(param: Any) -> bool:
    return str(param.metavar).strip("[].") == "QUEUE"


def extra_argument(context: Any, word: str) -> UsageProblem:
    """The error for an unexpected argument. If it is a state or a queue, the hint says where it belongs."""
    path = context.command_path
    near = _with_an_option(context, word) if word.strip() else []
    elsewhere = other_words.EXTRA_ARGUMENTS.get(path)
    if not near and elsewhere is not None and word.strip():
        near = [quoted(elsewhere, word)]
    return UsageProblem(f"{path} takes no further argument {word!r}", hint=hint(near, path))


def _with_an_option(context: Any, word: str) -> list[str]:
    params = context.command.get_params(context)
    options = {name: p for p in params if p.param_type_name == "option" for name in p.opts}
    queue = context.params.get("queue")
    words = [*context.command_path.split()[1:], *([queue] if isinstance(queue, str) else [])]
    states = [choice.value for choice in _choices(options.get("--state"), context)]
    state = other_words.VALUES.get(word.lower(), word.lower())
    if state in states:
        return [command_line(*words, "--state", state)]
    if state in other_words.DEAD_WORDS and states and queue:
        return [command_line("dlq", "list", queue)]
    has_argument = any(p.param_type_name == "argument" and _is_queue(p) for p in params)
    if "--queue" in options and not queue and not has_argument:
        return [command_line(*words, "--queue", word)]
    return []


def _choices(param: Any, context: Any) -> list[Any]:
    return [] if param is None else list(param.shell_complete(context, ""))


def of_value(value: Any, choices: Sequence[str]) -> str | None:
    """The hint for a value that is not among the choices, or None."""
    word = str(value).lower()
    if word in other_words.DEAD_WORDS and set(DEAD_STATES) <= set(choices):
        return f"dead jobs are {' or '.join(DEAD_STATES)}; 'asyncmq dlq list QUEUE' has both"
    meant = [choice for choice in choices if choice == other_words.VALUES.get(word)]
    return did_you_mean(meant or matches(word, choices, most=1))


def improve(error: AdminError, session: Session, path: str, given: Mapping[str, Any]) -> None:
    """Add a better hint to the error of a target that was not found: the queue and the id may be in the wrong
    order, or a failure group was given as an id."""
    ids = given.get("job_ids") or given.get("repeatable_ids") or [given.get("job_id")]
    queue = given.get("queue")
    word = ids[0] if isinstance(ids, list) and len(ids) == 1 else None
    if not isinstance(queue, str) or not isinstance(word, str):
        return
    words = path.split()[1:]
    if isinstance(error, QueueNotFound) and error.details.get("queue") == queue:
        if session.store.queue_names.exists(word):
            error.hint = f"the queue comes first: {command_line(*words, word, queue)}"
    elif isinstance(error, JobNotFound) and words[:1] == ["dlq"] and not error.details.get("nearest"):
        if _GROUP_ID.fullmatch(word) is None:
            return
        line = command_line(*words, queue, "--group", word)
        error.hint = f"is {word} a failure group? {line}; {command_line('dlq', 'groups', queue)} lists them"


def _noun(path: str) -> str:
    return (path.split()[1:2] or [""])[0]


def _reason(path: str, words: Sequence[str]) -> str | None:
    """What to do instead, for a verb that this noun does not have; else None."""
    found = (other_words.REASONS.get((_noun(path), word)) for word in words)
    return next((each for each in found if each is not None), None)


def _verbs(context: Any) -> dict[str, Any]:
    """The verbs of each noun."""
    root = context.find_root().command
    return {name: root.get_command(context, name).commands for name, _, is_noun in root.entries() if is_noun}


def hint(near: Sequence[str], path: str) -> str:
    if not near:
        return f"'{path} --help' shows how"
    if len(near) > _MOST:
        nouns = [name.split()[-2] for name in near[1:]]
        return f"of what? '{near[0]}', or {', '.join(nouns)}"
    return did_you_mean(near) or ""


def nearest(word: str, names: Iterable[str], *, close: bool = False) -> list[str]:
    """At most three of the names, the nearest first. With `close`, only names that differ by a typo."""
    existing = list(names)
    known = {
        other: next(name for name in meant if name in existing)
        for other, meant in other_words.NAMES.items()
        if any(name in existing for name in meant) and other not in existing
    }
    # Also accept the singular of a noun.
    known |= {form: name for name in existing for form in (name, name.removesuffix("s"))}
    word = word.lower()
    if word in known:
        return [known[word]]
    started = {name for form, name in known.items() if len(word.strip("-")) > 1 and form.startswith(word)}
    if len(started) == 1:
        return list(started)
    spelt = [form for form in known if form in existing or not form.startswith("--")]
    # The dashes of options are left out: with them, --yes is similar to --reason.
    bare = {form.lstrip("-"): form for form in spelt}
    found = matches(word.lstrip("-"), bare, cutoff=0.75)
    if not found and not close:
        found = matches(word.lstrip("-"), bare)
    return list(dict.fromkeys(known[bare[form]] for form in found))


def _is_known(word: str, names: Iterable[str]) -> bool:
    """Whether the word is another tool's word for one of these names, or the beginning of a name."""
    forms = (*names, *other_words.NAMES)
    return any(form.startswith(word.lower()) for form in forms)


def _as_a_verb(word: str, context: Any) -> list[str]:
    """The commands with this verb, such as `jobs retry` and `dlq retry` for `retry`: the noun was left out or
    is wrong."""
    meant = (word, *other_words.NAMES.get(word, ()))
    nouns = _verbs(context).items()
    return [f"asyncmq {name} {verb}" for name, verbs in nouns for verb in meant if verb in verbs]
