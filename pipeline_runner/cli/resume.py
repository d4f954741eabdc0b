"""Which run `--resume` means, and the pipeline as that run had it: its file, its parameters, its profile."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_runner.cli.load import pairs
from pipeline_runner.errors import UsageError, did_you_mean
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_runner.spec.pipeline import PipelineSpec

LAST = "last"


def resumed(
    file: str | None,
    given: Sequence[str] | None,
    params: str | None,
    profile: str | None,
    state: str | None,
    run: str,
) -> tuple[PipelineSpec, str, Sequence[Mapping[str, Any]]]:
    """The pipeline, the run, and the parts that it was asked for. Parameters that the run was given are given again;
    what is said now wins.

    Errors: UsageError when there is no such run; StoreError, also where what it was given is damaged; Problems.
    """
    from pipeline_runner.record.errors import StoreError
    from pipeline_runner.record.given import doubtful
    from pipeline_runner.record.history import History, newest
    from pipeline_runner.record.record import about_run, last_run
    from pipeline_runner.record.store import Store
    from pipeline_runner.spec.build import load
    from pipeline_runner.spec.parameters import read_params

    store = Store(_folder(file, state), create=False, thorough=True)
    if run == LAST:
        if file is not None and not os.path.exists(file):
            lists = newest(History(store).names())
            raise UsageError(f'there is neither a file nor a run "{file}" to resume\n  {lists}')
        found = last_run(store, None if file is None else str(_beside(file) / Path(file).name))
        if found is None:
            raise UsageError(f"no run of this pipeline is kept in {store.folder}: there is nothing to resume")
        run = found
    else:
        run = History(store).find(run)
    about = about_run(store, run)
    if about is None:
        raise UsageError(f'there is no run "{run}" in {store.folder}; `prun runs` lists them')
    path = file or str(_file(about, store.folder))
    if doubtful(store.key, run, about):
        if not (given or params is not None or profile):
            why = (
                f"what run {run} was given (-p, --params, --profile, a part of the pipeline) is damaged, or the key is"
            )
            cure = f"say it again, with --resume {run}, or begin anew: prun {path}"
            raise StoreError(store.database, why, cure)
        about = {}
    values: dict[str, Any] = {**about.get("given", {}), **(read_params(params) if params is not None else {})}
    spec = load(path, params=values, overrides=pairs(given or ()), profile=profile or about.get("profile"))
    return spec, run, about.get("parts", [])


def refuse_run(spec: PipelineSpec, words: Sequence[str], folder: Path) -> None:
    """Errors: UsageError for a word beside `--resume` that is no stage, since a run may have been meant by it."""
    from pipeline_runner.record.history import History, newest
    from pipeline_runner.record.store import Store

    for word in words:
        if not spec.named(word):
            guess = did_you_mean(word, [*spec.stages, *spec.composed])
            runs = newest(History(Store(folder, create=False)).names())
            told = f'there is no run "{word}" to resume, and no stage of that name{guess}'
            raise UsageError(f"{told}\n  {runs}\n  the stages are: {', '.join(spec.stages)}")


def _file(about: Mapping[str, Any], state: Path) -> Path:
    """The run's pipeline: where it was, or beside the state folder, when both have been moved."""
    was = Path(about["folder"]) / Path(about["file"]).name
    beside = state.parent / was.name
    return beside if beside.exists() and not was.exists() else was


def _folder(file: str | None, state: str | None) -> Path:
    if state is not None or os.environ.get("PRUN_STATE"):
        return Path(state or os.environ["PRUN_STATE"]).absolute()
    return (_beside(file) if file is not None else Path.cwd()) / ".prun"


def _beside(file: str) -> Path:
    """The folder that a file is really in. Path.resolve() would raise at a link to itself."""
    return Path(os.path.realpath(file)).parent
