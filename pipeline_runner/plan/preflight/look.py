"""Looks at everything that a pipeline names before it starts: functions, files, and what is sent to workers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from pipeline_runner.axes import Style
from pipeline_runner.errors import Problem, Problems, in_order
from pipeline_runner.marks import Mark
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.preflight import ask, find, problems, signatures
from pipeline_runner.plan.preflight.files import look_at_files
from pipeline_runner.plan.preflight.imports import doubtful
from pipeline_runner.plan.preflight.modules import Finder, Unreadable
from pipeline_runner.plan.preflight.shapes import given, shapes
from pipeline_runner.plan.preflight.signatures import Callee, Place, Shape, misfits
from pipeline_runner.plan.preflight.travel import look_at_what_travels
from pipeline_runner.plan.preflight.written import lost, place_of, sources
from pipeline_runner.plan.readings import readings
from pipeline_runner.plan.skips import is_off
from pipeline_runner.spec.pipeline import Generate, Given, InFile, Named, PipelineSpec, StageName, StageSpec
from pipeline_runner.worker.functions import path_with

Ask = Callable[[Sequence[ask.Question], str, Mapping[str, str]], list[ask.Told]]
Answer = find.Answer | ask.Told


@dataclass(frozen=True)
class Looked:
    """What was found: what keeps the pipeline from running, and what may."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def look(plan: Plan, *, python: Ask | None = ask.ask) -> Looked:
    """Look at all that a plan names. `python` answers what reading does not; None: that stays unknown."""
    planned = {**plan.stages, **plan.hooks}
    styles = {name: stage.choice.style for name, stage in planned.items()}
    stages = {name: stage.spec for name, stage in planned.items() if name not in plan.skipped}
    return look_at(plan.pipeline, stages, styles, python=python)


def look_at(
    pipeline: PipelineSpec,
    stages: Mapping[StageName, StageSpec],
    styles: Mapping[StageName, Style] | None = None,
    *,
    python: Ask | None = ask.ask,
) -> Looked:
    """The same for stages that are not planned: they are then read as they mostly are.

    What is switched off may name what there is only where it is switched on.
    """
    stages = {name: stage for name, stage in stages.items() if not is_off(stage)}
    told = _Told()
    known = styles or {}
    uses = [use for name, stage in stages.items() for use in _uses(pipeline, stage, known.get(name) or _usual(stage))]
    answers = _Answers(pipeline, python).of(uses)
    for use in uses:
        told.of(use, answers[use.function, use.env])
    for stage in stages.values():
        found, warnings = look_at_files(pipeline, stage, stages)
        told.problems += [*found, *look_at_what_travels(stage)]
        told.warnings += warnings
    return Looked(tuple(told.problems), tuple(told.warnings))


def refuse(plan: Plan) -> tuple[str, ...]:
    """The warnings of a plan that may run. Errors: Problems, all of them together."""
    looked = look(plan)
    if looked.problems:
        raise Problems(in_order(looked.problems))
    return looked.warnings


def _usual(stage: StageSpec) -> Style:
    return next(iter(readings(stage)))


# ------------------------------------------------------------------------------------------------ functions


@dataclass(frozen=True)
class _Use:
    """A place in which a stage names a function."""

    stage: StageSpec
    function: Named | InFile | Given
    written: signatures.Path
    shapes: tuple[Shape, ...]
    env: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> Mark | None:
        return place_of(self.stage, self.written, value=True)


def _uses(pipeline: PipelineSpec, stage: StageSpec, style: Style) -> Iterator[_Use]:
    env = tuple(sorted({**pipeline.env, **stage.env}.items()))
    if isinstance(stage.function, Named | InFile | Given):
        known = () if lost(stage, "over", "with") else tuple(shapes(stage, style, pipeline.folder))
        yield _Use(stage, stage.function, ("call",), known, env)
    if isinstance(stage.setup, Named | InFile | Given):
        shape = given(stage.setup_with, ("setup_with",))
        yield _Use(stage, stage.setup, ("setup",), () if lost(stage, "setup_with") else (shape,), env)
    for source, written in sources(stage.over):
        if isinstance(source, Generate):
            shape = given(source.keywords, (*written, "with"))
            yield _Use(stage, source.function, (*written, "generate"), (shape,), ())


