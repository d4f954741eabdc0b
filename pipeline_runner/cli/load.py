"""How a file becomes a checked pipeline, with the values that the command line gives."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_runner.errors import UsageError
from pipeline_runner.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_runner.spec.pipeline import PipelineSpec


def load(
    file: str, given: Sequence[str] | None = None, params: str | None = None, profile: str | None = None
) -> PipelineSpec:
    """The pipeline of a file with `-p`, `--params` and `--profile`; `-p` wins. Errors: Problems, UsageError."""
    from pipeline_runner.spec.build import load as load_file
    from pipeline_runner.spec.parameters import read_params

    values = read_params(params) if params is not None else {}
    return load_file(file, params=values, overrides=pairs(given or ()), profile=profile)


def pairs(given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping, the last of a name wins. Errors: UsageError."""
    for text in given:
        if not text.partition("=")[1] or not text.partition("=")[0]:
            raise UsageError(f'-p {text}: a parameter is given as NAME=VALUE, for example -p "{text.strip("=")}=…"')
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def keep_going(spec: PipelineSpec) -> PipelineSpec:
    """The same pipeline, in which a failure lets everything independent end."""
    from pipeline_runner.axes import OnError
    from pipeline_runner.classes import replace

    stages = {
        name: replace(stage, on_error=OnError.FINISH) if stage.on_error is OnError.STOP else stage
        for name, stage in spec.stages.items()
    }
    return replace(spec, stages=stages)
