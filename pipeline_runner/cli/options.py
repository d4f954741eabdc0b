"""Options that several commands share, and how a file with their values becomes a checked pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_runner.errors import UsageError

if TYPE_CHECKING:
    from pipeline_runner.spec.pipeline import PipelineSpec

File = Annotated[str, typer.Argument(metavar="FILE", help="The pipeline.", show_default=False)]
AnyFile = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="The pipeline. With --resume, by default that run's.", show_default=False),
]
State = Annotated[
    str | None,
    typer.Option("--state", metavar="DIR", help="Where runs are kept.", show_default=".prun beside the pipeline"),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[RUN]",
        help="Go on with a run, by default the last: only what it owes.",
        show_default=False,
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME=VALUE", help="A parameter's value. May be given many times.", show_default=False),
]
Params = Annotated[
    str | None,
    typer.Option("--params", metavar="FILE", help="Parameters' values, as YAML or JSON.", show_default=False),
]
Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Use this profile of the pipeline.", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option(
        "-j", "--workers", metavar="N", min=1, help="Worker processes for the whole run.", show_default="the CPUs"
    ),
]

Stages = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STAGE]...", help="Only these stages and what they need.", show_default=False),
]
Since = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="Only this stage and what is made of it; what it reads is taken from before.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="STAGE", help="Just this stage; what it reads is taken from before.", show_default=False
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample",
        metavar="N",
        min=1,
        help="Only the first N items of each source that needs no stage.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Make every call anew, cached or not.")]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Reuse nothing of other runs, and leave nothing for them to reuse.")
]
Until = Annotated[
    list[str] | None,
    typer.Option("--until", metavar="STAGE", help="Only up to this stage.", show_default=False),
]


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
    from dataclasses import replace

    from pipeline_runner.axes import OnError

    stages = {
        name: replace(stage, on_error=OnError.FINISH) if stage.on_error is OnError.STOP else stage
        for name, stage in spec.stages.items()
    }
    return replace(spec, stages=stages)
