"""Looking at a state folder that others write to: what is seen, and that nothing of it is touched or held up."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from pipeline_runner.record import glance as glances
from pipeline_runner.record.errors import StoreError
from pipeline_runner.record.glance import Glance, NothingYet
from pipeline_runner.record.store import Store

pytestmark = pytest.mark.timeout(60)

ADD = "INSERT INTO run (id, began, body) VALUES (?, 0, '{}')"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = Store(tmp_path / "state")
    with closing(store.connect()) as connection:
        connection.execute(ADD, ("first",))
    return store


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("journal"))


def test_a_journal_that_nobody_has_open_gets_no_companions(store):
    before = store.database.read_bytes(), store.database.stat().st_mtime_ns
    assert names(store.folder) == ["journal.db"]
    assert Glance(store.folder).look(lambda history: history.names()) == ["first"]
    assert names(store.folder) == ["journal.db"]
    assert (store.database.read_bytes(), store.database.stat().st_mtime_ns) == before


def test_what_a_killed_writer_left_in_the_log_is_seen_and_stays_there(store):
    code = "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute(sys.argv[2], ('second',)); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(store.database), ADD], check=True)
    log = store.database.with_name("journal.db-wal")
    before = log.read_bytes(), store.database.read_bytes()
    assert before[0]
    assert Glance(store.folder).look(lambda history: history.names()) == ["second", "first"]
    assert (log.read_bytes(), store.database.read_bytes()) == before


def test_a_writer_is_not_held_up_and_what_is_told_is_of_one_moment(store):
    with closing(store.connect()) as writer:
        writer.execute("PRAGMA busy_timeout = 0")
        writer.execute(ADD, ("second",))

        def tell(history):
            before = history.names()
            writer.execute(ADD, ("third",))
            return before, history.names()

        assert Glance(store.folder).look(tell) == (["second", "first"], ["second", "first"])
        assert len(Glance(store.folder).look(lambda history: history.names())) == 3


def test_who_begins_to_write_while_nobody_else_was_there_has_it_looked_at_again(store):
    told = []

    def tell(history):
        told.append(history.names())
        if len(told) == 1:
            with closing(store.connect()) as writer:
                writer.execute(ADD, ("second",))
        return told[-1]

    assert Glance(store.folder).look(tell) == ["second", "first"]
    assert len(told) == 2


def test_a_folder_that_is_never_still_is_told(store):
    def tell(history):
        os.utime(store.database, ns=(0, store.database.stat().st_mtime_ns + 1000))

    with pytest.raises(StoreError, match="it was being written to whenever it was looked at"):
        Glance(store.folder).look(tell)


def test_a_folder_without_a_journal_is_none_yet_and_is_not_made(tmp_path):
    with pytest.raises(NothingYet):
        Glance(tmp_path / "nowhere").look(lambda history: history.names())
    assert list(tmp_path.iterdir()) == []


def test_it_cannot_be_written_through(store):
    connection = glances._Untouched(store.folder).opened(alone=False)
    with closing(connection), pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute(ADD, ("mine",))


def test_traces_change_with_every_commit(store):
    glance = Glance(store.folder)
    seen = {glance.traces()}
    with closing(store.connect()) as writer:
        for number in range(3):
            writer.execute(ADD, (f"r{number}",))
            seen.add(glance.traces())
    assert len(seen) == 4
