"""Looks at all that a pipeline names before it starts: functions, files, programs, and what is sent to workers."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_runner.axes import Style
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.errors import Problem, Problems, in_order
from pipeline_runner.marks import Mark
from pipeline_runner.plan.plan import Plan
from pipeline_runner.plan.preflight import signatures
from pipeline_runner.plan.preflight.blanks import look_at_blanks
from pipeline_runner.plan.preflight.deps import look_at_deps, makers_of
from pipeline_runner.plan.preflight.files import look_at_files
from pipeline_runner.plan.preflight.find import find, inspected
from pipeline_runner.plan.preflight.finder import Finder
from pipeline_runner.plan.preflight.imports import doubtful
from pipeline_runner.plan.preflight.programs import look_at_program
from pipeline_runner.plan.preflight.shapes import given, shapes
from pipeline_runner.plan.preflight.signatures import Callee, Shape, misfits
from pipeline_runner.plan.preflight.travel import look_at_what_travels
from pipeline_runner.plan.preflight.written import lost, place_of, sources
from pipeline_runner.plan.readings import readings
from pipeline_runner.plan.skips import is_off
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import Generate, Given, InFile, Named, PipelineSpec, StageName, StageSpec
from pipeline_runner.worker.functions import path_with


@dataclass(frozen=True)
class Looked:
    """What was found: what keeps the pipeline from running, and what may."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def look(plan: Plan, *, ask: bool = True) -> Looked:
    """Look at all that a plan names. `ask`: Python too, in a process of its own, for what reading does not tell."""
    planned = {**plan.stages, **plan.hooks}
    styles = {name: stage.choice.style for name, stage in planned.items()}
    stages = {name: stage.spec for name, stage in planned.items() if name not in {*plan.skipped, *plan.taken}}
    return look_at(plan.pipeline, stages, styles, ask=ask)


def look_at(
    pipeline: PipelineSpec,
    stages: Mapping[StageName, StageSpec],
    styles: Mapping[StageName, Style] | None = None,
    *,
    ask: bool = True,
    only_functions: Sequence[StageSpec] = (),
) -> Looked:
    """The same for stages that are not planned: they are then read as they mostly are.

    `only_functions`: stages of which more is not known, since something in them, or before them, is wrong.
    What is switched off may name what there is only where it is switched on.
    """
    stages = {name: stage for name, stage in stages.items() if not is_off(stage)}
    problems: list[Problem] = []
    warnings: list[str] = []
    known = styles or {}
    found_in = _Surroundings(pipeline)
    uses = [use for name, stage in stages.items() for use in _uses(found_in, stage, known.get(name) or _usual(stage))]
    others = [stage for stage in only_functions if not is_off(stage)]
    uses += [replace(use, shapes=()) for stage in others for use in _uses(found_in, stage, _usual(stage))]
    answers = _answers(pipeline, uses, ask)
    fits: set[object] = set()  # kinds of uses that are right: of thousands most are alike
    for use in uses:
        key = use.key
        answer, kind = answers[key], (key, use.written, *(shape.kind for shape in use.shapes))
        if kind in fits:
            continue
        if isinstance(answer, Callee) and not use.lists_for_ever(answer) and not any(use.misfits(answer)):
            fits.add(kind)
            continue
        from pipeline_runner.plan.preflight.telling import tell  # not before: mostly nothing is to be told

        tell(use, answer, problems, warnings)
    makers = makers_of(pipeline, stages)
    for stage in stages.values():
        for found, maybe in (
            look_at_files(pipeline, stage, stages),
            look_at_deps(pipeline, stage, stages, makers),
        ):
            problems += found
            warnings += maybe
        problems += [*look_at_program(pipeline, stage, stages), *look_at_what_travels(stage)]
        problems += look_at_blanks(stage, pipeline.folder_of(stage))
    mask = mask_of(pipeline)
    return Looked(tuple(mask.whole(problems)), tuple(dict.fromkeys(map(mask.text, warnings))))


def refuse(plan: Plan) -> tuple[str, ...]:
    """The warnings of a plan that may run. Errors: Problems, all of them together."""
    looked = look(plan)
    if looked.problems:
        raise Problems(in_order(looked.problems))
    return looked.warnings


