"""`--where EXPR`: a small typed language for filtering jobs.

An expression is parsed by lark, checked against the types of the known fields, and compiled to a function of
a job. A field that the language does not define is read from the job's record. A missing value is null.
Values of different types are never equal, and have no order.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem, nearest
from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.services.jobs.where_fields import (
    COMPARISONS,
    FIELDS,
    OF_RECORD,
    Value,
    are_equal,
    field_names,
    holds_part,
    kind_of,
    member_of,
    value_at,
)

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job

GRAMMAR = r"""
?start: any
?any: all (_OR all)*
?all: no (_AND no)*
?no: _NOT no -> negated
   | _comparison
   | "(" any ")"
_comparison: compared | among | among_no | held
compared: _operand OPERATOR _operand
among: _operand _IN list
among_no: _operand _NOT _IN list
held: path
_operand: path | literal
path: NAME ("." KEY | "[" INDEX "]" | "[" TEXT "]")*
?literal: TEXT | DATE | DURATION | NUMBER | CONSTANT
list: "[" [literal ("," literal)*] "]"
_OR: "or"
_AND: "and"
_NOT: "not"
_IN: "in"
CONSTANT.5: /(true|false|null)(?![\w-])/
OPERATOR: "==" | "!=" | "<=" | ">=" | "<" | ">" | "=~" | "!~" | /contains(?![\w-])/
NAME: /[A-Za-z_][A-Za-z0-9_-]*/
KEY: /[A-Za-z0-9_-]+/
INDEX: /-?[0-9]{1,9}/
TEXT: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
DATE.4: /[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?/
DURATION.3: /([0-9]+(\.[0-9]+)?(?!e[+-]?[0-9])[A-Za-z]+)+(?![\w.])/
NUMBER.2: /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
%ignore /\s+/
"""


class WhereProblem(UsageProblem):
    """The expression is invalid. `excerpt` has two lines that point at the wrong position."""

    def __init__(self, text: str, place: int, message: str, hint: str | None = None) -> None:
        start = max(0, place - 50)
        shown = " ".join(text[start : place + 30].splitlines())
        super().__init__(
            f"--where: {message}",
            hint=hint or "docs/where.md has the language",
            details={"column": place + 1},
        )
        self.excerpt = (f"  {shown}", f"  {' ' * (place - start)}^")


_NEARLY = 0.8
_DEEPEST = 100


class Expression(Struct, frozen=True):
    """A compiled expression. `needle` is a text that the JSON of every matching job contains, or "". `states`
    are the states that a matching job can have, or None for any."""

    holds: Callable[[Job, float], bool]
    needle: str = ""
    states: frozenset[str] | None = None
    slips: Mapping[str, str] = field(default_factory=dict)
    """Possible typos: names that are read as fields of the record, each with a similar field of the
    language."""


@functools.lru_cache(maxsize=16)
def compiled(text: str) -> Expression:
    """Parse, check and compile an expression. Raises WhereProblem."""
    import lark

    try:
        compiler = _Compiler(text)
        return replace(compiler.expression(_parser().parse(text)), slips=compiler.slips)
    except lark.UnexpectedInput as exc:
        _refuse(text, exc)


@functools.cache
def _parser() -> Any:
    import lark

    return lark.Lark(GRAMMAR, parser="lalr", propagate_positions=True)


def _refuse(text: str, exc: Any) -> NoReturn:
    place = exc.pos_in_stream
    token = getattr(exc, "token", None)
    if place is None or place < 0 or (token is not None and token.type == "$END"):
        raise WhereProblem(text, len(text.rstrip()), "the expression ends too early") from None
    rest = text[place:]
    hint = None
    if re.match(r"=(?![=~])", rest):
        hint = "write == to compare"
    elif rest[:2] in ("&&", "||"):
        hint = f"write {'and' if rest[0] == '&' else 'or'}"
    elif rest[0] == "!":
        hint = "write not"
    elif rest[0] in "\"'":
        hint = "the text has no end" if token is None else None
    word = re.match(r"[\w.]+|.", rest, re.DOTALL)
    raise WhereProblem(text, place, f"did not expect {word[0] if word else rest!r} here", hint) from None


class _Operand(Struct, frozen=True):
    """A path or a literal: its position in the expression, the type of its values if known, and how to read
    it."""

    place: int
    kind: str | None
    read: Value
    literal: Any = None
    is_literal: bool = False
    path: tuple[str | int, ...] = ()
    is_stored: bool = False


class _Compiler:
    def __init__(self, text: str) -> None:
        self._text = text
        self.slips: dict[str, str] = {}

    def expression(self, tree: Any, depth: int = 0) -> Expression:
        name, parts = str(tree.data), tree.children
        if depth > _DEEPEST:
            self._fail(tree.meta.start_pos, "the expression is nested too deeply")
        if name in ("any", "all"):
            return _joined(name, [self.expression(part, depth + 1) for part in parts])
        if name == "negated":
            inner = self.expression(parts[0], depth + 1).holds
            return Expression(lambda job, now: not inner(job, now))
        if name == "held":
            read = self._operand(parts[0]).read
            return Expression(lambda job, now: bool(read(job, now)))
        if name == "compared":
            return self._compared(self._operand(parts[0]), parts[1], self._operand(parts[2]))
        return self._among(self._operand(parts[0]), parts[1], is_in=name == "among")

    def _operand(self, part: Any) -> _Operand:
        if not hasattr(part, "data"):
            value = self._literal(part)
            kind = kind_of(value)
            return _Operand(part.start_pos, kind, lambda job, now: value, value, is_literal=True)
        first, *rest = part.children
        steps = [self._step(token) for token in rest]
        field = FIELDS.get(str(first))
        if field is not None:
            if steps:
                self._fail(rest[0].start_pos, f"{first} is a {field.kind}, it has no parts")
            return _Operand(first.start_pos, field.kind, field.read, is_stored=field.is_stored)
        name = str(first)
        path = tuple(steps)
        near = [] if name in OF_RECORD else nearest(name, field_names(), most=1, cutoff=_NEARLY)
        if near:
            self.slips[name] = near[0]
        # The result is also stored outside the record.
        return _Operand(
            first.start_pos,
            None,
            lambda job, now: value_at(member_of(job, name), path),
            path=(name, *path),
            is_stored=name != "result",
        )

    @staticmethod
    def _step(token: Any) -> str | int:
        if token.type == "INDEX":
            return int(token)
        return _unquoted(token) if token.type == "TEXT" else str(token)

    def _literal(self, token: Any) -> Any:
        if token.type == "TEXT":
            try:
                return _unquoted(token)
            except ValueError:
                self._fail(token.start_pos, "the text has an escape that JSON does not know")
        if token.type == "CONSTANT":
            return {"true": True, "false": False, "null": None}[str(token)]
        if token.type == "NUMBER":
            return json.loads(token) if not re.match(r"-?0[0-9]", token) else float(token)
        try:
            if token.type == "DATE":
                return datetime.fromisoformat(token.replace("Z", "+00:00")).timestamp()
            return seconds(str(token))
        except (ValueError, OverflowError):
            self._fail(token.start_pos, f"{str(token)!r} is not a date")
        except UsageProblem as exc:
            self._fail(token.start_pos, exc.message, exc.hint)

    def _compared(self, left: _Operand, operator: Any, right: _Operand) -> Expression:
        sign = str(operator)
        if sign in ("=~", "!~"):
            return self._matched(left, right, is_match=sign == "=~")
        self._refuse_bare_text(left, right)
        if sign == "contains":
            needle = right.literal if isinstance(right.literal, str) and left.is_stored else ""
            return Expression(lambda job, now: holds_part(left.read(job, now), right.read(job, now)), needle)
        self._check(left, right, sign)
        compare = COMPARISONS[sign]
        expression = Expression(lambda job, now: compare(left.read(job, now), right.read(job, now)))
        return self._narrowed(expression, left, [right]) if sign == "==" else expression

    def _refuse_bare_text(self, left: _Operand, right: _Operand) -> None:
        """Refuse a text without quotes, as in `task != app.send`: read as a field, it is null, so all jobs
        would match."""
        if left.is_literal or not right.path or right.path[0] in OF_RECORD:
            return
        word = self._text[right.place :].split()[0].rstrip(")")
        self._fail(right.place, f"{word} is not a field", f'write "{word}" for a text')

    def _matched(self, left: _Operand, right: _Operand, *, is_match: bool) -> Expression:
        if not isinstance(right.literal, str):
            self._fail(right.place, "a pattern must be a string", "such as =~ '^mail'")
        try:
            pattern = re.compile(right.literal)
        except (re.error, RecursionError) as exc:
            self._fail(right.place, f"not a regular expression: {exc}")
        self._check(left, right, "=~")

        def holds(job: Job, now: float) -> bool:
            value = left.read(job, now)
            return (isinstance(value, str) and pattern.search(value) is not None) is is_match

        return Expression(holds)

    def _among(self, left: _Operand, values: Any, *, is_in: bool) -> Expression:
        members = [self._operand(token) for token in values.children if token is not None]
        for member in members:
            self._check(left, member, "in")
        literals = [member.literal for member in members]

        def holds(job: Job, now: float) -> bool:
            value = left.read(job, now)
            return any(are_equal(value, literal) for literal in literals) is is_in

        expression = Expression(holds)
        return self._narrowed(expression, left, members) if is_in else expression

    def _narrowed(self, expression: Expression, left: _Operand, members: Sequence[_Operand]) -> Expression:
        """The same expression, with the `needle` and `states` that follow from a comparison with these
        members."""
        if left.is_literal and len(members) == 1:
            left, members = members[0], [left]
        literals = [member.literal for member in members]
        if left.read is FIELDS["state"].read and all(member.is_literal for member in members):
            return Expression(expression.holds, states=frozenset(map(str, literals)))
        if left.is_stored and len(literals) == 1 and isinstance(literals[0], str):
            return Expression(expression.holds, needle=literals[0])
        return expression

    def _check(self, left: _Operand, right: _Operand, sign: str) -> None:
        """Refuse a comparison that no job can match."""
        for one, other in ((left, right), (right, left)):
            if one.is_literal or one.kind is None or not other.is_literal or other.literal is None:
                continue
            name = self._text[one.place :].split()[0].rstrip("=!<>~")
            if one.kind != other.kind:
                hint = "write 2h for a duration, 2026-03-01 for a date" if other.kind == "text" else None
                self._fail(other.place, f"{name} is a {one.kind}, and this is a {other.kind}", hint)
            if one.read is FIELDS["state"].read and sign != "=~" and other.literal not in JOB_STATES:
                self._fail(other.place, "no such state", f"one of {', '.join(JOB_STATES)}")
        if sign in ("<", "<=", ">", ">="):
            for each in (left, right):
                if each.is_literal and each.kind not in ("number", "text"):
                    self._fail(each.place, f"a {each.kind} has no order")

    def _fail(self, place: int, message: str, hint: str | None = None) -> NoReturn:
        raise WhereProblem(self._text, place, message, hint) from None


def _joined(name: str, parts: Sequence[Expression]) -> Expression:
    tests = [part.holds for part in parts]
    known = [part.states for part in parts if part.states is not None]
    if name == "any":
        states = frozenset[str]().union(*known) if len(known) == len(parts) else None
        return Expression(lambda job, now: any(test(job, now) for test in tests), states=states)
    return Expression(
        lambda job, now: all(test(job, now) for test in tests),
        max((part.needle for part in parts), key=len),
        functools.reduce(frozenset.intersection, known) if known else None,
    )


def _unquoted(token: str) -> str:
    if token[0] == '"':
        found = json.loads(token, strict=False)
    else:
        # In a single-quoted text, unescape single quotes and escape double ones, to make it a JSON string.
        inner = re.sub(r"\\'|\"", lambda sign: "'" if sign[0] == "\\'" else '\\"', token[1:-1])
        found = json.loads(f'"{inner}"', strict=False)
    return str(found)
