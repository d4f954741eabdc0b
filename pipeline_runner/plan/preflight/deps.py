"""Whether the files that `deps` name are there, or made by a stage that this one waits for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline_runner.errors import Problem
from pipeline_runner.plan.outs import fixed
from pipeline_runner.plan.preflight.files import before, beside
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.patterns import has_magic, matching
from pipeline_runner.spec.pipeline import PipelineSpec, StageName, StageSpec


def look_at_deps(
    pipeline: PipelineSpec, stage: StageSpec, stages: Mapping[StageName, StageSpec]
) -> tuple[list[Problem], list[str]]:
    """What is wrong with the deps of a stage, and what might be. Those of single calls are known when they are made."""
    found: list[Problem] = []
    warnings: list[str] = []
    deps = [(number, dep) for number, dep in enumerate(stage.deps) if isinstance(dep, str)]
    if not deps:
        return found, warnings
    folder = pipeline.folder_of(stage)
    earlier = before(stage, stages)
    for number, dep in deps:
        mark = place_of(stage, ("deps", number), value=True)
        maker = _maker(folder / dep, stage, stages, pipeline)
        late = maker is not None and maker not in earlier and stage.name not in before(stages[maker], stages)
        if not earlier and not _is_there(folder, dep):
            from pipeline_runner.plan.preflight.problems import NoDep

            known = tuple(beside(folder / dep, dep.rstrip("/")))
            found.append(NoDep(mark=mark, stage=stage.name, path=dep, maker=maker if late else None, known=known))
        elif late:
            place = f"{mark}: " if mark else ""
            warnings.append(
                f'{place}stage "{maker}" makes "{dep}", and "{stage.name}" does not wait for it: add  needs: [{maker}]'
            )
    return found, warnings


def _maker(
    file: Path, stage: StageSpec, stages: Mapping[StageName, StageSpec], pipeline: PipelineSpec
) -> StageName | None:
    """The other stage that has the file among its outs."""
    path = os.path.normpath(file)
    for name, other in stages.items():
        outs = (os.path.normpath(pipeline.folder_of(other) / out) for out in fixed(other))
        if name != stage.name and path in outs:
            return name
    return None


def _is_there(folder: Path, dep: str) -> bool:
    """As it is looked for when the stage begins. What has no name that a file can have is told then."""
    try:
        return os.path.exists(folder / dep) or (has_magic(dep) and bool(matching(dep, folder)))
    except ValueError:
        return True