def _usual(stage: StageSpec) -> Style:
    return next(iter(readings(stage)))


# ------------------------------------------------------------------------------------------------ functions


Key = tuple[object, tuple[tuple[str, str], ...], str]  # a function, and with which variables and where it is found


@dataclass(frozen=True)
class Use:
    """A place in which a stage names a function."""

    stage: StageSpec
    function: Named | InFile | Given
    written: signatures.Path
    shapes: tuple[Shape, ...]
    env: tuple[tuple[str, str], ...]
    folder: str

    @property
    def key(self) -> Key:
        return self.function, self.env, self.folder

    @property
    def mark(self) -> Mark | None:
        return place_of(self.stage, self.written, value=True)

    def lists_for_ever(self, callee: Callee) -> bool:
        """Whether a call's value would be the list of what never ends."""
        return callee.endless and self.written == ("call",)

    def misfits(self, callee: Callee) -> Iterator[tuple[Shape, signatures.Misfit]]:
        """Why Python would refuse these calls."""
        if callee.signature is not None:
            for shape in self.shapes:
                yield from ((shape, misfit) for misfit in misfits(callee.signature, shape))


class _Surroundings:
    """With which variables, and where, a stage's functions are found: mostly as those of the others."""

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._pipeline = pipeline
        self._env = tuple(sorted(pipeline.env.items()))
        self._folders: dict[Path, str] = {}

    def of(self, stage: StageSpec) -> tuple[tuple[tuple[str, str], ...], Path, str]:
        folder = self._pipeline.folder_of(stage)
        if folder not in self._folders:
            self._folders[folder] = os.path.abspath(folder)
        env = tuple(sorted({**self._pipeline.env, **stage.env}.items())) if stage.env else self._env
        return env, folder, self._folders[folder]


def _uses(found_in: _Surroundings, stage: StageSpec, style: Style) -> Iterator[Use]:
    env, where, folder = found_in.of(stage)
    if isinstance(stage.function, Named | InFile | Given):
        known = () if lost(stage, "over", "with") else tuple(shapes(stage, style, where))
        yield Use(stage, stage.function, ("call",), known, env, folder)
    if isinstance(stage.setup, Named | InFile | Given):
        shape = given(stage.setup_with, ("setup_with",))
        yield Use(stage, stage.setup, ("setup",), () if lost(stage, "setup_with") else (shape,), env, folder)
    for source, written in sources(stage.over):
        if isinstance(source, Generate):
            shape = given(source.keywords, (*written, "with"))
            yield Use(stage, source.function, (*written, "generate"), (shape,), (), folder)


def _answers(pipeline: PipelineSpec, uses: Sequence[Use], ask: bool) -> dict[Key, object]:
    """Finds each function once, and asks Python once about all that reading does not tell."""
    importlib.invalidate_caches()
    finders = {folder: Finder(folder, tuple(path_with(folder))) for folder in {use.folder for use in uses}}
    answers: dict[Key, object] = {}
    unknown: list[tuple[Key, Named | InFile]] = []
    for use in uses:
        if use.key in answers:
            continue
        if isinstance(use.function, Given):
            answers[use.key] = inspected(use.function.function)
            continue
        finder = finders[use.folder]
        answer = find(use.function, finder)
        if answer is None or (isinstance(answer, Callee) and _doubtful(use.function, finder)):
            unknown.append((use.key, use.function))
        answers[use.key] = answer or Callee(None)
    if unknown and ask:
        from pipeline_runner.plan.preflight.ask import Question, ask_python

        questions = [Question(function, key[2], key[1]) for key, function in unknown]
        told = ask_python(questions, os.path.abspath(pipeline.folder), pipeline.env)
        answers.update(zip((key for key, _ in unknown), told, strict=True))
    return answers


def _doubtful(function: Named | InFile, finder: Finder) -> bool:
    if isinstance(function, InFile):
        return doubtful(os.path.realpath(os.path.join(finder.folder, function.path)), finder)
    file = finder.file(function.module)
    return file not in ("missing", "unread") and file.startswith(finder.folder + os.sep) and doubtful(file, finder)
