"""Asks one raw library one question, in a process of its own.

Its command line is METHOD QUESTION FILE.

Nothing of ours stands between: pools are made as anyone would make them, so a question may hang
this process for ever. Whoever starts it gives it a deadline. The answer goes to FILE as JSON.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from itertools import tee
from pathlib import Path
from typing import Any

from pipeline_runner.backends._front import FrontGone
from pipeline_runner.calls import Lost, Perform, Receipt, Task, Ticket
from pipeline_runner.methods import Method, PoolSettings

PATIENCE_S = 1.5  # what has not happened by then does not happen
CLUSTERS_PATIENCE_S = 10.0  # a cluster steals work now and then, and starts a worker anew before it gives up
START_S = 10.0  # for the first call: workers may be fresh interpreters


def row(ticket: Ticket, payload: bytes) -> Receipt:
    """Runs in the worker: tells that it starts, does as it is told, tells that it has ended."""
    folder, deed = payload.decode().split("\n")
    tell(folder, f"start {ticket.chunk}")
    if deed == "hold":
        with open(f"{folder}/gate", "rb", buffering=0) as gate:
            gate.read(1)
    elif deed == "work":  # Dask moves no task that is shorter than 5 ms
        time.sleep(0.02)
    elif deed == "raise":
        raise LookupError("asked to")
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    tell(folder, f"end {ticket.chunk}")
    return ticket.chunk


def one(task: Task) -> Receipt:
    return row(*task)


def tell(folder: str, line: str) -> None:
    with open(f"{folder}/news", "wb", buffering=0) as news:
        news.write(f"{line}\n".encode())


class Wires:
    """Two named pipes to the workers: news from them, a gate for those that are held."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="prun-measure-")
        for name in ("news", "gate"):
            os.mkfifo(f"{self.folder}/{name}")
        self._news = os.open(f"{self.folder}/news", os.O_RDWR)
        self._gate = os.open(f"{self.folder}/gate", os.O_RDWR)
        self.heard: list[str] = []

    def told(self, *lines: str, within_s: float | None = None) -> bool:
        """Whether all these lines come in time."""
        deadline = time.monotonic() + (PATIENCE_S if within_s is None else within_s)
        while not set(lines) <= set(self.heard):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._news], [], [], left)[0]:
                return False
            self.heard += os.read(self._news, 1 << 16).decode().split("\n")
        return True

    def release(self, calls: int) -> None:
        os.write(self._gate, b"." * calls)


class Asked:
    """Chunks of one deed each, in every shape."""

    workers = 2

    def __init__(self, wires: Wires, deeds: Iterable[str]) -> None:
        self._wires, self._deeds = wires, deeds

    def __iter__(self) -> Iterator[Task]:
        for number, deed in enumerate(self._deeds):
            ticket = Ticket(beacon="", lease=0, job=0, step=0, chunk=number, budget_s=0.0, leave=False)
            yield ticket, f"{self._wires.folder}\n{deed}".encode()

    rows = __iter__

    def columns(self) -> tuple[Iterable[Ticket], Iterable[bytes]]:
        left, right = tee(self)
        return (task[0] for task in left), (task[1] for task in right)


class Asker(threading.Thread):
    """Asks in a thread, so that an answer that never comes can be told."""

    def __init__(self, method: Method, pool: Any, chunks: Asked) -> None:
        super().__init__(daemon=True)
        self._method, self._pool, self._chunks = method, pool, chunks
        self.receipts: list[Any] = []
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for receipt in self._method.ask(self._pool, Perform(row, one), self._chunks):
                self.receipts.append(receipt)
        except BaseException as error:
            self.error = error


