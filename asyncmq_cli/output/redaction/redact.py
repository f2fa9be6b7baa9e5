"""Replace secrets before printing: values with names of secrets, and values that look like secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from asyncmq_cli.output.json.text import MAX_DEPTH, TOO_DEEP
from asyncmq_cli.output.redaction.names import (
    FIELDS,
    FOLDED,
    LABELS,
    REDACTED,
    VALUES,
    also_redacted,
    is_secret_name,
    redact_also,
)

__all__ = ["REDACTED", "is_secret_name", "redact", "redact_also", "redact_any", "redact_text"]

# Every text that has anything to redact contains one of these in its lower-case form.
_SIGNS: tuple[str, ...] = (
    *("authorization", "credential", "pass", "pwd", "pswd", "secret", "token", "cookie", "sess"),
    *("auth", "key", "jwt", "card", "cvv", "cvc", "otp", "ssn", "csrf", "xsrf", "bearer", "basic"),
    *("ssws", "connection", "code", "identified", "digest", "pw", "pin", "://", ":\\/", "@tcp(", "@unix("),
    *("input_value", "sig", "akia", "asia", "abia", "acca", "gho_", "ghp_", "ghs_", "ghu_", "ghr_"),
    *("github_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-"),
    *("glimt-", "glffct-", "xox", "xapp-", "k_live", "k_test", "whsec_", "sk-", "aiza", "ya29."),
    *("npm_", "gocspx-", "pypi-", "rubygems_", "dckr_", "sg.", "hf_", "hvs.", "hvb.", "hvr.", "_v1_"),
    *("dapi", "shpat_", "shpca_", "shppa_", "shpss_", "sq0", "lin_api_", "figd_", "pscale_", "glsa_"),
    *("glsc_", "sntrys_", "phc_", "nrak-", "atatt3", ":aa", "eyj", "bot ", " -p", "'-p", '"-p', " -u"),
    *("'-u", '"-u', " -a", "'-a", '"-a', "-w"),
)
# Patterns of what must follow these three signs if there is anything to redact. The signs alone are frequent
# in tracebacks.
_BEHIND = {
    "key": "(?!error)",
    "connection": "(?! ?(?:error|refused|reset|aborted|closed|failed|lost|timed|to |was ))",
    # A colon that is not before a port and not at the end of a word.
    "://": r"""(?=[^\s"@:]*(?:@|:(?![0-9]{1,5}[/?#]|[0-9]{0,5}(?:[\s"]|\Z))))""",
}
# Limits of the caches of values that are likely to come again: the characters of a text, of a name, and of
# the names of an object.
_MOST_KEPT, _LONGEST_KEPT, _MOST_NAMES = 16_384, 256, 2_048
_NUMBERS = frozenset({int, float, bool})
# If case is ignored, these letters match `i`, `k` and `s`.
_SIGNS += tuple(FOLDED)


# A sign is searched for by the first of these letters that it contains. Together they are rare in texts, so
# few positions of a text are looked at.
_LETTERS = "z@qxkvgy-/jpsbtc_"


@cache
def _sign_in_text() -> re.Pattern[str]:
    return re.compile(_any_of(_SIGNS))


@cache
def _sign_in_json() -> re.Pattern[bytes]:
    # An option may be an element of a list; then its first quote is not part of the text.
    return re.compile(_any_of(sign.replace("\\", "\\\\") for sign in _SIGNS).encode())


def _any_of(words: Iterable[str]) -> str:
    """A pattern that matches in any of these words. It starts at one letter of a word, because a plain
    alternation would try each word at each position. The letters before it are checked last: what follows it
    is cheaper to check, and rarely matches."""
    by_letter: dict[str, list[str]] = {}
    for word in words:
        letter = next((letter for letter in _LETTERS if letter in word), word[0])
        at = word.index(letter)
        whole = f"(?<={re.escape(word)})" if at else ""
        by_letter.setdefault(letter, []).append(re.escape(word[at + 1 :]) + whole + _BEHIND.get(word, ""))
    return "|".join(f"{re.escape(letter)}(?:{'|'.join(rests)})" for letter, rests in by_letter.items())


def redact(value: Any) -> Any:
    """JSON data with secrets replaced; the same object if there are none."""
    return value if _is_clean(value) else _redacted(value, 0)


def redact_text(text: str) -> str:
    """`text` without values that have names of secrets, and without secrets that are recognised by their
    form."""
    if not _may_hold_a_secret(text):
        return text
    # The error of a job is usually stored twice in it, so cache the result.
    return _kept(text, also_redacted()) if len(text) <= _MOST_KEPT else _without_secrets(text)


def _without_secrets(text: str) -> str:
    # Import these here: compiling their patterns takes some milliseconds.
    from asyncmq_cli.output.redaction.assignments import without_assigned
    from asyncmq_cli.output.redaction.forms import without_known_forms, without_pem
    from asyncmq_cli.output.redaction.shapes import without_shapes

    return without_known_forms(without_assigned(without_shapes(without_pem(text))))


@lru_cache(maxsize=8)
def _kept(text: str, also: tuple[tuple[str, ...], ...]) -> str:
    return _without_secrets(text)


def redact_any(value: Any) -> str | None:
    """The same as `redact_text` for a value that may not be a text. None stays None."""
    return None if value is None else redact_text(str(value))


def _may_hold_a_secret(text: str) -> bool:
    lower = text.lower()
    return (
        _sign_in_text().search(lower) is not None
        or (not text.isascii() and any(letter in text for letter in FOLDED))
        or _holds_a_name_added(lower)
    )


def _holds_a_name_added(lower: str) -> bool:
    also = also_redacted()
    return bool(also) and any(words[-1] in lower for words in also)


def _is_clean(value: Any) -> bool:
    """Whether there is certainly nothing to redact, and nothing nested too deeply. Most values are clean, and
    this check costs a tenth of a copy. False also if the check cannot decide."""
    import orjson

    inner = value
    if isinstance(value, dict):
        if not _have_names(value, _are_clean):
            return False
        # Most values are numbers or empty.
        inner = [held for held in value.values() if held and type(held) not in _NUMBERS]
    elif not isinstance(value, list):
        return False
    try:
        text = orjson.dumps(inner).lower()
    except orjson.JSONEncodeError:
        return False
    if text.count(b"[") + text.count(b"{") >= MAX_DEPTH or _sign_in_json().search(text):
        return False
    also = also_redacted()
    return not also or not any(words[-1].encode() in text for words in also)


def _have_names(value: Mapping[str, Any], are: Any) -> bool:
    """Whether the check `are` holds for the names of an object. Results are cached, because objects usually
    have the same names as the object before."""
    names = tuple(value)
    kept = sum(map(len, names)) <= _MOST_NAMES
    found: bool = (are if kept else are.__wrapped__)(names, also_redacted())
    return found


@lru_cache(maxsize=256)
def _are_clean(names: tuple[str, ...], also: tuple[tuple[str, ...], ...]) -> bool:
    return not any(map(_may_hold_a_secret, names))


@lru_cache(maxsize=256)
def _are_shown(names: tuple[str, ...], also: tuple[tuple[str, ...], ...]) -> bool:
    """Whether all names are printed unchanged, and none is the name of a secret."""
    return all(_of_name.__wrapped__(name, also) == (name, False) for name in names)


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, int | float) or not isinstance(value, Mapping | list | tuple):
        return value
    if depth == MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return _redacted_object(value, depth)
    hidden = _hidden_elements(value)
    return [
        REDACTED if number in hidden else _redacted(inner, depth + 1) for number, inner in enumerate(value)
    ]


def _redacted_object(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    beside = _is_beside_its_name(value)
    if not beside and _have_names(value, _are_shown):
        return {name: _redacted_member(inner, depth) for name, inner in value.items()}
    found: dict[str, Any] = {}
    also = also_redacted()
    for name, inner in value.items():
        shown, is_secret = (_of_name if len(name) <= _LONGEST_KEPT else _of_name.__wrapped__)(name, also)
        while shown in found or (shown != name and shown in value):
            shown += "'"
        hidden = is_secret or (beside and name.lower() in VALUES)
        is_harmless = inner is None or isinstance(inner, bool) or _is_a_directory(name, inner)
        found[shown] = REDACTED if hidden and not is_harmless else _redacted_member(inner, depth)
    return found


def _redacted_member(value: Any, depth: int) -> Any:
    if value is None or type(value) in _NUMBERS:
        return value
    # In most records, at most one value must be redacted.
    return value if depth == 0 and _is_clean(value) else _redacted(value, depth + 1)


@lru_cache(maxsize=4096)
def _of_name(name: str, also: tuple[tuple[str, ...], ...]) -> tuple[str, bool]:
    """The name as it is shown, and whether it is the name of a secret."""
    return redact_text(name), is_secret_name(name)


def _is_a_directory(name: str, value: Any) -> bool:
    """Whether it is the shell's working directory PWD, whose name is also one for passwords."""
    return name.lower() in ("pwd", "oldpwd") and isinstance(value, str) and value[:1] in ("/", "~")


def _is_beside_its_name(value: Mapping[str, Any]) -> bool:
    """Whether the object is `{"name": "password", "value": …}`, or a pydantic error about the field of a
    secret."""
    for name, inner in value.items():
        if isinstance(inner, str):
            if name.lower() in LABELS and is_secret_name(inner):
                return True
        elif name == "loc" and isinstance(inner, list | tuple):
            return any(isinstance(part, str) and is_secret_name(part) for part in inner)
    return False


def _hidden_elements(values: Sequence[Any]) -> set[int]:
    """The positions of the elements of a list that are secrets because of the element before them: in a pair
    of a name and its value, or in the words of a command line."""
    if len(values) < 2 or not isinstance(values[0], str):
        return set()
    if len(values) == 2 and isinstance(values[1], str) and is_secret_name(values[0]):
        return set() if values[1].lower() in FIELDS else {1}
    if not any(isinstance(word, str) and word[:1] == "-" for word in values):
        return set()
    from asyncmq_cli.output.redaction.shapes import passwords_of

    words = [word if isinstance(word, str) else "" for word in values]
    return passwords_of(words)