@dataclass(frozen=True)
class _Answers:
    """Finds each function once, and asks Python once about all that reading does not tell."""

    pipeline: PipelineSpec
    python: Ask | None

    def of(self, uses: Sequence[_Use]) -> dict[tuple[object, object], Answer]:
        importlib.invalidate_caches()
        folder = os.path.abspath(self.pipeline.folder)
        finder = Finder(folder, tuple(path_with(folder)))
        answers: dict[tuple[object, object], Answer] = {}
        open_: dict[tuple[object, object], ask.Question] = {}
        for use in uses:
            key = (use.function, use.env)
            if key in answers or key in open_:
                continue
            if isinstance(use.function, Given):
                answers[key] = find.inspected(use.function.function)
                continue
            answer = find.find(use.function, finder)
            if answer is None or (isinstance(answer, Callee) and self._doubtful(use.function, finder)):
                open_[key] = ask.Question(use.function, use.env)
            if answer is not None:
                answers[key] = answer
        if open_ and self.python is not None:
            told = self.python(tuple(open_.values()), folder, self.pipeline.env)
            answers.update(zip(open_, told, strict=True))
        return {key: answers.get(key, Callee(None)) for key in (*answers, *open_)}

    def _doubtful(self, function: Named | InFile, finder: Finder) -> bool:
        if isinstance(function, InFile):
            return doubtful(os.path.realpath(os.path.join(finder.folder, function.path)), finder)
        file = finder.file(function.module)
        return file not in ("missing", "unread") and file.startswith(finder.folder + os.sep) and doubtful(file, finder)


# A name that is wrong. What else an import raises may be otherwise when the stage begins: a file that is not there yet.
_TYPOS = ("ImportError", "NameError", "AttributeError", "SyntaxError")


@dataclass
class _Told:
    """Gathers what there is to say."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def of(self, use: _Use, answer: Answer) -> None:
        match answer:
            case Callee():
                self.problems += _misfits(use, answer)
            case ask.NoAnswer(why):
                self._warn(use, why)
            case ask.Raised(lineage=lineage, place=place) if not set(lineage) & set(_TYPOS):
                at = f" at {_shown(place)}" if place else ""
                self._warn(use, f"importing it raises {answer.type}: {answer.message}{at}")
            case _:
                self.problems.append(_absent(use, answer))

    def _warn(self, use: _Use, why: str) -> None:
        where = f"{use.mark}: " if use.mark else ""
        self.warnings.append(f'{where}"{use.function}" could not be looked at before the run: {why}')


def _absent(use: _Use, answer: Any) -> Problem:
    """The problem of a function that is not there."""
    mark, name = use.mark, str(use.function)
    match answer:
        case find.NoFile(path, known):
            return problems.NoSuchFile(mark=mark, path=path, known=known)
        case find.NoModule(module, known):
            return problems.NoSuchModule(mark=mark, module=module, known=known)
        case find.NoName(owner, missing, known, near, instead):
            return problems.NoSuchName(mark=mark, owner=owner, name=missing, known=known, near=near, instead=instead)
        case find.NoCall(kind, place):
            return problems.NotCallable(mark=mark, name=_name(use.function), kind=kind, place=place)
        case Unreadable(file, number, text, why):
            return problems.NotPython(mark=mark, file=file, line=number, text=text, why=why)
        case ask.NotFound(why, cure):
            return problems.CannotImport(mark=mark, function=name, why=why, cure=cure)
        case ask.NoPackage(package, importer):
            why = f'there is no module "{package}", which it imports'
            file, _, line = importer.rpartition(":")
            at = f"{find.shown(file)}:{line}"
            return problems.CannotImport(mark=mark, function=name, why=why, place=at, cure=_INSTALL)
        case ask.Raised():
            at = _shown(answer.place) if answer.place else ""
            why = f"{answer.type}: {answer.message}"
            return problems.CannotImport(mark=mark, function=name, why=why, place=at)
    assert_never(answer)


_INSTALL = "install what has it, or correct its name"


def _shown(place: Place) -> str:
    return str(Place(find.shown(place.file), place.line, place.text))


def _name(function: Named | InFile | Given) -> str:
    return str(function) if isinstance(function, Given) else function.attribute


MOST = 3  # things to tell about one use


def _misfits(use: _Use, callee: Callee) -> list[Problem]:
    if callee.signature is None:
        return []
    found: dict[tuple[type, str], Problem] = {}
    for shape in use.shapes:
        for misfit in misfits(callee.signature, shape):
            problem = _misfit(use, callee, shape, misfit)
            found.setdefault((type(problem), str(problem.mark)), problem)
    return list(found.values())[:MOST]


def _misfit(use: _Use, callee: Callee, shape: Shape, misfit: signatures.Misfit) -> Problem:
    place = callee.place and Place(find.shown(callee.place.file), callee.place.line, callee.place.text)
    common: Any = {"stage": use.stage.name, "function": _name(use.function), "call": str(shape), "place": place}
    match misfit:
        case signatures.UnknownKeyword(name, known):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.UnknownArgument(mark=mark, name=name, known=known, **common)
        case signatures.OnlyByPosition(name):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.ArgumentByPosition(mark=mark, name=name, **common)
        case signatures.Twice(name, position):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.ArgumentTwice(mark=mark, name=name, position=position, **common)
        case signatures.TooMany(most):
            mark = place_of(use.stage, shape.written)
            return problems.TooManyArguments(mark=mark, given=len(shape.positions), most=most, **common)
        case signatures.Missing(names):
            mark = place_of(use.stage, shape.written) if len(shape.written) > 1 else use.mark
            return problems.ArgumentsMissing(mark=mark, names=names, **common)
    assert_never(misfit)
