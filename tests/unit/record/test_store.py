"""The state folder: whose it is, who may be in it, and what is done when it is not as it should be."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import closing

import pytest

from pipeline_runner.record.errors import StoreError
from pipeline_runner.record.locks import Locked
from pipeline_runner.record.store import MARK, VERSION, Store, _our_columns


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def umask():
    before = os.umask(0)
    yield os.umask
    os.umask(before)


def modes(folder):
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}, {
        stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()
    }


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_nobody_else_may_read_what_is_kept(tmp_path, umask, mask):
    umask(mask)
    store = Store(tmp_path / "state")
    connection = store.connect()
    connection.execute("INSERT INTO run VALUES ('r', 1.0, '{}')")
    store.write_value("ab/abcd", b"value")
    store.lock("p", "r").release()
    assert modes(tmp_path / "state") == ({0o600}, {0o700})
    assert modes(tmp_path / "config" / "prun") == ({0o600}, {0o700})
    connection.close()


def test_a_folder_that_others_may_read_is_closed_to_them(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    Store(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    Store(tmp_path / "state")
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(StoreError, match=r"belongs to another user.*\n.*--state"):
        Store(tmp_path / "state")


def of_version(folder, version):
    store = Store(folder)
    with sqlite3.connect(store.database) as connection:
        connection.execute("INSERT INTO run VALUES ('r', 1.0, '{}')")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {MARK + version}")
    connection.close()
    return store


@pytest.mark.parametrize(("version", "whose"), [(VERSION + 5, "a newer"), (VERSION + 1, "a newer"), (1, "an older")])
def test_a_folder_of_another_version_is_refused_with_both_versions_and_left_as_it_is(tmp_path, version, whose):
    store = of_version(tmp_path / "state", version)
    before = store.database.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError) as refused:
            Store(tmp_path / "state", thorough=True)
    assert refused.value.exit_code == 4
    assert str(refused.value) == (
        f"{store.database}: it was written by {whose} prun, in format {version}; this one reads format {VERSION}\n"
        f"  use that version, or another folder with --state; or delete {store.folder}"
    )
    assert store.database.read_bytes() == before
    assert [path.name for path in store.folder.glob("*.db")] == ["journal.db"]


@pytest.mark.parametrize("version", [0, 7, -3])
def test_a_version_that_is_damaged_is_not_taken_for_a_newer_one(tmp_path, version):
    store = Store(tmp_path / "state")
    with sqlite3.connect(store.database) as connection:
        connection.execute("INSERT INTO run VALUES ('r', 1.0, '{}')")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    again = Store(tmp_path / "state")
    assert again.salvaged is not None
    with again.connect() as connection:
        assert connection.execute("SELECT id FROM run").fetchall() == [("r",)]
    connection.close()


def fill(store, rows=400):
    with store.connect() as connection:
        for number in range(rows):
            connection.execute(
                "INSERT INTO done (run, stage, recipe, first, calls, data, start, seal) VALUES (?,?,?,?,?,?,?,?)",
                ("r", "s", b"recipe", number, 1, os.urandom(500), 0, b"seal"),
            )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.parametrize(
    ("where", "least"),
    [("first page", 400), ("middle page", 390), ("second half", 100), ("header", 400)],
)
def test_what_can_be_read_of_a_damaged_database_is_kept_and_the_old_one_set_aside(tmp_path, where, least):
    store = Store(tmp_path / "state")
    fill(store)
    data = bytearray(store.database.read_bytes())
    size = len(data)
    match where:
        case "first page":
            data[:4096] = os.urandom(4096)
        case "header":
            data[0] ^= 255
        case "middle page":
            at = size // 2 // 4096 * 4096
            data[at : at + 4096] = bytes(4096)
        case "second half":
            data = data[: size // 2]
    store.database.write_bytes(data)
    again = Store(tmp_path / "state", thorough=True)
    assert again.salvaged is not None
    assert again.salvaged.aside.exists()
    assert again.salvaged.rows >= least
    assert Store(tmp_path / "state", thorough=True).salvaged is None
    assert modes(tmp_path / "state") == ({0o600}, {0o700})


@pytest.mark.parametrize("damage", [bytes(4096), b"SQLite format 3\0" + bytes(4080)])
def test_the_damaged_database_is_set_aside_as_it_was_found(tmp_path, damage):
    store = Store(tmp_path / "state")
    fill(store)
    found = damage + store.database.read_bytes()[4096:]
    store.database.write_bytes(found)
    again = Store(tmp_path / "state")
    assert again.salvaged is not None
    assert again.salvaged.rows == 400
    assert again.salvaged.aside.read_bytes() == found
    assert sorted(path.name for path in store.folder.glob("*.db*")) == [again.salvaged.aside.name, "journal.db"]


def test_a_table_whose_definition_is_no_text_any_more_is_salvaged(tmp_path):
    """SQLite's message quotes it, so that Python cannot even tell the error."""
    store = Store(tmp_path / "state")
    fill(store)
    found = store.database.read_bytes()
    assert found.count(b"CREATE TABLE done") == 1
    store.database.write_bytes(found.replace(b"CREATE TABLE done", b"CREATE \xddABLE done"))
    again = Store(tmp_path / "state")
    assert again.salvaged is not None
    assert again.salvaged.rows == 400


