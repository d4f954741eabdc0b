"""`dask.distributed`: chunks carried to the workers of a Dask cluster, on this machine or on others."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from threading import Semaphore

from pipeline_runner.axes import Dispatch, Returns, Style
from pipeline_runner.backends._cluster import CANNOT, PRICE, Homes, needs, no_processes
from pipeline_runner.backends._front import Args, Front, Held, Tell, Way, asked, brief, closing, killing, opening, raw
from pipeline_runner.calls import Lost, Perform, Receipt
from pipeline_runner.methods import Backend, Cluster, Method
from pipeline_runner.typed import Any

CONNECT_S = 5
SMALL = 1 << 14  # bytes of a brief that goes along with each chunk; a larger one goes to each worker once


def front(cluster: Cluster) -> Front:
    where = cluster.get("scheduler") or "this machine"
    options = {"workers": cluster.workers, **dict(cluster.options)}
    return Front("Dask", __name__, where, options, lambda code: [sys.executable, "-c", code])


HOMES = Homes(front)

# In the front.


class Engine:
    """A client, and the group to which its chunks belong."""

    def __init__(self, client: Any) -> None:
        self.client = client
        # Chunks of one group wait in the scheduler for a free worker, from a size of the group on that these make up.
        # Any other task waits behind whatever its worker is at, and is not moved to a free one if it is short.
        self._group = f"prun-{os.urandom(8).hex()}"
        enough = 2 * sum(client.nthreads().values()) + 1
        self._members = client.map(abs, range(enough), key=[self.key() for _ in range(enough)], pure=False)

    def key(self) -> tuple[str, str]:
        return self._group, os.urandom(8).hex()


def start(options: dict[str, Any]) -> Engine:
    return Engine(_raw(options) if options.get("raw") else _found(options) if "scheduler" in options else _own(options))


def _own(options: dict[str, Any]) -> Any:
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    ours = {
        # A call that dies with its worker is not run again behind our back: whether it is, is a matter of `retry`.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-saturation": 1.0,  # no chunk waits behind another's long call
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "temporary-directory": options["folder"],
    }
    dask.config.set(ours)
    cluster = LocalCluster(
        n_workers=options["workers"],
        threads_per_worker=1,
        memory_limit=0,  # calls run below the workers, and keep to their stage's `memory`
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # the server that is always there: without a page, on any port
        security=Security.temporary(),  # else whoever is on this machine could have it run code
        local_directory=options["folder"],
    )
    return Client(cluster)


def _found(options: dict[str, Any]) -> Any:
    from distributed import Client
    from distributed.security import Security

    address = options["scheduler"]
    keys = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    files = {theirs: options[ours] for ours, theirs in keys.items() if ours in options}
    security = Security(require_encryption=True, **files) if address.startswith("tls://") else None
    return Client(address, security=security, timeout=CONNECT_S)


def _raw(options: dict[str, Any]) -> Any:
    """As anyone would make it."""
    from distributed import Client

    return Client(n_workers=options["workers"], threads_per_worker=1, dashboard_address="127.0.0.1:0")


def shared(engine: Engine, rest: Args) -> Args:
    """A large brief is a task whose value Dask brings to each worker once, and makes again should it get lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        return tuple(engine.client.submit(bytes, one, pure=False) if len(one) > SMALL else one for one in rest)


def submit(engine: Engine, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    arrivals = Arrivals(tell, held)
    for args in tasks:
        future = engine.client.submit(perform.row, *args, pure=False, retries=0, key=engine.key())
        arrivals.await_(args[0].chunk, future)
    arrivals.all()


def map_(engine: Engine, perform: Perform, tasks: Iterator[Args], tell: Tell, held: Held) -> None:
    given = list(tasks)
    arrivals = Arrivals(tell, held)
    if given:
        columns = [list(column) for column in zip(*given, strict=True)]
        keys = [engine.key() for _ in given]
        futures = engine.client.map(perform.row, *columns, pure=False, retries=0, key=keys)
        for args, future in zip(given, futures, strict=True):
            arrivals.await_(args[0].chunk, future)
    arrivals.all()


class Arrivals:
    """Tells each receipt when it is there."""

    def __init__(self, tell: Tell, held: Held) -> None:
        self._tell, self._held = tell, held
        self._came = Semaphore(0)
        self._owed = 0
        self._broken: list[BaseException] = []

    def await_(self, chunk: int, future: Any) -> None:
        self._owed += 1
        self._held[chunk] = future
        future.add_done_callback(partial(self._arrived, chunk))

    def _arrived(self, chunk: int, future: Any) -> None:
        from distributed import KilledWorker

        self._held.pop(chunk, None)  # Dask keeps what a future is held of
        try:
            receipt: Receipt = future.result()
        except KilledWorker:
            receipt = Lost(chunk, "the Dask worker that had it died (KilledWorker)")
        except BaseException as error:  # of the cluster; a call raises nothing
            self._broken.append(error)
            self._came.release()
            return
        self._tell(chunk, receipt)
        self._came.release()

    def all(self) -> None:
        """Wait for them. Errors: what the cluster raised."""
        for _ in range(self._owed):
            self._came.acquire()
            if self._broken:
                raise self._broken[0]


def drop(engine: Engine, futures: list[Any]) -> None:
    """What runs is ended by its deputy, who sees that nobody wants it."""
    engine.client.cancel(futures, force=True)


WAYS: dict[str, Way] = {"submit": submit, "map": map_}

ANYTHING = frozenset({Returns.LIST, Returns.APPLY_RESULT, Returns.MAP_RESULT, Returns.ITERATOR, Returns.VALUE})
DEATH = "the task runs again elsewhere; after four deaths, KilledWorker by its result()"
OWN = (
    "on a cluster that we start a task whose worker dies is not run again unless the stage says `retry`; "
    "on yours, Dask's `allowed-failures` (3) decides. Calls run in processes below Dask's workers"
)

BACKEND = Backend(
    name="dask.distributed.Client",
    keyword="dask",
    methods=(
        Method(
            name="dask.distributed.Client.submit",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.APPLY_RESULT,
            ask=asked("submit"),
            lazy=True,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised by its result()",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP, Style.STAR, Style.ZIP}),
            also_returns=ANYTHING,
            aliases=("distributed.Client.submit", "Client.submit"),
            note=f"not in the survey; {OWN}",
        ),
        Method(
            name="dask.distributed.Client.map",
            dispatch=Dispatch.ASYNC,
            style=Style.ZIP,
            returns=Returns.LIST,
            ask=asked("map"),
            lazy=False,
            ordered=True,
            parallel=True,
            refills=True,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised by its result()",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP}),
            also_returns=ANYTHING,
            aliases=("distributed.Client.map", "Client.map"),
            note=f"not in the survey; gives a list of futures, and hands in all calls at once; {OWN}",
        ),
        Method(
            name="dask.distributed.as_completed",
            dispatch=Dispatch.ASYNC,
            style=Style.SINGLE,
            returns=Returns.UNORDERED,
            ask=asked("submit", ordered=False),
            lazy=True,
            ordered=False,
            parallel=True,
            refills=True,
            serializer="cloudpickle",
            price=PRICE,
            on_raise="raised by its result()",
            on_death=DEATH,
            also_styles=frozenset({Style.MAP, Style.STAR, Style.ZIP}),
            aliases=("distributed.as_completed",),
            note=f"not in the survey; {OWN}",
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
    rank=110,
    unavailable=needs("dask", "dask", "distributed", "cryptography"),
    cannot=CANNOT,
)
