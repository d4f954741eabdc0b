"""`mpi4py.futures`: chunks carried to the ranks of an MPI job, whose first rank hands them out."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._cluster import CANNOT, PRICE, Homes, needs, no_processes
from pipeline_runner.backends._front import Args, Front, Held, Tell, Way, asked, brief, closing, killing, opening, raw
from pipeline_runner.calls import Perform, Receipt
from pipeline_runner.errors import ClusterUnreachable
from pipeline_runner.methods import Backend, Cluster, Method
from pipeline_runner.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

# On this machine ranks need no network, and nothing is to listen on it: UCX is MPICH's, the others are Open MPI's.
ALONE = {"UCX_TLS": "self,sm", "OMPI_MCA_btl": "self,sm", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


def front(cluster: Cluster) -> Front:
    launcher = cluster.get("launcher") or ("env", *(f"{name}={word}" for name, word in ALONE.items()), mpiexec())
    command = [*launcher, "-n", str(cluster.workers + 1), sys.executable, "-m", "mpi4py.futures", "-c"]
    return Front("MPI", __name__, launcher[-1], {}, lambda code: [*command, code])


def mpiexec() -> str:
    """That of this Python's environment, which its mpi4py was meant for, or the PATH's. MPICH's gforker stays on this
    machine and listens on no network; its mpiexec would.

    Errors: ClusterUnreachable when there is none.
    """
    beside = os.path.dirname(sys.executable)
    names = [(name, path) for path in (beside, None) for name in ("mpiexec.gforker", "mpiexec")]
    found = next((there for name, path in names if (there := shutil.which(name, path=path))), None)
    if found is None:
        raise ClusterUnreachable("MPI", "mpiexec", "there is none on the PATH; say  mpi: {launcher: …}")
    return found


HOMES = Homes(front)


# In the front, which is rank 0.


def start(options: dict[str, Any]) -> Any:
    from mpi4py.futures import MPIPoolExecutor

    executor = MPIPoolExecutor(main=False)  # the ranks have no use for our program
    executor.bootup(wait=True)
    return executor


def shared(engine: Any, rest: Args) -> Args:
    return rest


def submit(executor: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    broken: list[BaseException] = []

    def arrived(chunk: int, future: Future[Receipt]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            broken.append(error)
        elif not future.cancelled():
            tell(chunk, future.result())
        held.pop(chunk, None)

    for args in tasks:
        future = held[args[0].chunk] = executor.submit(perform.row, *args)
        future.add_done_callback(partial(arrived, args[0].chunk))
    from concurrent.futures import wait

    wait(list(held.values()))
    if broken:
        raise broken[0]


def map_(executor: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    given = list(tasks)
    for args, receipt in zip(given, executor.map(perform.row, *zip(*given, strict=True)), strict=True) if given else ():
        tell(args[0].chunk, receipt)


def starmap(executor: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    given = list(tasks)
    for args, receipt in zip(given, executor.starmap(perform.row, given), strict=True):
        tell(args[0].chunk, receipt)


def drop(executor: Any, futures: list[Any]) -> None:
    """What waits. What runs has its rank for as long as it takes: MPI ends a job, and no call."""
    for future in futures:
        future.cancel()


WAYS: dict[str, Way] = {"submit": submit, "map": map_, "starmap": starmap}

ANYTHING = frozenset({Returns.LIST, Returns.APPLY_RESULT, Returns.MAP_RESULT, Returns.ITERATOR, Returns.VALUE})
DEATH = "MPI ends the program, with every process of the job"
OWN = (
    "not in the survey; calls run in processes below MPI's ranks, and the first rank is a process beside the runner; "
    "one rank more than there are workers"
)

BACKEND = Backend(
    name="mpi4py.futures.MPIPoolExecutor",
    keyword="mpi",
    methods=(
        Method(
            name="mpi4py.futures.MPIPoolExecutor.submit",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.APPLY_RESULT,
            ask=asked("submit"),
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="pickle",
            price=PRICE,
            on_raise="raised by its result()",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP, Style.STAR, Style.ZIP}),
            also_returns=ANYTHING - {Returns.APPLY_RESULT},
            aliases=("MPIPoolExecutor.submit",),
            note=OWN,
        ),
        Method(
            name="mpi4py.futures.as_completed",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.UNORDERED,
            ask=asked("submit", ordered=False),
            lazy=True,
            ordered=False,
            parallel=True,
            refills=True,
            serializer="pickle",
            price=PRICE,
            on_raise="raised by its result()",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP, Style.STAR, Style.ZIP}),
            note=OWN,
        ),
        Method(
            name="mpi4py.futures.MPIPoolExecutor.map",
            dispatch=Dispatch.ASYNC,
            style=Style.ZIP,
            returns=Returns.ITERATOR,
            ask=asked("map"),
            lazy=False,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="pickle",
            price=PRICE,
            on_raise="raised; the first ends the iterator, the rest is lost",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP}),
            also_returns=ANYTHING - {Returns.ITERATOR},
            aliases=("MPIPoolExecutor.map",),
            note=OWN,
        ),
        Method(
            name="mpi4py.futures.MPIPoolExecutor.starmap",
            dispatch=Dispatch.ASYNC,
            style=Style.STAR,
            returns=Returns.ITERATOR,
            ask=asked("starmap"),
            lazy=False,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="pickle",
            price=PRICE,
            on_raise="raised; the first ends the iterator, the rest is lost",
            on_death=DEATH,
            also_styles=frozenset({Style.ZIP}),
            also_returns=ANYTHING - {Returns.ITERATOR},
            aliases=("MPIPoolExecutor.starmap",),
            note=OWN,
        ),
    ),
    open=opening(HOMES),
    close=closing(HOMES),
    kill=killing(HOMES),
    processes=no_processes,
    raw=raw(HOMES),
    start_methods=frozenset(),
    local=False,
    brief=brief,
    rank=130,
    unavailable=needs("mpi", "mpi4py"),
    cannot=CANNOT,
)
