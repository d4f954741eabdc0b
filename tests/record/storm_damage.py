"""P7: the store is truncated, flipped, emptied and swapped; what is wrong is never taken for a value."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

from storm_site import CALL, EXPECTED, SERIAL, Site, rows
from tally import Tally

WRONG, STOPPED, UNTOUCHED = "wrong values", "runs that were stopped by it", "calls made again though untouched"
OWED = "second resumes that made something"


def corruptions(trials: range, seed: int) -> Tally:
    """P7: the store is damaged in so many ways; never a wrong value, and the second resume makes nothing."""
    dice = random.Random(seed)
    tally = Tally.of(WRONG, STOPPED, UNTOUCHED, OWED)
    with Site() as site:
        site.stages(SERIAL)
        kept = site.top / "kept"
        _prepare_two_runs(site)
        shutil.copytree(site.state, kept)
        key = site.top / "config" / "prun" / "key"
        secret = key.read_bytes()
        for trial in trials:
            shutil.rmtree(site.state)
            shutil.copytree(kept, site.state)
            key.write_bytes(secret)
            with tally.trial(trial):
                what, touched = dice.choice(DAMAGES)(site, dice)
                tally.trials += 1
                tally.did[what] += 1
                _resumed(tally, site, touched, trial, what)
    return tally


def _resumed(tally: Tally, site: Site, touched: Touched, *where: object) -> None:
    total = sum(len(values) if name != "t" else 1 for name, values in EXPECTED.items())
    site.made()
    kind, value = site.forked(resume=True)
    if kind == "error" and value[0] == 2:  # not even that there was a run is known any more
        tally.did["begun anew"] += 1
        kind, value = site.forked()
    _right(tally, kind, value, *where)
    made = set(site.made())
    if touched is None:
        tally.did["items of damaged databases"] += total
        tally.did["items kept of them"] += total - len(made)
    else:
        tally.found_out(UNTOUCHED, len(made - touched), *where, *sorted(made - touched))
    kind, value = site.forked(resume=True)
    _right(tally, kind, value, *where, "second resume")
    tally.check(not (made_again := site.made()), OWED, *where, *made_again)


def _right(tally: Tally, kind: str, value: Any, *where: object) -> None:
    if tally.check(kind == "done", STOPPED, *where, kind, value):
        tally.check(value == EXPECTED, WRONG, *where, str(value)[:300])


def _prepare_two_runs(site: Site) -> None:
    """An older run with other values under it, and the one that is to be resumed."""
    stages = {name: dict(stage) for name, stage in SERIAL.items()}
    stages["a"]["over"] = list(range(50, 62))
    site.stages(stages)
    first, _ = site.forked()
    site.stages(SERIAL)
    second, _ = site.forked()
    if (first, second) != ("done", "done"):
        raise RuntimeError(f"before any damage: {first}, {second}")


Touched = set[str] | None  # the calls that may have to be made again; None: any


def file_of_database(name: str) -> Callable[[Site, random.Random], tuple[str, Touched]]:
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
        try:
            _last_third_into_log(site)
        finally:  # even where the database is damaged already: a child that went on would be a second storm
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def _last_third_into_log(site: Site) -> None:
    connection = rows(site)
    connection.execute("PRAGMA journal_mode = WAL")
    last = connection.execute("SELECT * FROM done WHERE seq > (SELECT max(seq) * 2 / 3 FROM done)").fetchall()
    connection.execute("DELETE FROM done WHERE seq > (SELECT max(seq) * 2 / 3 FROM done)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for row in last:
        connection.execute(f"INSERT INTO done VALUES ({','.join('?' * len(row))})", row)
    os.kill(os.getpid(), signal.SIGKILL)  # before it is closed, which would put the log into the database


def _calls(row: tuple[Any, ...]) -> set[str]:
    """What a row's calls note: (stage, first, calls)."""
    stage, first, calls = row
    return {CALL[stage](n) for n in range(first, first + calls)}


def row_damage(site: Site, dice: random.Random) -> tuple[str, Touched]:
    with contextlib.closing(rows(site)) as db:
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


DAMAGES = [
    file_of_database(""),
    file_of_database(""),
    file_of_database("-wal"),
    row_damage,
    row_damage,
    _file_damage,
    _key_damage,
]
