"""A small table of methods, and short ways to write pipelines: nothing here starts a process or touches a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline_runner.axes import Dispatch, Returns, StartMethod, Style
from pipeline_runner.backends import Table
from pipeline_runner.errors import Problem
from pipeline_runner.methods import Backend, Method, Surveyed
from pipeline_runner.plan.check import problems
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.plan import Plan
from pipeline_runner.spec.pipeline import FromStage, Items, Named, PipelineSpec, Source, StageName, StageSpec, Zip
from pipeline_runner.syntax.expressions import Reference

BLOCKING, BATCH, ASYNC = Dispatch.BLOCKING, Dispatch.BATCH, Dispatch.ASYNC
SINGLE, MAP, STAR, ZIP = Style.SINGLE, Style.MAP, Style.STAR, Style.ZIP
VALUE, LIST, ITERATOR, UNORDERED = Returns.VALUE, Returns.LIST, Returns.ITERATOR, Returns.UNORDERED
APPLY, MAPPED = Returns.APPLY_RESULT, Returns.MAP_RESULT


def row(name: str, dispatch: Dispatch, style: Style, returns: Returns, **claims: Any) -> Method:
    usual: dict[str, Any] = {
        "lazy": style is SINGLE,
        "ordered": returns is not UNORDERED,
        "parallel": dispatch is not BLOCKING,
        "refills": dispatch is ASYNC,
        "also_styles": frozenset({MAP}) if style is ZIP else frozenset(),
        "serializer": "pickle",
        "on_raise": "raised",
        "on_death": "hangs",
    }
    return Method(name=name, dispatch=dispatch, style=style, returns=returns, ask=lambda *_: (), **{**usual, **claims})


def backend(name: str, keyword: str, rank: int, methods: Iterable[Method], **more: Any) -> Backend:
    def unused(*_: Any) -> Any:
        raise AssertionError("a plan opens no pool")

    return Backend(
        name=name,
        keyword=keyword,
        methods=tuple(methods),
        open=unused,
        close=unused,
        kill=unused,
        processes=unused,
        rank=rank,
        **more,
    )


POOL = backend(
    "multiprocessing.Pool",
    "multiprocessing",
    10,
    [
        row("multiprocessing.Pool.apply", BLOCKING, SINGLE, VALUE),
        row("multiprocessing.Pool.apply_async", ASYNC, SINGLE, APPLY),
        row("multiprocessing.Pool.map", ASYNC, MAP, LIST),
        row("multiprocessing.Pool.map_async", ASYNC, MAP, MAPPED),
        row("multiprocessing.Pool.imap", ASYNC, MAP, ITERATOR, lazy=True),
        row("multiprocessing.Pool.imap_unordered", ASYNC, MAP, UNORDERED, lazy=True),
        row("multiprocessing.Pool.starmap", ASYNC, STAR, LIST),
        row("multiprocessing.Pool.starmap_async", ASYNC, STAR, MAPPED),
    ],
)
PROCESS = backend(
    "multiprocessing.Process",
    "process",
    20,
    [
        row(
            "multiprocessing.Process",
            BATCH,
            SINGLE,
            Returns.NONE,
            also_returns=frozenset({LIST, APPLY}),
            refills=False,
        )
    ],
)
FUTURES = backend(
    "concurrent.futures.ProcessPoolExecutor",
    "futures",
    30,
    [
        row("concurrent.futures.ProcessPoolExecutor.submit", ASYNC, SINGLE, APPLY),
        row("concurrent.futures.ProcessPoolExecutor.map", ASYNC, ZIP, ITERATOR),
    ],
)
PATHOS = backend(
    "pathos.ProcessPool",
    "pathos",
    40,
    [
        row("pathos.ProcessPool.pipe", BLOCKING, SINGLE, VALUE),
        row("pathos.ProcessPool.apipe", ASYNC, SINGLE, APPLY),
        row("pathos.ProcessPool.map", ASYNC, ZIP, LIST, aliases=("pathos.multiprocessing.ProcessPool.map",)),
        row("pathos.ProcessPool.imap", ASYNC, ZIP, ITERATOR, lazy=True),
        row("pathos.ProcessPool.uimap", ASYNC, ZIP, UNORDERED, lazy=True),
    ],
)
PARALLEL = backend(
    "pathos.ParallelPool",
    "parallel",
    50,
    [
        row(
            "pathos.ParallelPool.map",
            ASYNC,
            ZIP,
            LIST,
            surveyed=Surveyed(dispatch=BLOCKING, style=ZIP, returns=LIST),
            note="parallel since pathos 0.2.6",
        )
    ],
    start_methods=frozenset(),
)
PPFT = backend(
    "ppft.Server",
    "ppft",
    60,
    [row("ppft.Server.submit", ASYNC, SINGLE, APPLY)],
    start_methods=frozenset(),
)
THREADS = backend(
    "concurrent.futures.ThreadPoolExecutor",
    "threads",
    70,
    [
        row("concurrent.futures.ThreadPoolExecutor.submit", ASYNC, SINGLE, APPLY),
        row("concurrent.futures.ThreadPoolExecutor.map", ASYNC, ZIP, ITERATOR),
    ],
    start_methods=frozenset(),
    in_process=True,
)
SERIAL = backend(
    "pathos.SerialPool",
    "serial",
    80,
    [
        row("pathos.SerialPool.pipe", BLOCKING, SINGLE, VALUE),
        row(
            "pathos.SerialPool.map",
            BLOCKING,
            MAP,
            LIST,
            lazy=True,
            also_styles=frozenset({STAR, ZIP}),
            also_returns=frozenset({ITERATOR}),
        ),
        row("pathos.SerialPool.imap", BLOCKING, MAP, ITERATOR, lazy=True, also_styles=frozenset({STAR, ZIP})),
    ],
    start_methods=frozenset(),
    in_process=True,
)
BROKEN = backend(
    "broken.Pool",
    "broken",
    5,
    [row("broken.Pool.imap", ASYNC, MAP, ITERATOR, lazy=True)],
    start_methods=frozenset({StartMethod.FORK}),
    unavailable=lambda: "the library is not installed",
)


def tabled(*backends: Backend) -> Table:
    methods = {method.name: method for one in backends for method in one.methods}
    names = {name: method.name for method in methods.values() for name in (method.name, *method.aliases)}
    owners = {method.name: one for one in backends for method in one.methods}
    return Table(backends, owners, methods, names)


SMALL = tabled(BROKEN, POOL, PROCESS, FUTURES, PATHOS, PARALLEL, PPFT, THREADS, SERIAL)


def of(name: str, *path: str | int) -> Reference:
    return Reference("stages", (name, *path))


def source(over: Any) -> Source | None:
    """What a test writes as `over`: a stage's name, a list of items, a Source, or a tuple of these side by side."""
    match over:
        case str():
            return FromStage(of(over))
        case list():
            return Items(over)
        case tuple():
            return Zip(tuple(column for one in over if (column := source(one)) is not None))
    return over  # type: ignore[no-any-return]


def pipeline(stages: dict[str, dict[str, Any]], **more: Any) -> PipelineSpec:
    """{"count": {"over": "read", "needs": ["x"], …}}, keys as in StageSpec."""
    made = {}
    for name, keys in stages.items():
        given = {**keys, "over": source(keys.get("over")), "needs": tuple(map(StageName, keys.get("needs", ())))}
        made[StageName(name)] = StageSpec(name=StageName(name), function=Named("work", name), **given)
    return PipelineSpec(name="test", stages=made, folder=Path("/nowhere"), **more)


Write = Callable[..., PipelineSpec]


@pytest.fixture
def small() -> Table:
    return SMALL


@pytest.fixture
def write() -> Write:
    return pipeline


@pytest.fixture
def stage() -> Callable[..., Reference]:
    return of


@pytest.fixture
def plan() -> Callable[[dict[str, dict[str, Any]]], Plan]:
    return lambda stages, **more: make_plan(pipeline(stages), workers=4, table=SMALL, **more)


@pytest.fixture
def check() -> Callable[[dict[str, dict[str, Any]]], list[Problem]]:
    return lambda stages: problems(pipeline(stages), table=SMALL)
