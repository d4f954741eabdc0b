"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
