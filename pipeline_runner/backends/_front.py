"""A process between the runner and a library that may end the process it is used in.

Ray ends its driver when it loses its cluster, and MPI every process of a job when one dies. Neither is to be the
runner: so the library is used in a process of its own, its *front*, that is given the chunks and sends back receipts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from itertools import count
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

from pipeline_runner.backends._cluster import AsTheyCome, Homes, InOrder, Opened
from pipeline_runner.backends._launch import Roster
from pipeline_runner.calls import Chunks, Perform, Receipt
from pipeline_runner.errors import ClusterUnreachable, PipelineError
from pipeline_runner.methods import Cluster, PoolSettings
from pipeline_runner.typed import TYPE_CHECKING, Any
from pipeline_runner.worker.keeper import CODE as KEEPER
from pipeline_runner.worker.keeper import ENDED, SAID

if TYPE_CHECKING:
    from concurrent.futures import Future

START_S = 60.0  # a cluster of many processes on a busy machine; Ray with too few descriptors never comes up
GRACE_S = 5.0
NEWS_S = (
    0.3  # chunks that have ended are on their way for so long: by Dask, their workers are asked for them one by one
)
LONGEST = 30  # of a temporary folder's name: Ray puts sockets below it, whose names have 62 more, of 107 at most
CODE = "import pipeline_runner.backends._front as f; f.main()"
ADDRESS, KEY = "PRUN_FRONT", "PRUN_FRONT_KEY"

Args = tuple[Any, ...]  # (ticket, payload), and behind them the brief
Tell = Callable[[int, Receipt], None]
Held = dict[int, Any]  # by chunk: what the library has given for it, as long as it is not told
Way = Callable[[Any, Perform, Iterator[Args], Tell, Held], None]
"""How a row asks its library, in the front: takes what comes, tells each receipt under its chunk's number, and returns
when all are told."""


def asked(way: str, *, ordered: bool = True) -> Callable[[Opened, Perform, Chunks], Iterator[Receipt]]:
    """A row whose library is used in a front, in this way of it."""

    def ask(opened: Opened, perform: Perform, chunks: Chunks) -> Iterator[Receipt]:
        front: Front = opened.pool
        return front.ask(opened, way, perform, chunks, InOrder() if ordered else AsTheyCome())

    return ask


def opening(homes: Homes) -> Callable[[PoolSettings], Opened]:
    """How a backend is opened whose library is used in a front."""

    def open_front(settings: PoolSettings) -> Opened:
        return Opened(homes.enter(settings.cluster or Cluster(workers=settings.workers)))

    return open_front


def raw(homes: Homes) -> Callable[[int], Opened]:
    """As anyone would open it."""
    return lambda workers: opening(homes)(
        PoolSettings(workers=workers, cluster=Cluster(workers=workers, options=(("raw", True),)))
    )


def brief(opened: Opened, data: bytes, tell: Callable[[Receipt], None]) -> None:
    opened.tell, opened.rest = tell, (data,)


def closing(homes: Homes) -> Callable[[Opened], None]:
    def close(opened: Opened) -> None:
        opened.ended.set()
        homes.leave(opened.pool)

    return close


def killing(homes: Homes) -> Callable[[Opened], None]:
    """Nobody hears of it any more; where nobody else is at it, the library ends with all that runs there."""

    def kill(opened: Opened) -> None:
        opened.ended.wait(NEWS_S)
        opened.wake()
        homes.leave(opened.pool)

    return kill


class FrontGone(PipelineError):
    """The library has ended the process in which it was used, or broke in it."""

    def __init__(self, library: str, said: str, error: str = "") -> None:
        super().__init__(library, said, error)
        self.library = library
        self.said = said
        self.error = error  # the class of what it raised there; empty: it is gone

    def __str__(self) -> str:
        what = ": ".join(filter(None, (self.error, self.said)))
        return f"{self.library} broke: {what}" if what else f"{self.library} ended without a word"


class _Keeper:
    """The process below which all of it is, as the roster wants it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self.pid = popen.pid

    @property
    def exitcode(self) -> int | None:
        return self.popen.poll()


