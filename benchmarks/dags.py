"""Real graphs of tasks: their times, who waits for whom, their bounds, and their text for each tool.

`python benchmarks/dags.py` draws them anew from the recipes of `wfcommons` (extra `bench`) into `dags/`: instances of
real workflows' shapes, seeded, with their times scaled to 4 s of CPU in all.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from commands import PYTHON, WORKERS
from workload import HERE, NotThere, check

Dag = Mapping[str, tuple[float, list[str]]]  # a task's seconds of CPU, and those before it; in an order that works
TOTAL_S = 4.0
LEAST_S = 0.001
RECIPES = {"montage": 180, "epigenomics": 180, "soykb": 180, "seismology": 180}
SEED = 20


def load(name: str, scale: float = 1.0) -> Dag:
    """A graph that is kept here, its times scaled."""
    kept = json.loads((HERE / "dags" / f"{name}.json").read_text())
    return {task: (seconds * scale, before) for task, (seconds, before) in kept.items()}


def layered(stages: int) -> Dag:
    """A graph of any size: each stage waits for up to two of the fifty before it."""
    dice = random.Random(SEED)
    return {
        f"s{number}": (
            0.0,
            [f"s{each}" for each in sorted({dice.randrange(max(0, number - 50), number) for _ in "12"})],
        )
        if number
        else (0.0, [])
        for number in range(stages)
    }


def bound_s(dag: Dag) -> float:
    """No schedule is shorter: the critical path, or all the work on all workers."""
    return max(max(from_begin(dag).values()), sum(seconds for seconds, _ in dag.values()) / WORKERS)


def best_s(dag: Dag) -> float:
    """The shortest that list schedules without any overhead came to: the longest remaining path first, and 200 others
    near it."""
    rest = to_end(dag)
    dice = random.Random(SEED)
    ranks = [rest] + [{task: path * dice.uniform(0.8, 1.2) for task, path in rest.items()} for _ in range(200)]
    return min(_scheduled_s(dag, rank) for rank in ranks)


def from_begin(dag: Dag) -> dict[str, float]:
    ends: dict[str, float] = {}
    for task, (seconds, before) in dag.items():
        ends[task] = seconds + max((ends[each] for each in before), default=0.0)
    return ends


def to_end(dag: Dag) -> dict[str, float]:
    """The longest path from the begin of each task."""
    rest = {task: seconds for task, (seconds, _) in dag.items()}
    for task in reversed(list(dag)):
        for each in dag[task][1]:
            rest[each] = max(rest[each], dag[each][0] + rest[task])
    return rest


def _scheduled_s(dag: Dag, rank: Mapping[str, float]) -> float:
    after: dict[str, list[str]] = {task: [] for task in dag}
    for task, (_, before) in dag.items():
        for each in before:
            after[each].append(task)
    waits = {task: len(before) for task, (_, before) in dag.items()}
    ready = [(-rank[task], task) for task, count in waits.items() if not count]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < WORKERS:
            _, task = heapq.heappop(ready)
            heapq.heappush(running, (now + dag[task][0], task))
        now, ended = heapq.heappop(running)
        for each in after[ended]:
            waits[each] -= 1
            if not waits[each]:
                heapq.heappush(ready, (-rank[each], each))
    return now


def begin_log() -> None:
    """Where tasks leave their files and write down when they ran; in the environment of all that is begun later."""
    os.environ |= {"BENCH_OUT": str(Path("out").absolute()), "BENCH_LOG": str(Path("log").absolute())}
    Path("out").mkdir(exist_ok=True)
    Path("log").write_text("")


def logged() -> list[tuple[str, float, float]]:
    lines = Path("log").read_text().splitlines()
    return [(name, float(began), float(ended)) for name, began, ended in map(str.split, lines)]


def span_s(dag: Dag) -> float:
    """From the first task's begin to the last one's end. Errors: WrongResult when not each ran once, in order."""
    lines = logged()
    check(sorted(name for name, _, _ in lines), sorted(dag))
    times = {name: (began, ended) for name, began, ended in lines}
    early = [t for t, (_, before) in dag.items() if any(times[t][0] < times[each][1] - 0.0005 for each in before)]
    check(early, [])
    return max(ended for _, ended in times.values()) - min(began for began, _ in times.values())


def task_program() -> str:
    """`work.task` as a program, for tools that run commands. Errors: NotThere without a C compiler."""
    if shutil.which("cc") is None:
        raise NotThere("it runs commands, and there is no C compiler to make the task's")
    subprocess.run(["cc", "-O2", "-o", "task", str(HERE / "task.c")], check=True, capture_output=True)
    return str(Path("task").absolute())


# ---- the same graph in each tool's own words; `command` is what a task runs, where tools run commands ----


def pipeline(dag: Dag, call: str = "work:task") -> dict[str, dict[str, object]]:
    return {
        task: {"call": call, "with": [task, seconds], **({"needs": before} if before else {})}
        for task, (seconds, before) in dag.items()
    }


def makefile(dag: Dag, command: str) -> str:
    head = f"all: {' '.join(f'out/{task}' for task in dag)}\n"
    return head + "".join(
        f"out/{task}: {' '.join(f'out/{each}' for each in before)}\n\t@{command} {task} {seconds:.6f}\n"
        for task, (seconds, before) in dag.items()
    )


def ninja(dag: Dag, command: str) -> str:
    head = f"rule task\n  command = {command} $name $seconds\n"
    return head + "".join(
        f"build out/{task}: task {' '.join(f'out/{each}' for each in before)}\n"
        f"  name = {task}\n  seconds = {seconds:.6f}\n"
        for task, (seconds, before) in dag.items()
    )


def dodo(dag: Dag, call: str = "task") -> str:
    """Python actions, as doit's users write them where work is Python."""
    lines = [
        "import json",
        f"from work import {call}",
        "DAG = json.load(open('dag.json'))",
        "DOIT_CONFIG = {'verbosity': 0}",
    ]
    files = "'file_dep': [f'out/{each}' for each in before], 'targets': [f'out/{name}']"
    order = "'task_dep': [f'all:{each}' for each in before]"  # of tasks that leave no file
    lines += [
        "def task_all():",
        "    for name, (seconds, before) in DAG.items():",
        f"        yield {{'name': name, 'actions': [({call}, [name, seconds])], {order if call == 'noop' else files}}}",
    ]
    return "\n".join(lines) + "\n"


