"""Storms: runs that are killed, starved and damaged on purpose, in any number, with the figures of what became of them.

Each storm takes a size and a seed, raises AssertionError where a promise is broken, and gives its figures.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline_runner.errors import PipelineError
from pipeline_runner.pipeline import Pipeline

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 60  # of one child

WORK = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent

def note(*told):
    with open(HERE / "made", "ab", buffering=0) as file:
        file.write((" ".join(map(str, told)) + chr(10)).encode())

def square(x):
    note("a", x)
    time.sleep(PAUSE)
    return x * x

def save(x):
    note("b", x)
    whole = f"value {x}" * 20
    with open(HERE / "out" / str(x), "w", buffering=1) as file:
        file.write(whole[:50])
        file.flush()
        time.sleep(PAUSE)
        file.write(whole[50:])
    return x + 1

def big(x):
    note("c", x)
    return bytes([x % 256]) * 300_000

def total(values, sizes=()):
    note("t")
    return [sum(values), [len(value) for value in sizes]]
"""


class Site:
    """A project in a folder of its own, with its own key."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="prun-storm-"))
        self.folder = self.top / "project"
        (self.folder / "out").mkdir(parents=True)
        self.file = self.folder / "pipeline.yaml"
        self.state = self.folder / ".prun"
        self.env = os.environ | {"XDG_CONFIG_HOME": str(self.top / "config"), "PYTHONPATH": str(REPOSITORY)}
        self.env.pop("PRUN_STATE", None)
        self.functions(WORK.replace("PAUSE", str(pause_s)))

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.top, ignore_errors=True)

    def functions(self, text: str) -> None:
        (self.folder / "work.py").write_text(text)

    def stages(self, stages: dict[str, Any], **top: Any) -> None:
        self.file.write_text(yaml.safe_dump({"version": 1, "stages": stages, **top}, sort_keys=False))

    def made(self) -> list[str]:
        """Calls that were begun since this was asked last."""
        file = self.folder / "made"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def prun(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline_runner", str(self.file), "--json", "-q", *words],
            cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=DEADLINE_S, check=False, **more,
        )  # fmt: skip

    def forked(self, prepare: Callable[[], None] = lambda: None, **options: Any) -> tuple[str, Any]:
        """Run it in a forked child of ours: ("done", values) · ("error", (exit code, text)) · ("killed", signal)."""
        answer = self.top / "answer"
        answer.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            self._child(answer, prepare, options)
        _, status = os.waitpid(pid, 0)
        if answer.exists():
            told: tuple[str, Any] = pickle.loads(answer.read_bytes())
            return told
        return "killed", os.waitstatus_to_exitcode(status)

    def _child(self, answer: Path, prepare: Callable[[], None], options: dict[str, Any]) -> None:
        signal.alarm(DEADLINE_S)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            prepare()
            try:
                result = Pipeline.load(self.file).run(**options)
                told: tuple[str, Any] = str(result.status), (dict(result) if result.exit_code == 0 else None)
            except PipelineError as error:
                told = "error", (error.exit_code, str(error))
            except Exception as error:
                told = "bug", (1, repr(error))
            aside = answer.with_suffix(".new")
            aside.write_bytes(pickle.dumps(told))
            os.replace(aside, answer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)


SERIAL = {
    "a": {"call": "work:square", "over": list(range(12)), "backend": "serial", "chunk": 2},
    "b": {"call": "work:save", "over": "${stages.a}", "backend": "threads", "chunk": 2},
    "c": {"call": "work:big", "over": {"range": 4}, "backend": "serial", "chunk": 1},
    "t": {"call": "work:total", "with": {"values": "${stages.b}", "sizes": "${stages.c}"}, "backend": "serial"},
}

# P5 ---------------------------------------------------------------------------------------------------------------

RUNNER = """
import os, sys
from pipeline_runner import Pipeline
from pipeline_runner.events import CallsDone

told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def hear(event):
    if isinstance(event, CallsDone):
        os.write(told, "".join(f"{event.stage} {n}\\n" for n in event.indices).encode())

if __name__ == "__main__":
    result = Pipeline.load("pipeline.yaml").run(resume=sys.argv[1] == "resume", on_event=hear, workers=2)
    with open("result", "w") as file:
        file.write(f"{result.status} {result['t'][0]}")
