"""Reads `if`: a value known before the run, a calculation over stages that is made during it, or `always`."""

from __future__ import annotations

import re

from pipeline_runner.classes import replace
from pipeline_runner.errors import Problem
from pipeline_runner.spec.pipeline import Condition
from pipeline_runner.spec.problems import BadCondition, ReferenceMisplaced
from pipeline_runner.spec.templates import Filler, is_broken
from pipeline_runner.syntax.expressions import ExpressionError, Text, as_text, parse
from pipeline_runner.syntax.reader import Node, Scalar

_ALWAYS = re.compile(r"always(\(\))?|\$\{\s*always(\(\))?\s*\}")  # GitHub Actions spells it with brackets
_STATUS = re.compile(r"\b(success|failure|cancelled)\s*\(\s*\)")
_INSTEAD = {
    "success": "leave it out: a stage runs when all that it depends on has ended well",
    "failure": "if: always  runs however its sources ended; on_failure  runs after a run that failed",
    "cancelled": "leave it out: after Ctrl-C nothing more is begun",
}
_OPERATORS = {"&&": "and", "||": "or"}


def condition(node: Node, filler: Filler, roots: tuple[str, ...], why: str) -> Condition | None:
    """The condition that is written. None: there is none, or something is wrong with it and was told."""
    if not isinstance(node, Scalar):
        cure = "write  if: ${params.x > 1}  or  if: always"
        filler.problems.append(BadCondition(mark=node.mark, what="`if` takes one value", cure=cure))
        return None
    text = node.value
    if not isinstance(text, str):
        return None if text is None else Condition(text, as_text(text))
    if _ALWAYS.fullmatch(text.strip()):
        return Condition(True, "always", always=True)
    if problem := _foreign(node, text):
        filler.problems.append(problem)
        return None
    before = len(filler.problems)
    read = filler.fill if "${" in text else filler.calculate
    value = read(node, "if", roots, why)
    filler.problems[before:] = map(_of_an_item, filler.problems[before:])
    return None if is_broken(value) else Condition(value, text.strip())


def _foreign(node: Scalar, text: str) -> Problem | None:
    """What other tools write in an `if`, and what would be true whatever it says."""
    if found := _STATUS.search(text):
        mark = node.inside(found.start(), len(found[0]))
        return BadCondition(mark=mark, what=f"there is no {found[1]}() here", cure=_INSTEAD[found[1]])
    if (at := text.find("${{")) >= 0:
        what = "a calculation stands in one pair of braces here"
        return BadCondition(mark=node.inside(at, 3), what=what, cure="write  ${params.x == 'y'}")
    for sign, word in _OPERATORS.items():
        if (at := text.find(sign)) >= 0:
            return BadCondition(mark=node.inside(at, 2), what=f'"{sign}" is no operator here', cure=f"write  {word}")
    try:
        around = isinstance(parse(text), Text)
    except ExpressionError:
        return None  # told when it is read
    what = "this is text with ${…} in it, and such text is true whatever it says"
    cure = "put all of it in one ${…}:  if: ${params.mode == 'full'}"
    return BadCondition(mark=node.mark, what=what, cure=cure) if around else None


def _of_an_item(problem: Problem) -> Problem:
    if isinstance(problem, ReferenceMisplaced) and problem.reference.startswith(("${item", "${index")):
        why = "a stage runs for all of its items, or for none"
        cure = "choose the items where they come from:  over: ${stages.x | selectattr('ok') | list}"
        return replace(problem, why=why, cure=cure)
    return problem
