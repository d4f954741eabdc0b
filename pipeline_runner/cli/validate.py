"""`prun validate`: every problem of every file at once, for people, programs and GitHub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from pipeline_runner.errors import Problem, Problems


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def register(app: typer.Typer) -> None:
    app.command(name="validate")(validate)


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="The pipelines to check.", show_default=False)],
    form: Annotated[Format, typer.Option("--format", help="For people, programs or GitHub.")] = Format.TEXT,
    profile: Annotated[str | None, typer.Option("--profile", help="Check with this profile.")] = None,
) -> None:
    """Check pipelines and tell every problem, each with its line."""
    found = {file: problems_of(file, profile) for file in dict.fromkeys(files)}
    match form:
        case Format.TEXT:
            typer.echo(as_text(found))
        case Format.JSON:
            typer.echo(as_json(found))
        case Format.GITHUB:
            typer.echo(as_github(found), nl=False)
    if any(found.values()):
        raise typer.Exit(2)


def problems_of(file: str, profile: str | None = None) -> Sequence[Problem]:
    """What is wrong with a file: how it is written, and what no plan can do."""
    from pipeline_runner.plan.check import problems
    from pipeline_runner.spec.build import load

    try:
        spec = load(file, profile=profile)
    except Problems as error:
        return error.problems
    return problems(spec)


def as_text(found: Mapping[str, Sequence[Problem]]) -> str:
    parts = []
    for file, problems in found.items():
        if not problems:
            parts.append(f"{file}: ok")
            continue
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        parts += [*map(str, problems), f"{file}: {count}"]
    return "\n".join(parts)


def as_json(found: Mapping[str, Sequence[Problem]]) -> str:
    rows = [
        {
            "file": problem.mark.file if problem.mark else file,
            "line": problem.mark.line if problem.mark else None,
            "column": problem.mark.column if problem.mark else None,
            "width": problem.mark.width if problem.mark else None,
            "code": problem.code,
            "message": problem.sentence(),
            "advice": list(problem.advice()),
        }
        for file, problems in found.items()
        for problem in problems
    ]
    return json.dumps({"ok": not rows, "problems": rows}, indent=2, ensure_ascii=False)


def as_github(found: Mapping[str, Sequence[Problem]]) -> str:
    """Workflow commands that GitHub shows beside the line."""
    lines = []
    for file, problems in found.items():
        for problem in problems:
            mark = problem.mark
            place = {"file": mark.file if mark else file}
            if mark:
                place |= {"line": str(mark.line), "col": str(mark.column), "endColumn": str(mark.column + mark.width)}
            place["title"] = problem.code
            where = ",".join(f"{key}={_escape(value, ':,')}" for key, value in place.items())
            lines.append(f"::error {where}::{_escape(_message(problem))}\n")
    return "".join(lines)


def _message(problem: Problem) -> str:
    return "\n".join([problem.sentence(), *problem.advice()])


def _escape(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
