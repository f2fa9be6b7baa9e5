"""The same change of several definitions, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AmbiguousRepeatable
from asyncmq_cli.models.changes import ChangeResult
from asyncmq_cli.models.repeatables import RepeatableChange

if TYPE_CHECKING:
    from asyncmq_cli.services.repeatables import Address


def each(
    addresses: Sequence[Address], change: Callable[[Address], RepeatableChange]
) -> list[RepeatableChange]:
    """A report for each, up to the one that was interrupted. An address that may mean several is
    raised where it is the only one; among others it is one that failed."""
    if len(addresses) == 1:
        return [change(addresses[0])]
    reports: list[RepeatableChange] = []
    for address in dict.fromkeys(addresses):
        try:
            reports.append(change(address))
        except AmbiguousRepeatable as exc:
            refused = ChangeResult(address.queue, address.text, error=exc)
            reports.append(RepeatableChange("", address.queue, dry_run=False, results=(refused,)))
        if reports[-1].interrupted is not None:
            break
    return reports


def together(
    action: str, queue: str, reports: Iterable[RepeatableChange], *, dry_run: bool
) -> RepeatableChange:
    """One report: that of the definition itself where it is only one, and else of none alone."""
    made = list(reports)
    if len(made) == 1:
        return made[0]
    return RepeatableChange(
        action,
        queue,
        dry_run,
        results=tuple(result for report in made for result in report.results),
        interrupted=made[-1].interrupted if made else None,
    )
