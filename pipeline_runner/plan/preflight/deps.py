"""Whether the files that `deps` name are there, or made by a stage that this one waits for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_runner.errors import Problem
from pipeline_runner.plan.links import links
from pipeline_runner.plan.outs import fixed
from pipeline_runner.plan.preflight.files import before, beside
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.opening import is_url, matches
from pipeline_runner.spec.patterns import has_magic
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec
from pipeline_runner.witness import saw

Makers = Mapping[str, Sequence[StageName]]  # of each file, by its path: the stages that have it among their outs


def makers_of(pipeline: PipelineSpec, stages: Mapping[StageName, StageSpec]) -> Makers:
    """All that stages write, as far as it is the same for each call: gathered once, for thousands that ask."""
    found: dict[str, list[StageName]] = {}
    for name, stage in stages.items():
        for out in fixed(stage):
            found.setdefault(os.path.normpath(pipeline.folder_of(stage) / out), []).append(name)
    return found


def look_at_deps(
    pipeline: PipelineSpec, stage: StageSpec, stages: Mapping[StageName, StageSpec], makers: Makers
) -> tuple[list[Problem], list[str]]:
    """What is wrong with the deps of a stage, and what might be. Those of single calls are known when they are made."""
    if not stage.deps:
        return [], []
    found: list[Problem] = []
    warnings: list[str] = []
    folder = pipeline.folder_of(stage)
    for number, dep in enumerate(stage.deps):
        if not isinstance(dep, str):
            continue
        mark = place_of(stage, ("deps", number), value=True)
        written_by = makers.get(os.path.normpath(folder / dep), ())
        maker = next((name for name in written_by if name != stage.name), None)
        late = maker is not None and _is_late(maker, stage, stages)
        if not _waits(stage, stages) and not _is_there(folder, dep):
            from pipeline_runner.plan.preflight.problems import NoDep

            known = tuple(beside(folder / dep, dep.rstrip("/")))
            found.append(NoDep(mark=mark, stage=stage.name, path=dep, maker=maker if late else None, known=known))
        elif late:
            place = f"{mark}: " if mark else ""
            warnings.append(
                f'{place}stage "{maker}" makes "{dep}", and "{stage.name}" does not wait for it: add  needs: [{maker}]'
            )
    return found, warnings


def _waits(stage: StageSpec, stages: Mapping[StageName, StageSpec]) -> bool:
    """Whether any stage comes before it, which may make what it depends on."""
    if stage.hook:
        return len(stages) > 1
    return any(link.source in stages and link.source != stage.name for link in links(stage))


def _is_late(maker: StageName, stage: StageSpec, stages: Mapping[StageName, StageSpec]) -> bool:
    """Whether a stage that makes a file may begin after, or with, one that depends on it."""
    if any(link.source == maker for link in links(stage)):  # mostly: all that come before need not be gathered
        return False
    return maker not in before(stage, stages) and stage.name not in before(stages[maker], stages)


def _is_there(folder: Path, dep: str) -> bool:
    """As it is looked for when the stage begins. What has no name that a file can have is told then."""
    path = str(folder / dep)
    try:
        there = os.path.exists(path)
        saw("there", path, answer=there)
        return there or (has_magic(dep) and not is_url(dep) and bool(matches(dep, folder)))
    except ValueError:
        return True
