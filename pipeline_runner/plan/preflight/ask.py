"""Asks a process of its own about functions that reading a file does not tell: it imports them, this one never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from pipeline_runner.classes import dataclass
from pipeline_runner.plan.preflight.find import NoCall
from pipeline_runner.plan.preflight.signatures import Callee, Place, from_list
from pipeline_runner.spec.pipeline import InFile, Named
from pipeline_runner.typed import Any
from pipeline_runner.witness import contents, heard, saw, unsure

LIMIT_S = 20.0  # for all of them together; torch was measured to take 8 s on a cold disk

BOOT = """\
import json, sys
given = json.load(sys.stdin)
sys.path[:] = given["path"]
from pipeline_runner.worker.describe import main
main(given)
"""


@dataclass(frozen=True)
class Question:
    """A function, and the variables with which its stage would import it."""

    function: Named | InFile
    folder: str  # where it is found
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NotFound:
    """Python cannot find it."""

    why: str
    cure: str


@dataclass(frozen=True)
class NoPackage:
    """Its module is there, and a package that it imports is not."""

    package: str
    importer: str  # file:line


@dataclass(frozen=True)
class Raised:
    """Importing its module raises."""

    type: str
    lineage: tuple[str, ...]
    message: str
    place: Place | None


@dataclass(frozen=True)
class NoAnswer:
    """The time was up, or the process ended before it had answered."""

    why: str


Told = Callee | NoCall | NotFound | NoPackage | Raised | NoAnswer


def ask_python(
    questions: Sequence[Question], folder: str, env: Mapping[str, str], limit_s: float = LIMIT_S
) -> list[Told]:
    """What Python itself says to each question, from one process for all of them, which is in `folder`."""
    given = {
        "path": [path or os.getcwd() for path in sys.path],
        "questions": [
            {
                "kind": "file" if isinstance(function, InFile) else "module",
                "place": function.path if isinstance(function, InFile) else function.module,
                "attribute": function.attribute,
                "folder": question.folder,
                "env": dict(question.env),
            }
            for question in questions
            for function in [question.function]
        ],
    }
    said, why = _said(json.dumps(given), folder, env, limit_s)
    lines = [json.loads(line) for line in said.splitlines() if line.endswith("}")]
    _tell_witness(lines)
    answers = [_told(line) for line in lines if "modules" not in line]
    return [*answers, *(NoAnswer(why) for _ in questions[len(answers) :])]


def _tell_witness(lines: Sequence[Mapping[str, Any]]) -> None:
    """What was imported says the same as long as none of it is edited."""
    if not lines or "modules" not in lines[-1]:
        unsure()
    for file in lines[-1].get("modules", ()) if heard() and lines else ():
        saw("contents", file, answer=contents(file))


def _said(given: str, folder: str, env: Mapping[str, str], limit_s: float) -> tuple[str, str]:
    """What the process wrote, and why there may be no more of it."""
    from pipeline_runner.worker.limits import kill_tree

    command = [sys.executable, "-c", BOOT]
    where = folder if os.path.isdir(folder) else None
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=where, env={**os.environ, **env}, stdin=pipe, stdout=pipe, stderr=nowhere
    ) as process:
        try:
            said, _ = process.communicate(given.encode(), timeout=limit_s)
            return said.decode(), f"its process ended with {process.returncode} while it imported it"
        except subprocess.TimeoutExpired as late:
            return (late.stdout or b"").decode(), f"to import it took more than {limit_s:g} s"
        finally:
            if process.poll() is None:
                kill_tree(process.pid)


def _told(answer: Mapping[str, Any]) -> Told:
    if "not_found" in answer:
        return NotFound(answer["not_found"], answer["cure"])
    if "package" in answer:
        return NoPackage(answer["package"], answer["importer"])
    if "raised" in answer:
        at = answer["at"]
        return Raised(answer["raised"], tuple(answer["lineage"]), answer["message"], Place(*at) if at else None)
    place = Place(*answer["place"]) if answer["place"] else None
    return Callee(None if answer["parameters"] is None else from_list(answer["parameters"]), place)
