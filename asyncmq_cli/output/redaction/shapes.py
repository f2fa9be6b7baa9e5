"""Find secrets that are not directly after their names: names and values as separate members, columns and
parameters of SQL, inputs in pydantic errors, and options of known programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from asyncmq_cli.output.redaction.assignments import assigned, end_of_bracket
from asyncmq_cli.output.redaction.names import LABELS, REDACTED, VALUES, is_secret_name, word_set

_Q = r"""(?:\\{0,8}["'])?"""
_BESIDE = re.compile(
    rf"""(?<![A-Za-z0-9_])(?:{"|".join(sorted(LABELS))}){_Q}\s{{0,4}}[:=]\s{{0,4}}{_Q}
    (?P<name>[A-Za-z][A-Za-z0-9_.-]{{1,64}}){_Q}(?![\w(])
    (?:[^<>{{}}\n]{{0,120}}?)(?:\n[ \t]{{0,40}}|\\n[ \t]{{0,40}})?
    (?<![A-Za-z0-9_])(?:{"|".join(sorted(VALUES))}){_Q}\s{{0,4}}[:=](?!=)\s{{0,4}}""",
    re.VERBOSE | re.IGNORECASE,
)
_ELEMENTS = re.compile(
    r"<(?P<label>name|key)>\s{0,8}(?P<name>[\w.-]{1,80})\s{0,8}</(?P=label)>\s{0,40}<(?P<of>value|string)>",
    re.IGNORECASE,
)
_INSERT = re.compile(
    r"""(?:INSERT|REPLACE)\s{1,8}INTO\s{1,8}[\w."`\[\]]{1,128}\s{0,8}\((?P<names>[^()]{1,4000})\)\s{0,40}
    (?:OVERRIDING\s[A-Z ]{1,40})?VALUES\s{0,40}(?=\()""",
    re.VERBOSE | re.IGNORECASE,
)
_MORE_ROWS = re.compile(r"\s{0,8},\s{0,8}(?=\()")
_IDENTIFIED = re.compile(
    r"(?P<before>\bIDENTIFIED\s{1,8}(?:WITH\s{1,8}[\w'\"]{1,64}\s{1,8})?BY\s{1,8}(?:PASSWORD\s{1,8})?)'(?:[^'\\]|''|\\.)*'",
    re.IGNORECASE,
)
_NETRC = re.compile(
    r"(?P<before>\bmachine\s{1,8}\S{1,128}\s{1,8}login\s{1,8}\S{1,128}\s{1,8}password\s{1,8})(?P<value>\S+)",
    re.IGNORECASE,
)
_KEY_EXISTS = re.compile(r"Key \((?P<names>[^()=]{1,400})\)=(?=\()")
_PARAMETERS = re.compile(r"\[parameters: (?=[\[(])")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,80}")
_INPUT = re.compile(r"input_value=")
_LONGEST_INPUT = 4000
_LOC = re.compile(
    r"""["']loc["']:\s{0,4}[\[(](?P<names>[^\])\n]{0,300})[\])][^\n]{0,400}?["']input["']:\s{0,4}"""
)

# For each program, its options with a password: those to which the password is joined, and those that it
# follows.
_PROGRAMS = (
    (
        "mysql|mysqldump|mysqladmin|mysqlimport|mariadb|mariadb-dump|mariadb-admin|sshpass|7z|7za|rar",
        "p",
        "",
    ),
    ("sshpass|mongo|mongosh|mongodump|mongorestore|docker|podman|az|skopeo", "", "p"),
    ("redis-cli|valkey-cli", "", "a"),
    ("sqlcmd|bcp|isql|unzip|zip", "P", "P"),
    ("ldapsearch|ldapadd|ldapmodify|ldappasswd", "w", "w"),
    ("curl|wget|http|https|smbclient|rclone", "u", "uU"),
)
_OF_PROGRAM: dict[str, tuple[str, str]] = {}
for _names, _joined, _following in _PROGRAMS:
    for _program in _names.split("|"):
        _have = _OF_PROGRAM.get(_program, ("", ""))
        _OF_PROGRAM[_program] = (_have[0] + _joined, _have[1] + _following)
_PROGRAM = re.compile(
    rf"""(?<![\w.-])(?P<program>{"|".join(sorted(_OF_PROGRAM, key=len, reverse=True))})(?=["']?,?\s)"""
)
_COMMAND = re.compile(r"""Command\s{1,4}["']""")
_END_OF_COMMAND = re.compile(r"""["'] (?:returned non-zero|died with|timed out)|\n|\Z""")
_LONGEST_COMMAND = 4000
_OPTION = re.compile(
    r"""(?<=[\s"'])-(?P<letter>[A-Za-z])(?:(?P<gap>["']?,?[ \t]{1,4}["']?)|)"""
    r"""(?P<value>(?P<quote>["'])[^"'\n]{1,400}(?P=quote)|(?:\[redacted\]|[^\s"',\]]){1,4000})"""
)
_NOT_PASSWORDS = word_set("print print0 path perm prune preset port pretty pass pix_fmt profile project")


def without_shapes(text: str) -> str:
    lower = text.lower()
    if "val" in lower or "input" in lower or "content" in lower or "string" in lower or "default" in lower:
        text = _without(text, _beside(text))
        text = _without(text, _inputs(text))
    if "into" in lower or "parameters: " in lower or "Key (" in text:
        text = _without(text, _of_sql(text))
    if "identified" in lower:
        text = _IDENTIFIED.sub(rf"\g<before>'{REDACTED}'", text)
    if "login" in lower and "password" in lower:
        text = _NETRC.sub(rf"\g<before>{REDACTED}", text)
    if " -" in text or "'-" in text or '"-' in text:
        text = _without(text, _of_programs(text))
    return text


def _without(text: str, found: Iterator[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end, shown in sorted(found):
        if start >= done:
            pieces += text[done:start], shown
            done = end
    return "".join([*pieces, text[done:]])


def has_secret_name(text: str) -> bool:
    return any(is_secret_name(name) for name in _NAME.findall(text))


def _beside(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _BESIDE.finditer(text):
        if is_secret_name(found["name"]) and (
            value := assigned(text, found.start(), found.end(), found["name"], bare_colon=False)
        ):
            yield value
    for found in _ELEMENTS.finditer(text):
        end = text.find("<", found.end())
        if is_secret_name(found["name"]) and end > found.end():
            yield found.end(), end, REDACTED


def _inputs(text: str) -> Iterator[tuple[int, int, str]]:
    """Find the inputs that pydantic quotes in errors about the field of a secret, and inputs that were cut in
    the middle, so that the name may be missing."""
    end = 0
    for found in _INPUT.finditer(text):
        if found.start() < end:
            continue
        most = found.end() + _LONGEST_INPUT
        end = text.find(", input_type=", found.end(), most)
        line = text.find("\n", found.end(), most)
        if end < 0 or 0 <= line < end:
            end = line if line >= 0 else min(most, len(text))
        begin = text.rfind("\n", max(0, found.start() - _LONGEST_INPUT), found.start())
        place = text[text.rfind("\n", max(0, begin - 300), max(0, begin)) + 1 : begin] if begin > 0 else ""
        if "..." in text[found.end() : end] or has_secret_name(place):
            yield found.end(), end, REDACTED
    for found in _LOC.finditer(text):
        if has_secret_name(found["names"]) and (
            value := assigned(text, found.start(), found.end(), "input", bare_colon=False)
        ):
            yield value


def _of_sql(text: str) -> Iterator[tuple[int, int, str]]:
    for pattern in (_INSERT, _KEY_EXISTS):
        end = 0
        while found := pattern.search(text, end):
            end = found.end()
            if has_secret_name(found["names"]):
                end = end_of_bracket(text, end)
                while more := _MORE_ROWS.match(text, end):
                    end = end_of_bracket(text, more.end())
                yield found.end(), end, f"({REDACTED})"
    end = 0
    while found := _PARAMETERS.search(text, end):
        statement = text.rfind("[SQL: ", end, found.start())
        end = found.end()
        if statement >= 0 and has_secret_name(text[statement : found.start()]):
            end = end_of_bracket(text, found.end())
            yield found.end(), end, f"({REDACTED})"


def _of_programs(text: str) -> Iterator[tuple[int, int, str]]:
    done = 0
    for found in _PROGRAM.finditer(text):
        if found.start() >= done:
            joined, following = _OF_PROGRAM[found["program"]]
            done = _end_of_command(text, found.end())
            yield from _options(text, found.end(), done, joined, following)
    done = 0
    for found in _COMMAND.finditer(text):
        if found.start() >= done:
            done = _end_of_command(text, found.end())
            yield from _options(text, found.end(), done, "p", "")


def _end_of_command(text: str, start: int) -> int:
    most = min(len(text), start + _LONGEST_COMMAND)
    end = _END_OF_COMMAND.search(text, start, most)
    return end.start() if end else most


def _options(text: str, start: int, end: int, joined: str, following: str) -> Iterator[tuple[int, int, str]]:
    for found in _OPTION.finditer(text, start, end):
        letter, value = found["letter"], found["value"]
        if letter not in (following if found["gap"] else joined):
            continue
        begin = found.start("value")
        if letter in "uU":
            _, colon, password = value.partition(":")
            if colon and password and not password.startswith("//"):
                yield begin + value.index(":") + 1, found.end(), REDACTED
        elif is_password_of_option(letter + value if not found["gap"] else value):
            yield begin, found.end(), REDACTED


def is_password_of_option(given: str) -> bool:
    """Whether the text joined to an option is a password, and not a port or the rest of a longer option's
    name."""
    value = given[1:] if given[:1] in "pPwa" else given
    return given not in _NOT_PASSWORDS and not value.replace(":", "").replace("/tcp", "").isdigit()


def passwords_of(arguments: Sequence[str]) -> set[int]:
    """The positions of the words in a command line that are passwords."""
    found = set()
    known = [_OF_PROGRAM[name] for word in arguments[:4] if (name := word.rsplit("/", 1)[-1]) in _OF_PROGRAM]
    joined = "".join(each[0] for each in known)
    following = "".join(each[1] for each in known)
    for number, word in enumerate(arguments):
        if word[:1] != "-" or len(word) < 2:
            continue
        next_is_value = number + 1 < len(arguments) and arguments[number + 1][:1] != "-"
        if next_is_value and is_secret_name(word):
            found.add(number + 1)
        elif len(word) == 2 and word[1] in following and next_is_value:
            if word[1] not in "uU" or ":" in arguments[number + 1]:
                found.add(number + 1)
        elif len(word) > 2 and word[1] in joined and is_password_of_option(word[1:]):
            found.add(number)
    return found
