"""`asyncmq doctor --self`: which program this is, and what it may do where."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from asyncmq_cli import __version__
from asyncmq_cli.cli import library
from asyncmq_cli.errors import RedisProblem

if TYPE_CHECKING:
    from pathlib import Path

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.rights import Rights

_ANY_QUEUE = "asyncmq-cli-self"
"""Rights are tried on the keys of a queue that is not there where none is named."""


_WORDS = {"asyncmq-cli": "this tool", "library": "the AsyncMQ library's own", "other": "another program"}


def report(session: Session, queue: str | None) -> None:
    """Print it all. Raises RedisProblem, behind what could be found out without Redis."""
    rights, problem = None, None
    try:
        rights = session.doctor.rights(queue or _ANY_QUEUE)
    except RedisProblem as exc:
        problem = exc
    document = _document(session, queue, rights, problem)
    with session.out.outcome():
        _print(session, document)
    if problem is not None:
        raise problem


def _print(session: Session, document: dict[str, Any]) -> None:
    # Not by session.detail, which asks Redis for the time.
    if session.out.for_programs:
        session.out.document(document)
    elif session.out.for_people:
        for line in _lines(document):
            session.out.line(line)
    else:
        session.out.pairs(document)


def _document(
    session: Session, queue: str | None, rights: Rights | None, problem: RedisProblem | None
) -> dict[str, Any]:
    return {
        "programs": [
            {"name": name, "path": str(path), "is": _whose(path)}
            for name in ("asyncmq", "asyncmq-cli")
            for path in library.programs_on_path(name)
        ],
        "library_importable": library.is_importable(),
        "versions": {
            "asyncmq_cli": __version__,
            "asyncmq": _version_of("asyncmq"),
            "redis_py": _version_of("redis"),
            "python": ".".join(map(str, sys.version_info[:3])),
            "server": None if rights is None else rights.server,
        },
        "python": sys.executable,
        "redis": {
            "url": session.config.shown_url,
            "from": session.config.url_from or "default",
            "user": None if rights is None else rights.user,
            "problem": None if problem is None else problem.message,
        },
        "rights": None
        if rights is None
        else {
            "queue": queue,
            "role": rights.role,
            "reading": _sorted_out(rights.reading),
            "changing": _sorted_out(rights.changing),
            "refused": rights.refused,
            "cannot": [{"command": name, "lacks": lacks} for name, lacks in rights.lacks.items() if lacks],
        },
    }


def _whose(path: Path) -> str:
    return "asyncmq-cli" if library.is_ours(path) else "library" if library.is_librarys(path) else "other"


def _version_of(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _sorted_out(taken: dict[str, bool]) -> dict[str, list[str]]:
    return {
        "has": [name for name, is_taken in taken.items() if is_taken],
        "lacks": [name for name, is_taken in taken.items() if not is_taken],
    }


def _lines(document: dict[str, Any]) -> Iterator[str]:
    from asyncmq_cli.output.text.escape import escape

    yield from map(escape, _sentences(document))


def _sentences(document: dict[str, Any]) -> Iterator[str]:
    first: set[str] = set()
    for program in document["programs"]:
        later = " (behind the one above)" if program["name"] in first else ""
        first.add(program["name"])
        what = _WORDS[program["is"]]
        yield f"{program['name']:<12} {program['path']}: {what}{later}"
    yield f"library      {'can' if document['library_importable'] else 'cannot'} be imported here"
    for name, version in document["versions"].items():
        yield f"{name.replace('_', '-'):<12} {version or '-'}"
    redis = document["redis"]
    yield f"redis        {redis['url']} (from {redis['from']})"
    yield f"user         {redis['user'] or '-'}"
    if document["rights"]:
        yield f"role         {document['rights']['role'] or 'none: less than a viewer'}"
    for name in ("reading", "changing") if document["rights"] else ():
        lacks = document["rights"][name]["lacks"]
        yield f"{name:<12} {'lacks ' + ' '.join(f'+{one}' for one in lacks) if lacks else 'every right'}"
    for one in document["rights"]["cannot"] if document["rights"] else ():
        yield f"cannot       {one['command']}: lacks {' '.join(f'+{name}' for name in one['lacks'])}"
    if document["rights"] and document["rights"]["refused"]:
        yield f"refused      {document['rights']['refused']}"
