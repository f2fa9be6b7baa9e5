"""What may have been meant by a word that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncmq_cli.errors import UsageProblem

# What other tools, and AsyncMQ's own, call it.
_OTHER_WORDS = {
    "ls": "list",
    "get": "show",
    "info": "show",
    "inspect": "show",
    "describe": "show",
    "rm": "remove",
    "delete": "remove",
    "del": "remove",
    "requeue": "retry",
    "replay": "retry",
    "unpause": "resume",
    "create": "add",
}


def no_such_command(group: Any, word: str, context: Any) -> UsageProblem:
    """The error for a noun or verb that `group` does not have; its hint names the nearest."""
    path = context.command_path
    names = [name for name, _, _ in group.entries()]
    near = nearest(word, names) or [f"{path} {way}" for way in _as_a_verb(group, word, context)]
    return UsageProblem(f"no such command {word!r}", hint=hint(near, path), details={"nearest": near})


def no_such_option(command: Any, context: Any, name: str, path: str) -> UsageProblem:
    options = [p for p in command.get_params(context) if p.param_type_name == "option" and not p.hidden]
    near = nearest(name, [each for option in options for each in option.opts if each.startswith("--")])
    return UsageProblem(f"no such option {name}", hint=hint(near, path), details={"nearest": near})


def hint(near: Iterable[str], path: str) -> str:
    names = " or ".join(near)
    return f"did you mean {names}?" if names else f"'{path} --help' shows how"


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """At most three, the nearest first."""
    from difflib import get_close_matches

    there = list(names)
    known = {other: name for other, name in _OTHER_WORDS.items() if name in there}
    # A noun in the singular is a name too.
    known |= {form: name for name in there for form in (name, name.removesuffix("s"))}
    word = word.lower()
    if word in known:
        return [known[word]]
    begun = {name for form, name in known.items() if len(word.strip("-")) > 1 and form.startswith(word)}
    if len(begun) == 1:
        return list(begun)
    found = get_close_matches(word, known, cutoff=0.75) or get_close_matches(word, known)
    return list(dict.fromkeys(known[form] for form in found))


def _as_a_verb(group: Any, word: str, context: Any) -> list[str]:
    """`retry` for `jobs retry`: a noun left out."""
    verb = _OTHER_WORDS.get(word, word)
    nouns = [name for name, _, is_noun in group.entries() if is_noun]
    return [f"{name} {verb}" for name in nouns if verb in group.get_command(context, name).commands]
