"""How many threads numerical libraries may start in a worker, as the variables that they read when imported."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_runner.spec.pipeline import PipelineSpec, StageSpec

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def threads(
    stage: StageSpec, pipeline: PipelineSpec, workers: int, *, in_process: bool, environ: Mapping[str, str]
) -> int | None:
    """How many each of a stage's workers may have; None: it is left to the libraries and the environment.

    By the run's workers and not the stage's: stages of a run then share their pools, and one that has a single call
    may run beside others.
    """
    if stage.threads is not None:
        return stage.threads
    said = (stage.env, pipeline.env, environ)
    if workers == 1 or in_process or not all(variables.keys().isdisjoint(VARIABLES) for variables in said):
        return None
    return 1


def variables(count: int | None) -> dict[str, str]:
    return {} if count is None else dict.fromkeys(VARIABLES, str(count))
