"""`asyncmq doctor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncmq_cli import __version__
from asyncmq_cli.cli import library
from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import of_overflow, report_change
from asyncmq_cli.cli.options import STDIN_HELP, argument, option
from asyncmq_cli.cli.params import DryRunOption, ReasonOption, YesOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import queue_names
from asyncmq_cli.errors import RedisProblem, UsageProblem, command_line, did_you_mean, nearest
from asyncmq_cli.models.values import counted

if TYPE_CHECKING:
    from pathlib import Path

    from asyncmq_cli.models.audit.actions import Rights
    from asyncmq_cli.models.findings import Diagnosis, Finding, RepairReport


app = lone()

AnyQueuesArg = Annotated[
    list[str] | None,
    argument(
        "[QUEUE...]",
        f"Names of queues, all by default; {STDIN_HELP}. A damage code works like --code, unless a queue "
        "has that name.",
    ),
]
RepairOption = Annotated[bool, typer.Option("--repair", help="Repair what can be repaired without guessing.")]
SelfOption = Annotated[
    bool,
    typer.Option(
        "--self",
        help="Check this installation instead: which program 'asyncmq' is, versions, Redis, rights (on one "
        "QUEUE, if given).",
    ),
]
CodeOption = Annotated[
    list[str] | None,
    option("--code", "CODE", "Find (and repair) only this damage; may be repeated."),
]


@command(app, "doctor", "ndjson")
def doctor(
    session: Session,
    queues: AnyQueuesArg = None,
    repair: RepairOption = False,
    code: CodeOption = None,
    self_: SelfOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> int:
    """Find and repair what crashes and bugs leave behind: lost jobs, leftovers, duplicates.

    Nothing is changed without --repair. The exit status is 0 if nothing is wrong, else 1.

    \b
    Examples:
      asyncmq doctor
      asyncmq doctor emails --json | jq -r '.findings[] | [.code, .count] | @tsv'
      asyncmq doctor emails --repair --dry-run
      asyncmq doctor --repair --code waiting_unlisted --code active_lost
      asyncmq doctor --self
    """
    if self_:
        return _check_self(
            session, queues or [], others=repair or dry_run or yes or bool(code) or reason is not None
        )
    names, codes = _queues_and_codes(session, queues or [], _check_codes(code or []))
    if not repair:
        if dry_run or yes or reason is not None:
            raise UsageProblem("--dry-run, --yes and --reason need --repair")
        return _report(session, session.doctor.diagnose(names, codes), names, codes)
    if session.out.format == "ndjson":
        raise UsageProblem("--ndjson lists findings; --repair reports with --json")
    if not dry_run and not yes:
        _ask(session, session.doctor.diagnose(names, codes), codes)
    report = session.repairs.repair(names, codes, reason=reason, dry_run=dry_run)
    report_change(session, report, brief=session.out.format != "json")
    with session.out.outcome():
        _print_left(session, report, names)
    return 1 if report.left else 0


def _check_self(session: Session, queues: list[str], *, others: bool) -> int:
    if others or len(queues) > 1 or session.out.format == "ndjson":
        raise UsageProblem("--self takes one QUEUE and --json, and nothing else")
    _report_self(session, queues[0] if queues else None)
    return 0


def _report(session: Session, diagnosis: Diagnosis, names: list[str], codes: list[str]) -> int:
    from asyncmq_cli.output.text import checks

    with session.out.outcome(lambda: checks.diagnosis_summary(diagnosis)):
        _print(session, diagnosis, names, codes)
    return 1 if diagnosis.findings else 0


def _print(session: Session, diagnosis: Diagnosis, names: list[str], codes: list[str]) -> None:
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.text import checks

    if session.out.format == "json":
        session.out.document(documents.diagnosis(diagnosis))
    elif session.out.format == "ndjson":
        session.out.documents(documents.finding(one) for one in diagnosis.findings)
    else:
        _table(session, diagnosis.findings)
        session.out.footer(checks.diagnosis_summary(diagnosis))
        if any(session.repairs.makes(one.code, codes) for one in diagnosis.findings):
            named = [word for code in codes for word in ("--code", code)]
            line = command_line("doctor", *names, "--repair", *named, "--dry-run")
            session.out.footer(f"{line} shows what would be repaired")
        if not diagnosis.findings and session.out.for_people:
            _point_to_check(session, names)
        if not codes:
            for line in _by_code(session, diagnosis.findings, names):
                session.out.footer(line)


def _point_to_check(session: Session, names: list[str]) -> None:
    """Print the result of `check` if it is not OK. Undamaged queues can still have problems, such as a
    backlog without a worker, which the doctor does not report."""
    from asyncmq_cli.output.text import checks

    report = session.checks.check(names, {})
    if report.state != "ok":
        line = command_line("check", *(word for name in names for word in ("--queue", name)))
        session.out.footer(f"but {line} is {report.state}: {checks.summary(report)}")


def _table(session: Session, findings: Sequence[Finding]) -> None:
    from asyncmq_cli.output.text import checks

    if not findings:
        return
    columns = checks.columns(for_people=session.out.for_people)
    session.out.rows(findings, columns, now=0.0)
    if session.out.for_people:
        for line in checks.meanings(findings, session.out.width):
            session.out.line(line)
        session.out.line()


def _ask(session: Session, diagnosis: Diagnosis, codes: list[str]) -> None:
    from asyncmq_cli.output.text import checks

    meant = [one for one in diagnosis.findings if session.repairs.makes(one.code, codes)]
    total = sum(one.count for one in meant)
    if total:
        what = counted(total, "repair")
        remarks = of_overflow(session, total)
        lines = checks.lines_to_ask(meant)
        confirm.ask_about(session, lines, f"Make {what}?", f"make {what}", remarks=remarks)


def _by_code(session: Session, findings: Sequence[Finding], names: list[str]) -> Iterator[str]:
    """One line for each kind of damage that is repaired only if its code is given: the command that repairs
    it."""
    for code in dict.fromkeys(one.code for one in findings if one.repairable):
        if not session.repairs.makes(code, ()):
            line = command_line("doctor", *names, "--repair", "--code", code)
            yield f"{line} repairs it; the job may run twice"


def _print_left(session: Session, report: RepairReport, names: list[str]) -> None:
    """Print the findings that were not repaired. A JSON report already contains them."""
    from asyncmq_cli.output.text import checks

    if session.out.for_people and report.left:
        session.out.line("\nLeft as it is:")
        _table(session, report.left)
        for line in _by_code(session, report.left, names):
            session.out.footer(line)
    elif not session.out.for_programs:
        for one in report.left:
            session.out.remark("warning", checks.remark(one))
        for line in _by_code(session, report.left, names):
            session.out.remark("hint", line)


def _queues_and_codes(session: Session, words: list[str], codes: list[str]) -> tuple[list[str], list[str]]:
    """The queues, and the codes: `codes` and each word that is a damage code but no queue. Standard input has
    only names of queues. Raises UsageProblem if it is empty, because no names would mean all queues."""
    from asyncmq_cli.services.doctor.catalogue import BY_CODE

    meant = [word for word in words if word in BY_CODE and not session.queues.exists(word)]
    given = [word for word in words if word not in meant]
    names = queue_names(session, given, may_be_none=False)
    if given and not names:
        raise UsageProblem(
            "standard input has no names of queues", hint="'asyncmq doctor' without a name checks all queues"
        )
    return names, [*codes, *meant]


def _check_codes(codes: list[str]) -> list[str]:
    """The codes. Raises UsageProblem for an unknown code; the hint names the nearest one."""
    from asyncmq_cli.services.doctor.catalogue import BY_CODE

    for code in codes:
        if code not in BY_CODE:
            raise UsageProblem(
                f"unknown code {code!r}",
                hint=did_you_mean(nearest(code, BY_CODE, most=1)) or f"choose from {', '.join(BY_CODE)}",
            )
    return codes


_ANY_QUEUE = "asyncmq-cli-self"
"""If no queue is given, rights are tested on the keys of this queue, which does not exist."""


_WORDS = {"asyncmq-cli": "this tool", "library": "the AsyncMQ library's own", "other": "another program"}


def _report_self(session: Session, queue: str | None) -> None:
    """Print the report. If Redis cannot be read, print the rest and then raise RedisProblem."""
    rights, problem = None, None
    try:
        rights = session.doctor.rights(queue or _ANY_QUEUE)
    except RedisProblem as exc:
        problem = exc
    document = _document(session, queue, rights, problem)
    with session.out.outcome():
        _print_own(session, document)
    if problem is not None:
        raise problem


def _print_own(session: Session, document: dict[str, Any]) -> None:
    from asyncmq_cli.output.text.escape import escape

    # session.detail would ask Redis for the time, and Redis may be unreachable.
    if session.out.for_programs:
        session.out.document(document)
    elif session.out.for_people:
        for line in _sentences(document):
            session.out.line(escape(line))
    else:
        session.out.pairs(document)


def _document(
    session: Session, queue: str | None, rights: Rights | None, problem: RedisProblem | None
) -> dict[str, Any]:
    from asyncmq_cli.output.json import documents

    versions = documents.version(__version__)
    return {
        "programs": [
            {"name": name, "path": str(path), "is": _whose(path)}
            for name in ("asyncmq", "asyncmq-cli")
            for path in library.programs_on_path(name)
        ],
        "library_importable": library.is_importable(),
        "versions": {
            "asyncmq_cli": versions["version"],
            "asyncmq": versions["asyncmq"],
            "redis_py": versions["redis"],
            "python": versions["python"],
            "server": None if rights is None else rights.server,
        },
        "python": sys.executable,
        "redis": {
            "url": session.config.shown_url,
            "from": session.config.url_from or "default",
            "user": None if rights is None else rights.user,
            "problem": None if problem is None else problem.message,
            "maxmemory": None if rights is None else rights.maxmemory,
            "maxmemory_policy": None if rights is None else rights.maxmemory_policy,
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


def _sorted_out(taken: dict[str, bool]) -> dict[str, list[str]]:
    return {
        "has": [name for name, is_taken in taken.items() if is_taken],
        "lacks": [name for name, is_taken in taken.items() if not is_taken],
    }


def _sentences(document: dict[str, Any]) -> Iterator[str]:
    first: set[str] = set()
    for program in document["programs"]:
        later = " (hidden by the one above)" if program["name"] in first else ""
        first.add(program["name"])
        what = _WORDS[program["is"]]
        yield f"{program['name']:<12} {program['path']}: {what}{later}"
    yield f"library      {'can' if document['library_importable'] else 'cannot'} be imported here"
    for name, version in document["versions"].items():
        yield f"{name.replace('_', '-'):<12} {version or '-'}"
    redis = document["redis"]
    yield f"redis        {redis['url']} (from {redis['from']})"
    if redis["maxmemory"] and redis["maxmemory_policy"] not in (None, "noeviction"):
        # Sidekiq, BullMQ and others warn of it too: jobs vanish, and nothing says so.
        lost = "keys with a time to live" if redis["maxmemory_policy"].startswith("volatile-") else "jobs"
        yield f"eviction     {redis['maxmemory_policy']}: a full Redis removes {lost}; noeviction does not"
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
