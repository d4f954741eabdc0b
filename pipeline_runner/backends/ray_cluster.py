"""`ray`: chunks carried to the workers of a Ray cluster, as tasks or by a pool of actors."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._cluster import CANNOT, PRICE, Homes, needs, no_processes
from pipeline_runner.backends._front import Args, Front, Held, Tell, Way, asked, brief, closing, killing, opening, raw
from pipeline_runner.calls import Lost, Perform, Receipt
from pipeline_runner.methods import Backend, Cluster, Method
from pipeline_runner.typed import Any

STORE_BYTES = 256 << 20  # what we carry is small, or goes once: Ray would else take a third of the machine's memory
CONNECT_S = 5.0
SMALL = 1 << 14  # bytes of a brief that goes along with each chunk; a larger one goes to each host once


def front(cluster: Cluster) -> Front:
    options = {"workers": cluster.workers, "address": cluster.get("address"), "raw": cluster.get("raw")}
    where = cluster.get("address") or "this machine"
    return Front("Ray", __name__, where, options, lambda code: [sys.executable, "-c", code])


HOMES = Homes(front)


# In the front.


def start(options: dict[str, Any]) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if options["address"] is None:  # its processes listen on every network: they take nothing without this
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(32).hex()}
    elif options["address"] != "auto":  # Ray itself would try for minutes
        host, _, port = options["address"].rpartition(":")
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if options["address"] is not None:
        ray.init(address=options["address"], **quiet)
    else:
        ray.init(
            address="local",
            num_cpus=options["workers"],
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=options["folder"],
            **quiet,
        )
    # A call that dies with its worker is not run again behind our back: whether it is, is a matter of `retry`.
    tries: dict[str, Any] = {} if options["raw"] else {"max_retries": 0}
    return ray, tries


def shared(engine: Any, rest: Args) -> Args:
    import ray

    return tuple(ray.put(one) if len(one) > SMALL else one for one in rest)


def remote(engine: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    ray, tries = engine
    function = ray.remote(num_cpus=1, **tries)(perform.row)
    ended, handed_in = threading.Semaphore(0), 0
    broken: list[BaseException] = []

    def done(chunk: int, future: Any) -> None:
        held.pop(chunk, None)
        error = future.exception()
        if error is None:
            tell(chunk, future.result())
        elif isinstance(error, (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)):
            tell(chunk, Lost(chunk, f"the Ray worker that had it died ({type(error).__name__})"))
        else:
            broken.append(error)
        ended.release()

    for args in tasks:
        handed_in += 1
        reference = held[args[0].chunk] = function.remote(*args)
        reference.future().add_done_callback(partial(done, args[0].chunk))
    for _ in range(handed_in):
        ended.acquire()
        if broken:
            raise broken[0]


def actors(engine: Any, perform: Perform) -> Any:
    from ray.util import ActorPool

    ray, _ = engine

    class Performer:
        def one(self, task: Args) -> tuple[int, Receipt]:
            return task[0].chunk, perform.one(task)

    # They take no CPU of Ray's: a pool that waits for another's would wait for ever.
    kind = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(Performer)
    return ActorPool([kind.remote() for _ in range(max(1, int(ray.cluster_resources().get("CPU", 1))))])


def with_references(ray: Any, task: Args) -> Args:
    """Ray resolves no reference inside of an argument."""
    return tuple(ray.get(one) if isinstance(one, ray.ObjectRef) else one for one in task)


def pool_map(engine: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    given = [with_references(engine[0], task) for task in tasks]
    for chunk, receipt in actors(engine, perform).map(_one, given):
        tell(chunk, receipt)


def pool_map_unordered(engine: Any, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    given = [with_references(engine[0], task) for task in tasks]
    for chunk, receipt in actors(engine, perform).map_unordered(_one, given):
        tell(chunk, receipt)


def _one(actor: Any, task: Args) -> Any:
    return actor.one.remote(task)


def drop(engine: Any, references: list[Any]) -> None:
    """Ends the processes that are at them, and with these what is below them."""
    for reference in references:
        engine[0].cancel(reference, force=True)


WAYS: dict[str, Way] = {"remote": remote, "map": pool_map, "map_unordered": pool_map_unordered}

ANYTHING = frozenset({Returns.LIST, Returns.APPLY_RESULT, Returns.MAP_RESULT, Returns.ITERATOR, Returns.VALUE})
EVERY = frozenset(Style)
ACTORS = "hands in all calls at once; its actors take no CPU of Ray's, as many as it has CPUs"
OWN = "calls run in processes below Ray's workers, and Ray itself is used in a process beside the runner"

BACKEND = Backend(
    name="ray",
    keyword="ray",
    methods=(
        Method(
            name="ray.remote",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.APPLY_RESULT,
            ask=asked("remote"),
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised by ray.get(), as RayTaskError",
            on_death="the task runs again, three times; then WorkerCrashedError by ray.get()",
            also_styles=EVERY - {Style.SINGLE},
            also_returns=ANYTHING - {Returns.APPLY_RESULT},
            note=f"not in the survey; a task whose worker dies is not run again unless the stage says `retry`; {OWN}",
        ),
        Method(
            name="ray.util.ActorPool.map",
            dispatch=Dispatch.BATCH,
            style=Style.MAP,
            returns=Returns.ITERATOR,
            ask=asked("map"),
            lazy=False,
            ordered=True,
            parallel=True,
            refills=False,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised, as RayTaskError; the rest is lost",
            on_death="raised, as ActorDiedError; the pool goes on with a dead actor",
            also_styles=EVERY - {Style.MAP},
            also_returns=ANYTHING - {Returns.ITERATOR},
            aliases=("ActorPool.map",),
            note=f"not in the survey; an actor gets its next call once all before it are fetched; {ACTORS}; {OWN}",
        ),
        Method(
            name="ray.util.ActorPool.map_unordered",
            dispatch=Dispatch.ASYNC,
            style=Style.MAP,
            returns=Returns.UNORDERED,
            ask=asked("map_unordered", ordered=False),
            lazy=False,
            ordered=False,
            parallel=True,
            refills=True,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised, as RayTaskError; the rest is lost",
            on_death="raised, as ActorDiedError; the pool goes on with a dead actor",
            also_styles=EVERY - {Style.MAP},
            aliases=("ActorPool.map_unordered",),
            note=f"not in the survey; {ACTORS}; {OWN}",
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
    rank=120,
    unavailable=needs("ray", "ray"),
    cannot=CANNOT,
)
