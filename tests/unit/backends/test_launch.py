"""The small parts of launching: nothing of the program's own state stays changed."""

import os
import signal
import subprocess
import sys
import threading
from importlib import import_module

import pytest

from pipeline_runner.axes import StartMethod
from pipeline_runner.backends import _pool
from pipeline_runner.backends._launch import (
    Ended,
    Roster,
    context,
    kill_process,
)
from pipeline_runner.methods import PoolSettings
from pipeline_runner.servers import hidden_main, launch_lock, launch_no_more, without_ctrl_c

pytestmark = pytest.mark.timeout(30)


class Child:
    def __init__(self):
        self.popen = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.pid = self.popen.pid

    @property
    def exitcode(self):
        return self.popen.poll()


@pytest.fixture
def child():
    child = Child()
    yield child
    child.popen.kill()
    child.popen.wait()
    child.popen.stdin.close()


def test_main_is_whole_again_after_a_launch():
    before = dict(vars(sys.modules["__main__"]))
    with hidden_main():
        assert sys.modules["__main__"].__spec__ is None
        assert not hasattr(sys.modules["__main__"], "__file__")

    assert vars(sys.modules["__main__"]) == before


def test_sigint_is_only_blocked_while_launching():
    with without_ctrl_c():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_roster_tells_the_exit_code_of_those_that_are_gone(child):
    roster = Roster()
    roster.add(child)
    kill_process(child)

    assert roster.reaped(10)
    assert roster.processes() == [Ended(child.pid, -signal.SIGKILL)]


def test_a_process_started_while_the_pool_is_being_killed_ends_at_once(child):
    roster = Roster()
    roster.kill()
    roster.add(child)

    assert roster.reaped(10)


@pytest.mark.parametrize("library", ["multiprocessing", "multiprocess"])
def test_the_programs_own_start_method_stays_as_it_was(library):
    module = pytest.importorskip(library)
    before = module.get_start_method(allow_none=True)

    context(library, StartMethod.SPAWN, Roster())

    assert module.get_start_method(allow_none=True) == before


@pytest.mark.parametrize("way", list(StartMethod))
def test_two_threads_may_ask_for_an_exit_code_at_the_same_time(way):
    for _ in range(5):
        process = context("multiprocessing", way, Roster()).Process(target=os._exit, args=(7,))
        process.start()
        askers = [threading.Thread(target=process.join) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        process.join()
        assert process.exitcode == 7


def test_the_fork_servers_socket_is_on_no_disk_and_is_still_found(tmp_path, monkeypatch):
    script = f"""
import multiprocessing, os, tempfile
from pipeline_runner.axes import StartMethod
from pipeline_runner.backends._launch import Roster, context
made = context("multiprocessing", StartMethod.FORKSERVER, Roster())
for _ in range(2):
    process = made.Process(target=os.getpid)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode
assert os.listdir({str(tmp_path)!r}) == [], os.listdir({str(tmp_path)!r})
"""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", script], check=True, timeout=25)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("library", ["multiprocessing", "multiprocess"])
def test_a_pools_keeper_of_workers_is_not_woken_by_results(library, monkeypatch):
    kept = import_module(f"{library}.pool").Pool
    rounds = []
    real = kept._maintain_pool
    monkeypatch.setattr(kept, "_maintain_pool", staticmethod(lambda *args: (rounds.append(1), real(*args))[1]))
    opened = _pool.open_pool(library, PoolSettings(workers=2))
    try:
        for number in range(200):
            assert opened.pool.apply(abs, (-number,)) == number
        assert list(opened.pool.imap(abs, range(-200, 0), chunksize=1)) == list(range(200, 0, -1))
    finally:
        _pool.close(opened)
    assert len(rounds) < 20
    assert not _pool.threads(opened.inner)


def test_what_is_being_launched_is_awaited_and_nothing_is_launched_after_it():
    inside, go_on, launched = threading.Event(), threading.Event(), threading.Event()

    def launch(begun, until):
        with Roster().launch():
            begun.set()
            until.wait(20)

    first = threading.Thread(target=launch, args=(inside, go_on))
    first.start()
    assert inside.wait(20)
    assert not launch_no_more(0.01), "it is still under way"
    go_on.set()
    assert launch_no_more(20)
    second = threading.Thread(target=launch, args=(launched, go_on))
    try:
        second.start()
        assert not launched.wait(0.1)
    finally:
        launch_lock.release()
        first.join()
        second.join()