class Front:
    """The runner's side. Several stages may ask at a time."""

    def __init__(
        self, library: str, module: str, where: str, options: Mapping[str, Any], command: Callable[[str], list[str]]
    ) -> None:
        self.library = library
        folder = tempfile.gettempdir()
        self._folder = tempfile.mkdtemp(prefix="prun-", dir=folder if len(folder) < LONGEST else "/tmp")
        self._asks: dict[int, Opened] = {}
        self._promised: dict[tuple[int, int], Future[Receipt]] = {}  # by ask and chunk
        self._numbers = count()
        self._sending = threading.Lock()
        self.gone = False
        key = os.urandom(32)
        address = (
            f"\0prun-front-{os.getpid()}-{os.urandom(8).hex()}" if sys.platform == "linux" else f"{self._folder}/front"
        )
        with Listener(address, "AF_UNIX", authkey=key) as listener:
            self._start(command(CODE), address, key)
            try:
                self._wire = self._accept(listener)
                self._wire.send((module, {**options, "folder": self._folder}, sys.path))
                answer = self._hear()
            except (OSError, EOFError):
                answer = self._said() or "it ended at once"
        if answer is not None:
            self.end()
            raise ClusterUnreachable(library, where, answer)
        self._reader = threading.Thread(target=self._read, name=f"prun-{library}", daemon=True)
        self._reader.start()

    def _start(self, command: list[str], address: str, key: bytes) -> None:
        root = str(Path(__file__).parent.parent.parent)
        paths = os.pathsep.join(dict.fromkeys([root, *(entry or os.getcwd() for entry in sys.path)]))
        environ = {**os.environ, ADDRESS: address.replace("\0", "@"), KEY: key.hex(), "PYTHONPATH": paths}
        self._roster = Roster()
        with self._roster.launch():
            popen = subprocess.Popen(
                [sys.executable, "-c", KEEPER, self._folder, *command, root],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environ,
                start_new_session=True,
            )
            self._keeper = _Keeper(popen)
            self._roster.add(self._keeper)

    def _accept(self, listener: Listener) -> Connection[Any, Any]:
        """Errors: OSError when nobody has come in time, or never will."""
        waiting: Any = listener
        waiting._listener._socket.settimeout(0.2)
        deadline = monotonic() + START_S
        while True:
            try:
                wire: Connection[Any, Any] = listener.accept()
                return wire
            except TimeoutError:
                if self._over() or monotonic() > deadline:
                    raise

    def _hear(self) -> Any:
        deadline = monotonic() + START_S
        while not self._wire.poll(0.2):
            if self._over() or monotonic() > deadline:
                raise EOFError
        return self._wire.recv()

    def _over(self) -> bool:
        """Whether what the keeper has started has ended."""
        return self._keeper.exitcode is not None or os.path.exists(os.path.join(self._folder, ENDED))

    def _said(self) -> str:
        """The last that was written by whatever the keeper has started."""
        with suppress(OSError):
            lines = Path(self._folder, SAID).read_text("utf-8", "replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def ask(self, opened: Opened, way: str, perform: Perform, chunks: Chunks, promises: InOrder) -> Iterator[Receipt]:
        number = next(self._numbers)
        self._asks[number] = opened
        self._send(("ask", number, way, perform, opened.rest))
        try:
            for ticket, payload in chunks:
                promise = self._promised[number, ticket.chunk] = opened.promise()
                promises.add(promise)
                self._send(("task", number, (ticket, payload)))
                yield from promises.ready()
            self._send(("end", number))
            yield from promises.rest()
        finally:
            if opened.ended.is_set() and not self.gone:
                self._send(("drop", number))
            self._asks.pop(number, None)

    def _send(self, message: tuple[Any, ...]) -> None:
        """Errors: FrontGone, also when its end was seen before what is sent here was promised."""
        try:
            with self._sending:
                self._wire.send(message)
        except OSError:
            self.gone = True
        if self.gone:
            raise FrontGone(self.library, self._said())

    def _read(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                match self._wire.recv():
                    case ("told", int(number), int(chunk), receipt):
                        opened, promise = self._asks.get(number), self._promised.pop((number, chunk), None)
                        if opened is not None and promise is not None:
                            opened.keep(promise, receipt)
                    case ("broke", int(number), str(error), str(why)):
                        self._break(number, FrontGone(self.library, why, error))
        self.gone = True
        gone = FrontGone(self.library, self._said())
        for number in list(self._asks):
            self._break(number, gone)

    def _break(self, number: int, error: BaseException) -> None:
        """What an ask still waits for will not come."""
        for key in [key for key in list(self._promised) if key[0] == number]:
            opened, promise = self._asks.get(number), self._promised.pop(key, None)
            if opened is not None and promise is not None:
                opened.keep(promise, error)

    def end(self) -> None:
        """End all of it, and wait until it is gone."""
        keeper = self._keeper.popen
        with suppress(OSError):
            if keeper.stdin is not None:
                keeper.stdin.close()
        try:
            keeper.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._roster.kill()
            keeper.wait()
        wire = getattr(self, "_wire", None)
        if wire is not None:
            with suppress(OSError):
                wire.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    close = end


# In the front itself.


def main() -> None:
    """Start the library, then take asks until the runner hangs up."""
    address, key = os.environ.pop(ADDRESS).replace("@", "\0"), bytes.fromhex(os.environ.pop(KEY))
    wire = Client(address, "AF_UNIX", authkey=key)
    module, options, sys.path[:] = wire.recv()
    library = import_module(module)
    try:
        engine = library.start(options)
    except BaseException as error:
        wire.send(f"{type(error).__name__}: {error}")
        return
    wire.send(None)
    sending = threading.Lock()
    asks: dict[int, tuple[SimpleQueue[Args | None], Held]] = {}

    def send(message: tuple[Any, ...]) -> None:
        with sending, suppress(OSError):
            wire.send(message)

    with suppress(EOFError, OSError):
        while True:
            match wire.recv():
                case ("ask", int(number), str(way), perform, rest):
                    tasks, held = asks[number] = SimpleQueue(), {}
                    rest = library.shared(engine, rest)
                    arguments = (library.WAYS[way], engine, perform, tasks, held, rest, number, send)
                    threading.Thread(target=_run, args=arguments, daemon=True).start()
                case ("task", int(number), task):
                    asks[number][0].put(task)
                case ("end", int(number)):
                    asks[number][0].put(None)
                case ("drop", int(number)):
                    tasks, held = asks[number]
                    tasks.put(None)
                    library.drop(engine, list(held.values()))
    os._exit(0)  # the keeper ends the rest


def _run(
    way: Way,
    engine: Any,
    perform: Perform,
    tasks: SimpleQueue[Args | None],
    held: Held,
    rest: Args,
    number: int,
    send: Callable[[tuple[Any, ...]], None],
) -> None:
    try:
        way(
            engine,
            perform,
            (task + rest for task in iter(tasks.get, None)),
            lambda chunk, receipt: send(("told", number, chunk, receipt)),
            held,
        )
    except BaseException as error:
        send(("broke", number, type(error).__name__, str(error)))
