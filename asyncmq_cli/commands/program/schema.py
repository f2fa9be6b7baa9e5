"""`asyncmq schema`."""

from __future__ import annotations

from typing import Annotated

from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.options import argument
from asyncmq_cli.cli.session import Session
from asyncmq_cli.errors import UsageProblem, nearest

app = lone()


def _names() -> list[str]:
    from asyncmq_cli.output.json import program

    return [name for name, _ in program.schema_names()]


NameArg = Annotated[
    str | None,
    argument("[NAME]", "Name of the schema, such as jobs; without it, list them all.", autocompletion=_names),
]


@command(app, "schema", redis=False)
def schema(session: Session, name: NameArg = None) -> None:
    """Print the JSON Schema of a document that --json prints.

    Without NAME, list all schemas. A schema is printed with all schemas that it refers to. Does not connect
    to Redis.

    \b
    Examples:
      asyncmq schema
      asyncmq schema jobs > jobs.schema.json
    """
    from asyncmq_cli.output.json import program
    from asyncmq_cli.output.tables.columns import Column

    if name is None:
        rows = program.schema_names()
        if session.out.for_programs:
            session.out.document({"schemas": [{"name": name, "title": title} for name, title in rows]})
        else:
            columns: tuple[Column[tuple[str, str]], ...] = (
                Column("NAME", lambda row: row[0], "id"),
                Column("TITLE", lambda row: row[1]),
            )
            session.out.rows(rows, columns, now=0.0)
        return
    try:
        session.out.document(program.schema(name.removesuffix(".json")))
    except KeyError:
        near = nearest(name, _names())
        raise UsageProblem(
            f"there is no schema {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else "'asyncmq schema' lists them",
        ) from None