class Returning:
    """Stands before the library's object and notes when a call of it has returned."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.returned = threading.Event()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **keywords: Any) -> Any:
            answer = value(*arguments, **keywords)
            self.returned.set()
            return answer

        return call


def watched(pool: Any) -> tuple[Any, Returning]:
    for name in ("pool", "context"):
        if is_dataclass(pool) and name in {field.name for field in fields(pool)}:
            watch = Returning(getattr(pool, name))
            opened: Any = pool
            return replace(opened, **{name: watch}), watch
    watch = Returning(pool)
    return watch, watch


def behaviour(method: Method, pool: Any) -> dict[str, object]:
    """Blocks, overlaps, refills, lazy, ordered."""
    pool, watch = watched(pool)
    wires = Wires()
    warm = Asker(method, pool, Asked(wires, ["tell"] * 2))
    warm.join(START_S)
    watch.returned.clear()

    wires = Wires()
    asker = Asker(method, pool, Asked(wires, ["hold"] * 2))
    wires.told("start 0", within_s=START_S)
    overlaps = wires.told("start 0", "start 1")
    blocks = not watch.returned.wait(0.2)
    wires.release(2)
    asker.join(START_S)

    wires = Wires()
    asker = Asker(method, pool, Asked(wires, ["hold", *["work"] * 4]))
    wires.told("start 0", within_s=START_S)
    refills = wires.told(*(f"end {number}" for number in (1, 2, 3, 4)))
    threading.Event().wait(0.2)  # for the receipts of what has ended
    wires.release(1)
    asker.join(START_S)
    ordered = asker.receipts == sorted(asker.receipts)

    return {
        "blocks": blocks,
        "overlaps": overlaps,
        "refills": refills,
        "ordered": ordered,
        "lazy": takes_as_it_goes(method, pool),
    }


def takes_as_it_goes(method: Method, pool: Any) -> bool:
    """Whether a receipt comes back while there is still input."""
    asker: Asker | None = None
    early = False

    def deeds() -> Iterator[str]:
        nonlocal early
        end = time.monotonic() + 1.0
        while time.monotonic() < end and not early:
            yield "tell"
            threading.Event().wait(0.002)
            early = bool(asker and asker.receipts)

    asker = Asker(method, pool, Asked(Drain(), deeds()))
    asker.join(START_S)
    return early


class Drain(Wires):
    """Wires that nobody listens to: a thread keeps the pipe empty."""

    def __init__(self) -> None:
        super().__init__()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while os.read(self._news, 1 << 16):
            pass


def on_raise(method: Method, pool: Any) -> dict[str, object]:
    wires = Wires()
    asker = Asker(method, pool, Asked(wires, ["tell", "raise", "tell"]))
    wires.told("start 1", within_s=START_S)
    asker.join(2 * PATIENCE_S)
    return {"on_raise": answer(asker)}


def on_death(method: Method, pool: Any) -> dict[str, object]:
    wires = Wires()
    asker = Asker(method, pool, Asked(wires, ["tell", "die", "tell"]))
    wires.told("start 1", within_s=START_S)
    asker.join(2 * PATIENCE_S)
    return {"on_death": answer(asker)}


def answer(asker: Asker) -> str:
    """What became of three calls, the second of which went wrong, in the words of the rows."""
    if asker.is_alive():
        return "waits for ever"
    match asker.error:
        case None if any(isinstance(receipt, Lost) for receipt in asker.receipts):
            lost = next(receipt for receipt in asker.receipts if isinstance(receipt, Lost))
            return lost.why.rpartition("(")[2].rstrip(")")
        case None if None in asker.receipts and len(asker.receipts) == 3:
            return "None"
        case None:
            return "wrong list"
        case LookupError():
            return "raised"
        case FrontGone(error="LookupError"):
            return "raised"
        case FrontGone(error=error):
            return error.partition("(")[0] or "ends the program"
        case error if hasattr(error, "exitcode"):
            return "exit code"
        case error:
            return type(error).__name__


QUESTIONS: dict[str, Callable[[Method, Any], dict[str, object]]] = {
    "behaviour": behaviour,
    "on_raise": on_raise,
    "on_death": on_death,
}


def main(name: str, question: str, file: str) -> None:
    from pipeline_runner.backends import table

    global PATIENCE_S
    methods = table()
    method, backend = methods.methods[name], methods.owners[name]
    if not backend.local:
        PATIENCE_S = CLUSTERS_PATIENCE_S
    pool = backend.raw(2) if backend.raw else backend.open(PoolSettings(workers=2))
    found = QUESTIONS[question](method, pool)
    Path(f"{file}.part").write_text(json.dumps(found))
    Path(f"{file}.part").rename(file)
    os._exit(0)  # what hangs in this process may hang


if __name__ == "__main__":
    # Imported again by its name, so that workers find the functions there and not in __main__.
    import_module("pipeline_runner.survey.probes").main(*sys.argv[1:])