"""

METHODS = ["multiprocessing.Pool.imap", "concurrent.futures.ProcessPoolExecutor.submit", "pathos.ProcessPool.uimap"]


def kills(size: int, seed: int = 1) -> dict[str, Any]:
    """P5: SIGKILL of the runner, of its whole tree, or of a worker, at random moments; then resume, until done."""
    dice = random.Random(seed)
    figures: Counter[str] = Counter()
    worst = 0
    items = 60
    while figures["kills"] < size:
        with Site(pause_s=0.004) as site:
            (site.folder / "runner.py").write_text(RUNNER)
            method = dice.choice(METHODS)
            site.stages(
                {
                    "a": {"call": "work:square", "over": {"range": items}, "method": method, "chunk": dice.choice([1, 4])},
                    "b": {"call": "work:save", "over": "${stages.a}", "backend": "multiprocessing", "chunk": 1},
                    "t": {"call": "work:total", "with": {"values": "${stages.b}"}},
                },
                defaults={"retry": 5},  # a worker's death counts as a try
            )  # fmt: skip
            again, most = _until_done(site, dice, figures, items)
            figures["run again"] += again
            worst = max(worst, most)
            assert (site.folder / "result").read_text() == f"done {sum(n * n + 1 for n in range(items))}"
            for n in range(items):
                assert (site.folder / "out" / str(n * n)).read_text() == f"value {n * n}" * 20, "a half output"
            figures["pipelines"] += 1
    return {**figures, "most run again after one kill": worst, "finished items lost": 0, "half outputs": 0}


def _until_done(site: Site, dice: random.Random, figures: Counter[str], items: int) -> tuple[int, int]:
    again = worst = 0
    told: set[str] = set()
    made: Counter[str] = Counter()
    while True:
        resume = _has_run(site)
        process = subprocess.Popen(
            [sys.executable, "runner.py", "resume" if resume else "begin"],
            cwd=site.folder, env=site.env, start_new_session=True, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        how = dice.choice(["runner", "runner", "tree", "worker"])
        # Most moments are while calls run; some are while it begins.
        _wait_for(lambda p=process: p.poll() is not None or (site.folder / "made").exists() or dice.random() < 0.005)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 0.35))
        if process.poll() is None:
            figures["kills"] += 1
            figures[f"of {how}"] += 1
            _kill(process.pid, how, dice)
        _, said = process.communicate(timeout=DEADLINE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that have not yet noticed: their calls were not told
        now = Counter(site.made())
        for call, times in now.items():
            lost = call in told
            assert not lost, f"{call} was finished, and was made again"
            again += min(times, made[call] + times - 1)
        worst = max(worst, sum(min(n, made[c] + n - 1) for c, n in now.items()))
        made += now
        told |= _told(site)
        if process.returncode == 0:
            return again, worst
        assert process.returncode == -signal.SIGKILL, f"exit {process.returncode}: {said}"


def _has_run(site: Site) -> bool:
    if not (site.state / "journal.db").exists():
        return False
    with contextlib.closing(sqlite3.connect(site.state / "journal.db")) as connection:
        try:
            return bool(connection.execute("SELECT 1 FROM run").fetchone())
        except sqlite3.OperationalError:
            return False  # killed before it made the tables


def _told(site: Site) -> set[str]:
    """What was heard to be finished, as the calls note it: stage b's call n was given n * n."""
    file = site.folder / "told"
    if not file.exists():
        return set()
    lines = [line.split() for line in file.read_text().splitlines()]
    return {f"a {n}" if stage == "a" else f"b {int(n) ** 2}" if stage == "b" else "t" for stage, n in lines}


def _kill(pid: int, how: str, dice: random.Random) -> None:
    with contextlib.suppress(ProcessLookupError):
        if how == "tree":
            os.killpg(pid, signal.SIGKILL)
        elif how == "runner":
            os.kill(pid, signal.SIGKILL)
        else:
            others = [other for other in _group(pid) if other != pid]
            if others:
                os.kill(dice.choice(others), signal.SIGKILL)