def snakefile(dag: Dag, command: str) -> str:
    every = ", ".join(f'"out/{task}"' for task in dag)
    return f"rule all:\n    input: {every}\n" + "".join(
        f"rule {task.replace('.', '_').replace('-', '_')}:\n"
        + (f"    input: {', '.join(f'{chr(34)}out/{each}{chr(34)}' for each in before)}\n" if before else "")
        + f'    output: "out/{task}"\n    shell: "{command} {task} {seconds:.6f}"\n'
        for task, (seconds, before) in dag.items()
    )


GRAPHLIB = """
import json
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from graphlib import TopologicalSorter
from work import {call}
if __name__ == "__main__":
    dag = json.load(open("dag.json"))
    graph = TopologicalSorter({{name: before for name, (_, before) in dag.items()}})
    graph.prepare()
    running = {{}}
    with ProcessPoolExecutor(2) as pool:
        while graph.is_active():
            for name in graph.get_ready():
                running[pool.submit({call}, name, dag[name][0])] = name
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                ended.result()
                graph.done(running.pop(ended))
"""
DASK = """
import json
from work import {call}
def after(name, seconds, *before): {call}(name, seconds)
if __name__ == "__main__":
    from dask.multiprocessing import get
    dag = json.load(open("dag.json"))
    graph = {{name: (after, name + " ", seconds, *before) for name, (seconds, before) in dag.items()}}
    get({{**graph, "all!": (list, list(dag))}}, "all!", num_workers=2)
"""
DISTRIBUTED = """
import json
from work import {call}
def after(name, seconds, *before): {call}(name, seconds)
if __name__ == "__main__":
    from dask.distributed import Client
    dag = json.load(open("dag.json"))
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        futures = {{}}
        for name, (seconds, before) in dag.items():
            futures[name] = client.submit(after, name, seconds, *(futures[each] for each in before), pure=False)
        client.gather(list(futures.values()))
"""
RAY = """
import json, ray
from work import {call}
from workloads._peers import ray_here
def after(name, seconds, *before): {call}(name, seconds)
if __name__ == "__main__":
    dag = json.load(open("dag.json"))
    with ray_here():
        one, refs = ray.remote(after), {{}}
        for name, (seconds, before) in dag.items():
            refs[name] = one.remote(name, seconds, *(refs[each] for each in before))
        ray.get(list(refs.values()))
"""
PARSL = """
import json, parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
from work import {call}
def after(name, seconds, inputs=()):
    from work import {call}
    {call}(name, seconds)
if __name__ == "__main__":
    dag = json.load(open("dag.json"))
    executor = HighThroughputExecutor(max_workers_per_node=2, cores_per_worker=1, address="127.0.0.1",
                                      provider=LocalProvider(init_blocks=1, max_blocks=1))
    with parsl.load(Config(executors=[executor], initialize_logging=False)):
        one, futures = parsl.python_app(after), {{}}
        for name, (seconds, before) in dag.items():
            futures[name] = one(name, seconds, inputs=[futures[each] for each in before])
        for future in futures.values():
            future.result()
"""
LUIGI = """
import json, luigi
from work import {call}
DAG = json.load(open("dag.json"))
class Task(luigi.Task):
    name = luigi.Parameter()
    def requires(self): return [Task(each) for each in DAG[self.name][1]]
    def output(self): return luigi.LocalTarget("out/" + self.name)
    def run(self):
        {call}(self.name, DAG[self.name][0])
        open("out/" + self.name, "a").close()
if __name__ == "__main__":
    read = {{each for _, before in DAG.values() for each in before}}
    if not luigi.build([Task(name) for name in DAG if name not in read], workers=2, local_scheduler=True,
                       log_level="ERROR"):
        raise SystemExit(1)
"""


