"""What `prun validate` finds and prints, without typer, which takes longer than most files do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pipeline_runner.classes import dataclass
from pipeline_runner.errors import Problem, Problems, in_order


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def checked(files: Sequence[str], form: Format = Format.TEXT, profile: str | None = None) -> int:
    """Print what there is to say about these files, and give the exit code."""
    found = {file: findings(file, profile) for file in dict.fromkeys(files)}
    match form:
        case Format.TEXT:
            print(as_text(found), flush=True)
        case Format.JSON:
            print(as_json(found), flush=True)
        case Format.GITHUB:
            print(as_github(found), end="", flush=True)
    return 2 if any(finding.problems for finding in found.values()) else 0


@dataclass(frozen=True)
class Findings:
    """What there is to say about a file."""

    problems: Sequence[Problem]
    warnings: Sequence[str] = ()


def findings(file: str, profile: str | None = None) -> Findings:
    """What is wrong with a file: how it is written, what no plan can do, and what it names that is not there."""
    from pipeline_runner.plan.building import building

    with building():
        return _findings(file, profile)


def _findings(file: str, profile: str | None) -> Findings:
    from pipeline_runner.plan.check import cautions, everything
    from pipeline_runner.plan.make import attempt
    from pipeline_runner.plan.preflight.look import look, look_at
    from pipeline_runner.spec.build import load

    try:
        spec = load(file, profile=profile)
    except Problems as error:
        return Findings(everything(error))
    plan, problems = attempt(spec)
    looked = look_at(spec, {**spec.stages, **spec.hooks}) if plan is None else look(plan)
    warnings = [*spec.warnings, *(cautions(plan) if plan is not None else ()), *looked.warnings]
    return Findings(in_order([*problems, *looked.problems]), warnings)


def as_text(found: Mapping[str, Findings]) -> str:
    parts = []
    for file, finding in found.items():
        count = len(finding.problems)
        verdict = f"{count} problem{'s' if count > 1 else ''}" if count else "ok"
        parts += [*map(str, finding.problems), *finding.warnings, f"{file}: {verdict}"]
    return "\n".join(parts)


def as_json(found: Mapping[str, Findings]) -> str:
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
        for file, finding in found.items()
        for problem in finding.problems
    ]
    warnings = [warning for finding in found.values() for warning in finding.warnings]
    return json.dumps({"ok": not rows, "problems": rows, "warnings": warnings}, indent=2, ensure_ascii=False)


def as_github(found: Mapping[str, Findings]) -> str:
    """Workflow commands that GitHub shows beside the line."""
    lines = []
    for file, finding in found.items():
        for problem in finding.problems:
            mark = problem.mark
            place = {"file": mark.file if mark else file}
            if mark:
                place |= {"line": str(mark.line), "col": str(mark.column), "endColumn": str(mark.column + mark.width)}
            place["title"] = problem.code
            where = ",".join(f"{key}={_escape(value, ':,')}" for key, value in place.items())
            lines.append(f"::error {where}::{_escape(_message(problem))}\n")
        lines += [f"::warning file={_escape(file, ':,')}::{_escape(warning)}\n" for warning in finding.warnings]
    return "".join(lines)


def _message(problem: Problem) -> str:
    return "\n".join([problem.sentence(), *problem.advice()])


def _escape(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