def _group(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            if int(path.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(path.parent.name))
    return found


# P6 ---------------------------------------------------------------------------------------------------------------


def failpoints(size: int, seed: int = 1) -> dict[str, Any]:
    """P6: the N-th step of writing fails, or the process dies before or after it, for every N (at most `size` each)."""
    figures: Counter[str] = Counter()
    for how in ("EIO", "ENOSPC", "dies before", "dies after"):
        for number in itertools.count(1, 1 if size >= 500 else 7):
            if figures[how] >= size or not _failpoint(how, number, figures):
                break
    return {**figures, "finished items lost": 0}


def _failpoint(how: str, number: int, figures: Counter[str]) -> bool:
    """Whether there was such a step."""
    with Site() as site:
        site.stages(SERIAL)
        told = site.top / "told"
        kind, value = site.forked(lambda: _break(how, number), on_event=_teller(told))
        if kind == "done":
            return False
        if how.startswith("dies"):
            assert kind == "killed", (kind, value)
        else:
            assert kind == "error", (how, number, kind, value)
            assert value[0] == 4, value
            assert str(site.state) in value[1], value
            assert "--resume" in value[1] or "--state" in value[1], value
        _goes_on(site, told)
        figures[how] += 1
    return True


def _teller(told: Path) -> Callable[[Any], None]:
    def hear(event: Any) -> None:
        if type(event).__name__ == "CallsDone":
            with open(told, "a") as file:
                file.writelines(f"{event.stage} {n}\n" for n in event.indices)

    return hear


EXPECTED = {
    "a": [n * n for n in range(12)],
    "b": [n * n + 1 for n in range(12)],
    "c": [bytes([n]) * 300_000 for n in range(4)],
    "t": [sum(n * n + 1 for n in range(12)), [300_000] * 4],
}
CALL: dict[str, Callable[[int], str]] = {
    "a": lambda n: f"a {n}",
    "b": lambda n: f"b {n * n}",
    "c": lambda n: f"c {n}",
    "t": lambda n: "t",
}


def _goes_on(site: Site, told: Path) -> None:
    """After the cure: done, nothing that was told to be finished is made again, and then nothing is owed."""
    finished = set()
    if told.exists():
        finished = {CALL[line.split()[0]](int(line.split()[1])) for line in told.read_text().splitlines()}
    site.made()
    kind, value = site.forked(resume=_has_run(site))
    assert (kind, value) == ("done", EXPECTED), (kind, str(value)[:300])
    again = finished & set(site.made())
    assert not again, f"finished, and made again: {again}"
    assert site.forked(resume=True)[0] == "done"
    assert site.made() == []


def _break(how: str, number: int) -> None:
    """Make the N-th step of writing go wrong: every statement, and each open, write and rename of a value's file."""
    import errno

    from pipeline_runner.record import journal, store

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

    def write_value(self: Any, name: str, data: bytes) -> None:
        with _patched(Path, "replace", wrapped(Path.replace)), _patched(store.os, "open", wrapped(os.open)):
            real(self, name, data)

    store.Store.write_value = write_value  # type: ignore[method-assign]
    del journal


@contextlib.contextmanager
def _patched(where: Any, name: str, what: Any) -> Iterator[None]:
    before = getattr(where, name)
    setattr(where, name, what)
    try:
        yield
    finally:
        setattr(where, name, before)


def full_disks(size: int, seed: int = 1) -> dict[str, Any]:
    """P6, P12: a real file system that is full after so many bytes, then has room again."""
    figures: Counter[str] = Counter()
    for number in range(size):
        with Site() as site, _tmpfs(site, kib := 64 + number * 1600 // max(1, size)) as room:
            site.stages(SERIAL)
            told = site.top / "told"
            kind, value = site.forked(on_event=_teller(told))
            if kind == "done":
                continue
            assert kind == "error", (kib, kind, value)
            assert value[0] == 4, value
            assert str(site.state) in value[1], value
            room()
            _goes_on(site, told)
            figures["full disks"] += 1
    assert figures["full disks"], "no disk was full"
    return {**figures, "finished items lost": 0}


@contextlib.contextmanager
def _tmpfs(site: Site, kib: int) -> Iterator[Callable[..., None]]:
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


def page_limits(size: int, seed: int = 1) -> dict[str, Any]:
    """P6: SQLite itself says that the disk is full, at each number of pages (where nobody may mount, too)."""
    figures: Counter[str] = Counter()
    for pages in range(1, 1 + size):
        with Site() as site:
            site.stages(SERIAL)
            told = site.top / "told"
            kind, value = site.forked(lambda pages=pages: _few_pages(pages), on_event=_teller(told))  # type: ignore[misc]
            if kind == "done":
                break
            assert kind == "error", (pages, kind, value)
            assert value[0] == 4, value
            _goes_on(site, told)
            figures["page limits"] += 1
    return {**figures, "finished items lost": 0}


def _few_pages(pages: int) -> None:
    from pipeline_runner.record.store import Store

    real = Store.connect

    def connect(self: Any) -> Any:
        connection = real(self)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    Store.connect = connect  # type: ignore[method-assign]


# P7 ---------------------------------------------------------------------------------------------------------------


def corruptions(size: int, seed: int = 1) -> dict[str, Any]:
    """P7: the store is damaged in `size` ways; never a wrong value, and the second resume makes nothing."""
    dice = random.Random(seed)
    figures: Counter[str] = Counter()
    survived: list[float] = []
    with Site() as site:
        site.stages(SERIAL)
        kept = site.top / "kept"
        _prepare_two_runs(site)
        shutil.copytree(site.state, kept)
        total = sum(len(values) if name != "t" else 1 for name, values in EXPECTED.items())
        for number in range(size):
            shutil.rmtree(site.state)
            shutil.copytree(kept, site.state)
            key = site.top / "config" / "prun" / "key"
            secret = key.read_bytes()
            what, touched = dice.choice(DAMAGES)(site, dice)
            site.made()
            kind, value = site.forked(resume=True)
            if kind == "error" and value[0] == 2:  # not even that there was a run is known any more
                figures["begun anew"] += 1
                kind, value = site.forked()
            assert (kind, value) == ("done", EXPECTED), (number, what, kind, str(value)[:300])
            made = set(site.made())
            if touched is not None:
                assert made <= touched, (number, what, made - touched)
            else:
                survived.append(1 - len(made) / total)
            kind, value = site.forked(resume=True)
            assert (kind, value) == ("done", EXPECTED), (number, what, "second", kind, str(value)[:300])
            assert site.made() == [], (number, what, "the second resume was no no-op")
            key.write_bytes(secret)
            figures[what] += 1
    share = f"{100 * sum(survived) / len(survived):.0f} %" if survived else "-"
    return {"corruptions": size, "wrong values": 0, **figures, "kept of a damaged database, mean": share}


def _prepare_two_runs(site: Site) -> None:
    """An older run with other values under it, and the one that is to be resumed."""
    stages = {name: dict(stage) for name, stage in SERIAL.items()}
    stages["a"]["over"] = list(range(50, 62))
    site.stages(stages)
    assert site.forked()[0] == "done"
    time.sleep(0.01)
    site.stages(SERIAL)
    assert site.forked()[0] == "done"


Touched = set[str] | None  # the calls that may have to be made again; None: any


def _bytes(name: str) -> Callable[[Site, random.Random], tuple[str, Touched]]:
    def damage(site: Site, dice: random.Random) -> tuple[str, Touched]:
        if name == "-wal":  # kept by a runner that did not close
            _leave_a_log(site)
        path = site.state / f"journal.db{name}"
        data = bytearray(path.read_bytes()) if path.exists() else bytearray()
        how = dice.choice(["truncated", "flipped", "emptied", "zeroed page", "noise"])
        at = dice.randrange(max(1, len(data)))
        match how:
            case "truncated":
                del data[at:]
            case "flipped" if data:
                data[at] ^= 1 << dice.randrange(8)
            case "emptied":
                data.clear()
            case "zeroed page":
                data[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = bytes(4096)
            case "noise":
                data[at : at + 64] = dice.randbytes(min(64, len(data) - at))
        path.write_bytes(data)
        return f"journal.db{name} {how}", None

    return damage


def _leave_a_log(site: Site) -> None:
    """The last third of the rows is only in the log."""
    pid = os.fork()
    if pid == 0:
        connection = sqlite3.connect(site.state / "journal.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        rows = connection.execute("SELECT * FROM done WHERE seq > (SELECT max(seq) * 2 / 3 FROM done)").fetchall()
        connection.execute("DELETE FROM done WHERE seq > (SELECT max(seq) * 2 / 3 FROM done)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for row in rows:
            connection.execute(f"INSERT INTO done VALUES ({','.join('?' * len(row))})", row)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def _calls(row: tuple[Any, ...]) -> set[str]:
    """What a row's calls note: (stage, first, calls)."""
    stage, first, calls = row
    return {CALL[stage](n) for n in range(first, first + calls)}


def _rows(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.state / "journal.db", isolation_level=None)


def _row_damage(site: Site, dice: random.Random) -> tuple[str, Touched]:
    with contextlib.closing(_rows(site)) as db:
        seqs = [seq for (seq,) in db.execute("SELECT seq FROM done ORDER BY seq")]
        one, other = dice.sample(seqs, 2)
        touched: set[str] = set()
        for seq in (one, other):
            touched |= _calls(db.execute("SELECT stage, first, calls FROM done WHERE seq = ?", (seq,)).fetchone())
        columns = ["recipe", "first", "calls", "digests", "data", "file", "start", "seal", "stage", "run"]
        how = dice.choice(["changed", "removed", "swapped", "doubled", "foreign"])
        column = dice.choice(columns)
        match how:
            case "changed":
                new = {"first": 1, "calls": 9, "start": 1}.get(column, b"x" * 32)
                db.execute(f"UPDATE done SET {column} = ? WHERE seq = ?", (new, one))
            case "removed":
                db.execute("DELETE FROM done WHERE seq = ?", (one,))
            case "swapped":
                (mine,) = db.execute(f"SELECT {column} FROM done WHERE seq = ?", (one,)).fetchone()
                (theirs,) = db.execute(f"SELECT {column} FROM done WHERE seq = ?", (other,)).fetchone()
                with contextlib.suppress(sqlite3.IntegrityError):
                    db.execute(f"UPDATE done SET {column} = ? WHERE seq = ?", (theirs, one))
                    db.execute(f"UPDATE done SET {column} = ? WHERE seq = ?", (mine, other))
            case "doubled":
                db.execute(
                    "INSERT INTO done (run, stage, recipe, first, calls, digests, data, file, start, seal)"
                    " SELECT run, stage, recipe, first + ?, calls, digests, data, file, start, seal FROM done"
                    " WHERE seq = ?",
                    (dice.randrange(3), one),
                )
                touched = set()
            case "foreign":
                evil = pickle.dumps([666] * 99)
                db.execute(
                    "INSERT INTO done (run, stage, recipe, first, calls, digests, data, start, seal)"
                    " SELECT run, stage, recipe, ?, ?, digests, ?, 0, ? FROM done WHERE seq = ?",
                    (dice.randrange(3), dice.choice([1, 99, 10**17]), evil, dice.randbytes(32), one),
                )
                touched = set()
    return f"row {how}", touched


def _file_damage(site: Site, dice: random.Random) -> tuple[str, Touched]:
    paths = sorted(path for path in (site.state / "values").rglob("*") if path.is_file())
    one, other = dice.sample(paths, 2)
    how = dice.choice(["truncated", "flipped", "emptied", "swapped", "removed"])
    data = bytearray(one.read_bytes())
    match how:
        case "truncated":
            one.write_bytes(data[: dice.randrange(len(data))])
        case "flipped":
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            one.write_bytes(data)
        case "emptied":
            one.write_bytes(b"")
        case "swapped":
            one.write_bytes(other.read_bytes())
            other.write_bytes(data)
        case "removed":
            one.unlink()
    return f"value's file {how}", {CALL["c"](n) for n in range(4)}


def _key_damage(site: Site, dice: random.Random) -> tuple[str, Touched]:
    key = site.top / "config" / "prun" / "key"
    key.write_bytes(dice.choice([dice.randbytes(32), b"", b"short"]))
    return "key replaced", None


DAMAGES = [_bytes(""), _bytes(""), _bytes("-wal"), _row_damage, _row_damage, _file_damage, _key_damage]

# P8 ---------------------------------------------------------------------------------------------------------------


def second_runners(size: int, seed: int = 1) -> dict[str, Any]:
    """P8: refused at once with pid and start; a dead owner is taken over without a word."""
    slowest = 0.0
    for _ in range(size):
        with Site(pause_s=0.05) as site:
            site.stages({"a": {"call": "work:square", "over": {"range": 400}, "chunk": 1}})
            first = subprocess.Popen(
                [sys.executable, "-m", "pipeline_runner", str(site.file), "-q"],
                cwd=site.folder, env=site.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                _wait_for(lambda site=site: (site.folder / "made").exists())  # type: ignore[misc]
                began = time.monotonic()
                kind, value = site.forked()
                slowest = max(slowest, time.monotonic() - began)
                assert kind == "error", (kind, value)
                assert value[0] == 4, value
                assert f"pid {first.pid}, since" in value[1], value
            finally:
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()
            site.functions(WORK.replace("PAUSE", "0"))
            assert site.forked(resume=True)[0] == "done"
    assert slowest < 1, slowest
    return {"second runners": size, "slowest refusal": f"{slowest * 1000:.0f} ms", "dead owners taken over": size}


def _wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# P12 --------------------------------------------------------------------------------------------------------------


def needs(size: int, seed: int = 1) -> dict[str, Any]:
    """P12: full disk, read-only folder, too few descriptors, missing package: one line that names path and need."""
    told: dict[str, Any] = {}
    with Site() as site, _tmpfs(site, 64) as room:
        site.stages(SERIAL)
        told["full disk"] = _line(site.prun(), 4, str(site.state))
        room()
        assert site.prun("--resume" if _has_run(site) else "-q").returncode == 0
    with Site() as site, _tmpfs(site, 4096) as room:
        site.stages(SERIAL)
        room("ro")
        told["read-only folder"] = _line(site.prun(), 4, str(site.state), "Read-only")
        room("rw")
        assert site.prun().returncode == 0
    with Site() as site:
        site.stages({"a": {"call": "work:square", "over": {"range": 50}, "workers": 8}}, workers=8)
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        told["too few descriptors"] = _line(site.prun(preexec_fn=few), None, "escriptor", "ulimit -n")
        assert site.prun().returncode == 0
    with Site() as site:
        site.functions("import a_package_that_is_not_there\n\ndef square(x):\n    return x * x\n")
        site.stages({"a": {"call": "work:square", "over": {"range": 3}}})
        told["missing package"] = _line(site.prun(), 1, "a_package_that_is_not_there", ours=False)
        site.functions("def square(x):\n    return x * x\n")
        assert site.prun("--resume").returncode == 0
    return {"cases": f"{len(told)}/4"}


def _line(ended: subprocess.CompletedProcess[str], code: int | None, *words: str, ours: bool = True) -> str:
    assert ended.returncode == (ended.returncode if code is None else code) != 0, (ended.returncode, ended.stderr)
    assert not ours or "Traceback" not in ended.stderr, ended.stderr
    line = next((line for line in ended.stderr.splitlines() if all(word in line for word in words)), None)
    assert line is not None, (words, ended.stderr)
    return line


# P17 --------------------------------------------------------------------------------------------------------------


def clocks(size: int, seed: int = 1) -> dict[str, Any]:
    """P17: the clock jumps by a day to and fro at every look; nothing is decided by it."""
    dice = random.Random(seed)

    def jump() -> None:
        real = time.time
        time.time = lambda: real() + dice.choice([-86400, 0, 86400])  # type: ignore[assignment]
        local = time.localtime
        time.localtime = lambda *a: local(*(a or (time.time(),)))  # type: ignore[assignment]

    for number in range(size):
        with Site() as site:
            stages = {name: dict(stage, retry=1) for name, stage in SERIAL.items()}
            site.stages(stages)
            dice.seed(seed + number)
            kind, value = site.forked(jump)
            assert (kind, value) == ("done", EXPECTED), (kind, str(value)[:300])
            site.made()
            assert site.forked(jump, resume=True) == ("done", EXPECTED)
            assert site.made() == []
    return {"runs": 2 * size, "timeouts or decisions changed": 0}


# P18 --------------------------------------------------------------------------------------------------------------


def chaos(size: int, seed: int = 1) -> dict[str, Any]:
    """P18: the same result whatever chaos does, without any retry."""
    struck = 0
    for number in range(size):
        with Site() as site:
            method = [*METHODS, "multiprocessing.Process", "pathos.ParallelPool.imap"][number % 5]
            site.stages(
                {
                    "a": {"call": "work:square", "over": {"range": 60}, "method": method, "chunk": 2},
                    "t": {"call": "work:total", "with": {"values": "${stages.a}"}},
                }
            )
            ended = site.prun("--chaos", f"kill=0.05,seed={seed + number}", "-j", "2")
            assert ended.returncode == 0, ended.stderr
            told = json.loads(ended.stdout)
            assert told["stages"]["t"]["value"][0] == sum(n * n for n in range(60))
            assert told["stages"]["a"]["retried"] == 0
            with contextlib.closing(_rows(site)) as db:
                struck += db.execute("SELECT count(*) FROM event WHERE kind = 'WorkerStruck'").fetchone()[0]
    return {"runs": size, "workers killed": struck, "different results": 0}