def words(tool: str) -> list[str]:
    """What is typed to run a graph with a tool, on two workers, saying as little as it can."""
    beside = lambda name: str(Path(PYTHON).with_name(name))  # noqa: E731
    return {
        "make": ["make", "-s", "-j2"],
        "ninja": ["ninja", "-j2", "--quiet"],
        "doit": [beside("doit"), "-n", "2", "-v", "0"],
        "snakemake": [beside("snakemake"), "-s", "Snakefile", "-c2", "-q", "all", "--nolock"],
    }.get(tool, [PYTHON, "way.py"])


SCRIPTS = {
    "graphlib + ProcessPoolExecutor": GRAPHLIB,
    "dask.multiprocessing": DASK,
    "dask.distributed": DISTRIBUTED,
    "ray": RAY,
    "parsl": PARSL,
    "luigi": LUIGI,
}
NEEDS = {
    "make": ("make", "cc"),
    "ninja": ("ninja", "cc"),
    "doit": ("doit",),
    "snakemake": ("snakemake", "cc"),
    "graphlib + ProcessPoolExecutor": (),
    "dask.multiprocessing": ("dask",),
    "dask.distributed": ("distributed",),
    "ray": ("ray",),
    "parsl": ("parsl",),
    "luigi": ("luigi",),
}


def files(tool: str, dag: Dag, call: str = "task", command: str = "") -> dict[str, str]:
    """What a tool reads to run a graph."""
    if tool in SCRIPTS:
        return {"way.py": SCRIPTS[tool].format(call=call), "dag.json": json.dumps(dag)}
    match tool:
        case "make":
            return {"Makefile": makefile(dag, command or task_program())}
        case "ninja":
            return {"build.ninja": ninja(dag, command or task_program())}
        case "doit":
            return {"dodo.py": dodo(dag, call), "dag.json": json.dumps(dag)}
        case "snakemake":
            return {"Snakefile": snakefile(dag, command or task_program())}
    raise AssertionError(tool)


def draw() -> None:
    """Write `dags/` anew."""
    import numpy
    from wfcommons import WorkflowGenerator
    from wfcommons.wfchef import recipes

    (HERE / "dags").mkdir(exist_ok=True)
    for name, tasks in RECIPES.items():
        random.seed(SEED)
        numpy.random.seed(SEED)
        recipe = getattr(recipes, f"{name.title()}Recipe")
        drawn = WorkflowGenerator(recipe.from_num_tasks(tasks)).build_workflow()
        dag = dict(_in_order({t: (each.runtime, list(drawn.predecessors(t))) for t, each in drawn.tasks.items()}))
        scale = TOTAL_S / sum(seconds for seconds, _ in dag.values())
        kept = {task: [max(LEAST_S, round(seconds * scale, 6)), before] for task, (seconds, before) in dag.items()}
        lines = ",\n".join(f"{json.dumps(task)}: {json.dumps(given)}" for task, given in kept.items())
        (HERE / "dags" / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")
        print(f"{name}: {len(kept)} tasks, bound {bound_s(kept):.2f} s, best found {best_s(kept):.2f} s")


def _in_order(dag: Dag) -> Iterator[tuple[str, tuple[float, list[str]]]]:
    from graphlib import TopologicalSorter

    for task in _steady(TopologicalSorter({task: before for task, (_, before) in dag.items()})):
        yield task, (dag[task][0], sorted(dag[task][1]))


def _steady(graph: object) -> Iterable[str]:
    found: list[str] = []
    graph.prepare()  # type: ignore[attr-defined]
    while graph.is_active():  # type: ignore[attr-defined]
        ready = sorted(graph.get_ready())  # type: ignore[attr-defined]
        found += ready
        graph.done(*ready)  # type: ignore[attr-defined]
    return found


if __name__ == "__main__":
    draw()
