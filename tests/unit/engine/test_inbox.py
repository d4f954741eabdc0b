"""The engine's inbox: who puts something wakes the one who waits, and nobody else is woken."""

from __future__ import annotations

import os
import select
from threading import Thread

import pytest

from pipeline_runner.engine.inbox import Inbox
from pipeline_runner.engine.messages import Cancel

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def bell(inbox):
    bell = inbox.bell()
    yield bell
    inbox.close()
    os.close(bell)


def rung(bell):
    """How often the bell has been rung."""
    return len(os.read(bell, 100)) if select.select([bell], [], [], 0)[0] else 0


def test_what_is_put_comes_out_in_its_order(inbox):
    for signal in range(3):
        inbox.put(Cancel(signal))
    assert [inbox.take() for _ in range(4)] == [Cancel(0), Cancel(1), Cancel(2), None]


def test_who_is_awake_is_not_rung_for(inbox, bell):
    inbox.put(Cancel(1))
    assert not inbox.fall_asleep(), "there is something to be taken first"
    inbox.put(Cancel(2))
    assert rung(bell) == 0


def test_who_sleeps_is_rung_for_once_however_much_comes(inbox, bell):
    assert inbox.fall_asleep()
    for signal in range(5):
        inbox.put(Cancel(signal))
    assert rung(bell) == 1


def test_whatever_thread_puts_the_sleeper_wakes(inbox, bell):
    taken = 0
    putters = [Thread(target=lambda: [inbox.put(Cancel(n)) for n in range(500)]) for _ in range(4)]
    for putter in putters:
        putter.start()
    while taken < 2000:
        if inbox.fall_asleep():
            assert select.select([bell], [], [], 10)[0], "it slept through what was put"
            os.read(bell, 100)
        inbox.wake_up()
        while inbox.take():
            taken += 1
    for putter in putters:
        putter.join()


def test_what_is_put_after_the_end_rings_for_nobody(inbox, bell):
    inbox.fall_asleep()
    inbox.close()
    inbox.put(Cancel(1))
    assert rung(bell) == 0
