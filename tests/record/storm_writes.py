"""P6: every step of writing fails, or the process dies at it; then there is room again, and the run goes on."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from storm_site import CALL, EXPECTED, SERIAL, Site, has_run
from tally import Tally

LOST, WRONG, UNCLEAR = "finished items lost", "wrong results", "failures told without path and cure"
OWED, UNTRIED = "second resumes that made something", "steps left untried"
HOW = ("EIO", "ENOSPC", "dies before", "dies after")
FAILPOINTS = (
    4 * 130
)  # of a run that has some 80 steps, more on a busy machine; the last must find that there are no more


def failpoints(trials: range, seed: int) -> Tally:
    """P6: the N-th step of writing fails, or the process dies before or after it, for every N."""
    tally = Tally.of(LOST, WRONG, UNCLEAR, OWED, UNTRIED)
    for trial in trials:
        how, number = HOW[trial % len(HOW)], 1 + trial // len(HOW)
        with tally.trial(how, number), Site() as site:
            site.stages(SERIAL)
            told = site.top / "told"
            kind, value = site.forked(lambda how=how, number=number: _break(how, number), on_event=teller(told))  # type: ignore[misc]
            if kind == "done":
                tally.beyond += 1
                continue
            tally.trials += 1
            tally.did[how] += 1
            tally.at_most("steps", number)
            if how.startswith("dies"):
                tally.check(kind == "killed", WRONG, how, number, kind, value)
            else:
                clear(tally, site, kind, value, how, number)
            goes_on(tally, site, told, how, number)
            tally.check(trial < FAILPOINTS - len(HOW), UNTRIED, how, number)
    return tally


def clear(tally: Tally, site: Site, kind: str, value: Any, *where: object) -> None:
    """The failure names the path and the need, and how to go on."""
    well = kind == "error" and value[0] == 4 and str(site.state) in value[1]
    tally.check(well and ("--resume" in value[1] or "--state" in value[1]), UNCLEAR, *where, kind, value)


def teller(told: Path) -> Callable[[Any], None]:
    def hear(event: Any) -> None:
        if type(event).__name__ == "CallsDone":
            with open(told, "a") as file:
                file.writelines(f"{event.stage} {n}\n" for n in event.indices)

    return hear


def goes_on(tally: Tally, site: Site, told: Path, *where: object) -> None:
    """After the cure: done, nothing that was told to be finished is made again, and then nothing is owed."""
    finished = set()
    if told.exists():
        finished = {CALL[line.split()[0]](int(line.split()[1])) for line in told.read_text().splitlines()}
    tally.did["items finished before"] += len(finished)
    site.made()
    kind, value = site.forked(resume=has_run(site))
    tally.check((kind, value) == ("done", EXPECTED), WRONG, *where, kind, str(value)[:300])
    again = sorted(finished & set(site.made()))
    tally.found_out(LOST, len(again), *where, "finished, and made again", *again)
    kind, value = site.forked(resume=True)
    tally.check((kind, value) == ("done", EXPECTED), WRONG, *where, "resumed again", kind, str(value)[:300])
    tally.check(not (made := site.made()), OWED, *where, *made)


def _break(how: str, number: int) -> None:
    """Make the N-th step of writing go wrong: every statement, and each open, write and rename of a value's file."""
    from pipeline_runner.record import store

    steps = itertools.count(1)

    def wrapped(real: Callable[..., Any], sql: bool = False) -> Callable[..., Any]:
        def step(*args: Any, **keywords: Any) -> Any:
            here = next(steps) == number
            if here and how == "dies before":
                os.kill(os.getpid(), signal.SIGKILL)
            if here and how in ("EIO", "ENOSPC"):
                raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))
            done = real(*args, **keywords)
            if here and how == "dies after":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return step

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, row: Any = ()) -> Any:  # type: ignore[override]
            if statement.startswith(("SELECT", "PRAGMA")):
                return super().execute(statement, row)
            try:
                return wrapped(super().execute)(statement, row)
            except OSError as error:
                raise sqlite3.OperationalError(
                    "disk I/O error" if how == "EIO" else "database or disk is full"
                ) from error

    connect = sqlite3.connect
    store.sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)  # type: ignore[attr-defined]
    real = store.Store.write_value

    def write_value(self: Any, name: str, *data: bytes) -> None:
        with _patched(Path, "replace", wrapped(Path.replace)), _patched(store.os, "open", wrapped(os.open)):
            real(self, name, *data)

    class Writer:
        """A value's file whose writing is a step, too."""

        def __init__(self, *given: Any) -> None:
            self._file = open(*given)  # noqa: SIM115

        def __enter__(self) -> Writer:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            half = self._file.write(data[: len(data) // 2])
            return half + wrapped(self._file.write)(data[len(data) // 2 :])

        def writelines(self, pieces: Sequence[bytes]) -> None:
            for piece in pieces:
                self.write(piece)

    store.Store.write_value = write_value  # type: ignore[method-assign]
    vars(store)["open"] = lambda given, mode: (Writer if mode == "wb" else open)(given, mode)


@contextlib.contextmanager
def _patched(where: Any, name: str, what: Any) -> Iterator[None]:
    before = getattr(where, name)
    setattr(where, name, what)
    try:
        yield
    finally:
        setattr(where, name, before)


def full_disks(trials: range, seed: int) -> Tally:
    """P6, P12: a real file system that is full after so many bytes, then has room again."""
    tally = Tally.of(LOST, WRONG, UNCLEAR, OWED)
    for trial in trials:
        kib = 64 + trial * 80
        with tally.trial(f"{kib} KiB"), Site() as site, tmpfs(site, kib) as room:
            site.stages(SERIAL)
            told = site.top / "told"
            kind, value = site.forked(on_event=teller(told))
            if kind == "done":
                tally.beyond += 1
                continue
            tally.trials += 1
            tally.did["full disks"] += 1
            clear(tally, site, kind, value, f"{kib} KiB")
            room()
            goes_on(tally, site, told, f"{kib} KiB")
    return tally


@contextlib.contextmanager
def tmpfs(site: Site, kib: int) -> Iterator[Callable[..., None]]:
    """The state folder on a file system of its own of so many KiB. Gives what makes it roomy."""
    site.state.mkdir(mode=0o700)

    def mount(*options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join(["mode=0700", *options]), "tmpfs", site.state], check=True
        )

    mount(f"size={kib}k")
    try:
        yield lambda *options: mount("remount", *(options or ("size=64m",)))
    finally:
        subprocess.run(["umount", "-l", site.state], check=True)


def page_limits(trials: range, seed: int) -> Tally:
    """P6: SQLite itself says that the disk is full, at each number of pages (where nobody may mount, too)."""
    tally = Tally.of(LOST, WRONG, UNCLEAR, OWED)
    for trial in trials:
        pages = trial + 1
        with tally.trial(pages, "pages"), Site() as site:
            site.stages(SERIAL)
            told = site.top / "told"
            kind, value = site.forked(lambda pages=pages: _few_pages(pages), on_event=teller(told))  # type: ignore[misc]
            if kind == "done":
                tally.beyond += 1
                continue
            tally.trials += 1
            tally.did["page limits"] += 1
            clear(tally, site, kind, value, f"{pages} pages")
            goes_on(tally, site, told, f"{pages} pages")
    return tally


def _few_pages(pages: int) -> None:
    from pipeline_runner.record.store import Store

    real = Store._connect

    def limited(self: Any) -> Any:
        connection = real(self)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    Store._connect = limited  # type: ignore[method-assign]
