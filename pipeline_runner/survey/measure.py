"""Measures the table again on this machine, and says where the installed versions differ from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from shutil import rmtree

from pipeline_runner.axes import Dispatch
from pipeline_runner.classes import dataclass
from pipeline_runner.methods import Backend, Method

DEADLINE_S = 60.0
NOT_MEASURED = "(it would end us)"
QUESTIONS = ("behaviour", "on_raise", "on_death")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a row does here. None, or an empty word: it could not be found out in time."""

    method: str
    blocks: bool | None = None  # the library's call returns only when its calls have ended
    overlaps: bool | None = None
    refills: bool | None = None
    lazy: bool | None = None
    ordered: bool | None = None
    on_raise: str = ""
    on_death: str = ""

    @property
    def dispatch(self) -> Dispatch | None:
        if self.overlaps is None or self.refills is None:
            return None
        if not self.overlaps:
            return Dispatch.BLOCKING
        return Dispatch.ASYNC if self.refills else Dispatch.BATCH


@dataclass(frozen=True)
class Difference:
    """One fact of a row that is another here."""

    method: str
    fact: str
    table: str
    here: str

    def __str__(self) -> str:
        return f"{self.method}: {self.fact} is {self.here} here, {self.table} in the table"


def versions() -> dict[str, str]:
    clusters = [name for name in ("distributed", "ray", "mpi4py") if find_spec(name) is not None]
    names = ("pathos", "ppft", "multiprocess", "dill", *clusters)
    return {"python": python_version(), **{name: version(name) for name in names}}


def measure(rows: Sequence[tuple[Method, Backend]], tell: Callable[[str], None]) -> Iterator[Measured]:
    """Every row in turn whose library is installed; `tell` hears each one's name when it is done."""
    rows = [(method, backend) for method, backend in rows if backend.unavailable() is None]
    with ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0)) // 2)) as pool:
        for found in pool.map(lambda row: measure_one(*row), rows):
            tell(found.method)
            yield found


def measure_one(method: Method, backend: Backend) -> Measured:
    facts: dict[str, object] = {}
    for question in QUESTIONS:
        if question == "on_death" and backend.in_process:
            facts["on_death"] = NOT_MEASURED
        else:
            facts |= ask(method.name, question)
    return Measured(method=method.name, **facts)  # type: ignore[arg-type]


def ask(method: str, question: str) -> dict[str, object]:
    """One question to one raw library in a process of its own, which is ended with all it has started."""
    folder = Path(tempfile.mkdtemp(prefix="prun-measure-"))
    file = folder / "answer.json"
    probe = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner.survey.probes", method, question, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            "TMPDIR": str(folder),
        },
    )
    try:
        probe.wait(DEADLINE_S)
        answer: dict[str, object] = json.loads(file.read_text())
        return answer
    except (subprocess.TimeoutExpired, OSError):
        return {}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(probe.pid, signal.SIGKILL)
        probe.wait()
        rmtree(folder, ignore_errors=True)


def differences(method: Method, found: Measured) -> list[Difference]:
    """Where the row's claims and what was found are not the same. What was not found out differs in nothing."""
    pairs = [
        ("dispatch", method.dispatch.value, found.dispatch and found.dispatch.value),
        ("overlaps", yes(method.parallel), yes(found.overlaps)),
        ("refills", yes(method.refills), yes(found.refills)),
        ("lazy input", yes(method.lazy), yes(found.lazy)),
        ("in call order", yes(method.ordered), yes(found.ordered)),
        ("a raise", method.on_raise, found.on_raise),
        ("a death", method.on_death, found.on_death),
    ]
    return [
        Difference(method.name, fact, claimed, here)
        for fact, claimed, here in pairs
        if here and here not in claimed and here != NOT_MEASURED
    ]


def yes(fact: bool | None) -> str:
    return "" if fact is None else ("yes" if fact else "no")
