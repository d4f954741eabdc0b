"""G3 to G6: stages that do nothing, so that only what a tool adds to each is measured; and stages that need not run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dags
from workload import Figures, NotThere, Workload

LOOP = "graphlib + ProcessPoolExecutor"
THOUSAND = Workload(
    "G3-1000",
    "1,000 no-op stages, whole, with their file",
    full={"stages": 1000},
    quick={"stages": 60},
    columns={"cpu_s": "CPU, s"},
    weigh=True,
)
TEN_THOUSAND = Workload(
    "G3-10000",
    "10,000 no-op stages, whole, with their file",
    full={"stages": 10_000},
    quick={"stages": 120},
    columns={"cpu_s": "CPU, s"},
    timeout_s=120,
    times=3,
    when_quick=False,
)
SLOW = dict.fromkeys(
    ("snakemake", "luigi", "parsl", "ray", "dask.distributed"),
    "not run: it takes half a minute and more; 1,000 stages tell how much",
)
NOOP = "/bin/true"


def _ours(size: SimpleNamespace) -> Figures:
    from ours import lay, run_file

    lay(dags.pipeline(dags.layered(size.stages), "work:noop"))
    return run_file()


def _peer(tool: str, slow: bool) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import timed, write

        if slow and tool in SLOW and not size.quick:
            raise NotThere(SLOW[tool])
        Path("out").mkdir()
        # Tools of files want one each: /bin/true leaves none, so Snakemake is given `touch`.
        command = "touch {output} #" if tool == "snakemake" else NOOP
        write(dags.files(tool, dags.layered(size.stages), "noop", command))
        return timed(dags.words(tool))

    return do


for workload in (THOUSAND, TEN_THOUSAND):
    workload.limit(LOOP)(_peer(LOOP, slow=False))
    workload.ours("prun")(_ours)
    for tool, needs in dags.NEEDS.items():
        if tool != LOOP:
            workload.peer(tool, *needs)(_peer(tool, slow=workload is TEN_THOUSAND))

THOUSAND.target("× a graphlib loop, journal on", ("prun", "s"), (LOOP, "s"), most=0.7)
THOUSAND.target("peak memory of the tree", ("prun", "pss_mb"), most=50, unit="MB")
TEN_THOUSAND.target("× a graphlib loop, journal on, YAML read", ("prun", "s"), (LOOP, "s"), most=1.2)


UP_TO_DATE = [
    Workload(
        f"G5-{stages}",
        f"{stages:,} stages, each with its file, all up to date",
        full={"stages": stages},
        quick={"stages": 60},
        times=times,
        timeout_s=120,
        when_quick=stages == 1000,
    )
    for stages, times in ((1000, 5), (10_000, 1))
]


def _cached(edit: bool) -> Callable[[SimpleNamespace], Figures]:
    """Every stage leaves its file and is cached; after a first run nothing has to be made."""

    def do(size: SimpleNamespace) -> Figures:
        from commands import said
        from ours import lay, run_file

        stages = {
            name: {"call": "work:touch", "with": ["${out}"], "outs": [f"out/{name}"], "cache": True}
            | ({"needs": before} if before else {})
            for name, (_, before) in dags.layered(size.stages).items()
        }
        Path("out").mkdir()
        lay(stages)
        run_file()
        if edit:  # a comment: the file is another one, and what it means is the same
            Path("pipeline.yaml").write_text("# once more\n" + Path("pipeline.yaml").read_text())
        figures = run_file("--json")
        _all_reused(json.loads(said()))
        return figures

    return do


def _all_reused(told: dict[str, dict[str, dict[str, str]]]) -> None:
    from workload import check

    check({stage["status"] for stage in told["stages"].values()}, {"reused"})


def _again(tool: str) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import timed, write

        if tool in SLOW and size.stages > 1000:
            raise NotThere(SLOW[tool])
        Path("out").mkdir()
        write(
            dags.files(
                tool, dags.layered(size.stages), "leave", "touch {output} #" if tool == "snakemake" else "touch out/"
            )
        )
        if tool in ("make", "ninja"):  # `touch out/ NAME …`: their rules name the file themselves
            file = Path("Makefile" if tool == "make" else "build.ninja")
            file.write_text(
                file.read_text().replace("touch out/ $name $seconds", "touch $out")
                if tool == "ninja"
                else _made_by_touch(dags.layered(size.stages))
            )
        with_files = dags.words(tool)
        timed(with_files)
        return timed(with_files)

    return do


def _made_by_touch(dag: dags.Dag) -> str:
    head = f"all: {' '.join(f'out/{task}' for task in dag)}\n"
    return head + "".join(
        f"out/{task}: {' '.join(f'out/{each}' for each in before)}\n\t@touch $@\n" for task, (_, before) in dag.items()
    )


for workload in UP_TO_DATE:
    workload.ours("prun, the file unchanged")(_cached(edit=False))
    workload.ours("prun, the file edited")(_cached(edit=True))
    for tool in ("make", "ninja", "doit", "luigi", "snakemake"):
        workload.peer(tool, *dags.NEEDS[tool][:1], rival=tool == "doit")(_again(tool))
    workload.target("× doit", ("prun, the file edited", "s"), ("doit", "s"), most=0.8)
    workload.target("× doit, with the plan cache", ("prun, the file unchanged", "s"), ("doit", "s"), most=0.4)


VALIDATE = [
    Workload(
        f"G6-{stages}",
        f"a look at {stages:,} stages, nothing run",
        full={"stages": stages},
        quick={"stages": 60},
        times=3 if stages > 1000 else 5,
        when_quick=stages == 1000,
    )
    for stages in (1000, 10_000)
]


def _validated(size: SimpleNamespace) -> Figures:
    from ours import lay, prun

    lay(dags.pipeline(dags.layered(size.stages), "work:noop"))
    return prun("validate", "pipeline.yaml")


def _listed(tool: str) -> Callable[[SimpleNamespace], Figures]:
    def do(size: SimpleNamespace) -> Figures:
        from commands import timed, write

        if tool == "snakemake" and size.stages > 1000:
            raise NotThere(SLOW[tool])
        Path("out").mkdir()
        write(dags.files(tool, dags.layered(size.stages), "noop", "touch {output} #"))
        asked = {"doit": ["list", "--all"], "snakemake": ["-n"], "make": ["-n"]}[tool]
        words = dags.words(tool)
        return timed([words[0], *asked] if tool == "doit" else [*words, *asked])

    return do


for workload in VALIDATE:
    workload.ours("prun validate")(_validated)
    for tool, name in (("doit", "doit list --all"), ("snakemake", "snakemake -n"), ("make", "make -n")):
        workload.peer(name, dags.NEEDS[tool][0], rival=tool == "doit")(_listed(tool))

LOOK, LARGE_LOOK = VALIDATE
LOOK.target("× doit list", ("prun validate", "s"), ("doit list --all", "s"), most=1.5)
# Ten times as many are to take ten times as long; how doit does is in the table of all ways.
TENTH = "prun validate, a tenth of the stages"
LARGE_LOOK.ours(TENTH)(lambda size: _validated(SimpleNamespace(stages=size.stages // 10)))
LARGE_LOOK.target("1,000 → 10,000 stages", ("prun validate", "s"), (TENTH, "s"), most=11.0)