def test_a_database_that_is_no_database_at_all_begins_anew(tmp_path):
    store = Store(tmp_path / "state")
    store.database.write_bytes(b"hello" * 3000)
    again = Store(tmp_path / "state")
    assert again.salvaged is not None
    assert again.salvaged.rows == 0


def test_a_salvage_that_was_interrupted_between_its_renames_is_finished(tmp_path):
    store = Store(tmp_path / "state")
    fill(store)
    os.replace(store.database, store.folder / "salvaged.db")
    store.database.write_bytes(b"the damaged one")
    again = Store(tmp_path / "state")
    with again.connect() as connection:
        assert connection.execute("SELECT count(*) FROM done").fetchone() == (400,)
    connection.close()


def test_what_a_dead_runner_was_writing_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    store = Store(tmp_path / "state")
    new = store.values / "new"
    (new / f"x.{dead.pid}").touch()
    (new / f"x.{os.getpid()}").touch()
    Store(tmp_path / "state")
    assert [path.name for path in new.iterdir()] == [f"x.{os.getpid()}"]


HOLD = """
import os, sys, time
from pathlib import Path
from pipeline_runner.record.store import Store
lock = Store(Path(sys.argv[1])).lock("p", "run-1")
if sys.argv[2] == "fork" and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("held", flush=True)
sys.stdin.read(1)
os._exit(0)
"""


@pytest.fixture
def holder(tmp_path, repository):
    begun = []

    def hold(how="alone"):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path / "state"), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(repository)},
        )
        begun.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in begun:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


@pytest.mark.timeout(60)
def test_a_second_runner_is_refused_at_once_and_told_who_is_first(tmp_path, holder):
    process = holder()
    store = Store(tmp_path / "state")
    began = time.monotonic()
    with pytest.raises(Locked) as refused:
        store.lock("p", "run-2")
    assert time.monotonic() - began < 1
    assert refused.value.exit_code == 4
    assert refused.value.owner["pid"] == process.pid
    assert f"pid {process.pid}, since 2" in str(refused.value)
    store.lock("another pipeline", "run-3").release()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["alone", "fork"])
def test_a_dead_runner_holds_nothing_even_if_a_child_of_it_lives(tmp_path, holder, how):
    process = holder(how)
    process.kill()
    process.wait()
    lock = Store(tmp_path / "state").lock("p", "run-2")
    assert json.loads(lock.path.read_text())["pid"] == os.getpid()
    lock.release()


def test_one_process_holds_a_pipeline_once_and_may_have_it_again(tmp_path):
    store = Store(tmp_path / "state")
    first = store.lock("p", "run-1")
    other = store.lock("q", "run-1")
    with pytest.raises(Locked, match=f"pid {os.getpid()}"):
        store.lock("p", "run-2")
    other.release()
    with pytest.raises(Locked):
        store.lock("p", "run-2")
    first.release()
    store.lock("p", "run-3").release()


def test_a_damaged_journal_is_not_replaced_under_a_run(tmp_path):
    store = Store(tmp_path / "state")
    lock = store.lock("p", "run-1")
    store.database.write_bytes(b"hello" * 3000)
    with pytest.raises(StoreError, match="another run is at it"):
        Store(tmp_path / "state")
    lock.release()
    assert Store(tmp_path / "state").salvaged is not None


def test_a_place_that_cannot_be_written_is_told_with_its_path_and_the_cure(tmp_path):
    longer_than_a_name = "s" * 300
    with pytest.raises(StoreError, match=r"ss: the run store cannot be used: .*\n.*--resume"):
        Store(tmp_path / longer_than_a_name)


@pytest.mark.parametrize("place", ["state", "state/inner"])
def test_a_file_in_the_place_of_the_store_is_told_as_that(tmp_path, place):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match=r"is a folder, and here is a file\n  name another folder with --state"):
        Store(tmp_path / place)


def test_a_database_whose_columns_are_not_ours_is_damaged_and_put_aside(tmp_path):
    Store(tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / "journal.db")) as connection:
        connection.execute("ALTER TABLE done RENAME COLUMN seq TO sep")
    opened = Store(tmp_path / "s")
    assert opened.salvaged is not None
    with closing(opened.connect()) as connection:
        assert connection.execute("SELECT count(seq) FROM done").fetchone() == (0,)


def test_an_index_that_is_not_of_its_table_is_found_before_it_is_used(tmp_path):
    store = Store(tmp_path / "s")
    with closing(store.connect()) as connection:
        connection.execute("INSERT INTO event (run, kind, body) VALUES ('r', 'k', '{}')")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'run, stage', 'stage, run') WHERE name = 'event_of_run'"
        )
    assert Store(tmp_path / "s").salvaged is not None


def test_tables_that_are_told_in_our_words_are_not_made_again_to_be_compared(tmp_path):
    Store(tmp_path)
    _our_columns.cache_clear()
    Store(tmp_path)
    assert _our_columns.cache_info().misses == 0


def test_a_database_in_whose_list_a_table_has_another_name_is_damaged(tmp_path):
    Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET name = 'gxven' WHERE name = 'given'")
    assert Store(tmp_path).salvaged is not None


def test_tables_that_are_ours_in_other_words_are_ours(tmp_path):
    Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection, connection:
        connection.execute("ALTER TABLE given RENAME TO other")
        connection.execute("ALTER TABLE other RENAME TO given")  # SQLite writes it with quotes now
    assert Store(tmp_path).salvaged is None
