"""Items that come when they come: none that is there waits for one that is not."""

from queue import SimpleQueue
from threading import Thread

import pytest

from pipeline_runner.engine import live_items
from pipeline_runner.engine.live_items import LiveItems

pytestmark = pytest.mark.timeout(20)


def values(calls):
    return [] if calls is None else list(calls.columns[0][0])


def drawn(intake, most):
    found = []
    while calls := intake.draw(most):
        found += values(calls)
    return found


def fed():
    """An iterator that waits for its items, and what feeds it; None ends it."""
    queue = SimpleQueue()
    return iter(queue.get, None), queue


@pytest.mark.parametrize("most", [1, 7, 5000])
def test_all_come_in_order(most):
    intake = LiveItems(iter(range(2000)))
    assert drawn(intake, most) == list(range(2000))
    assert intake.total == 2000
    assert intake.draw(1) is None


def test_a_draw_of_many_gives_those_that_are_there():
    items, queue = fed()
    intake = LiveItems(items)
    for number in range(5):
        queue.put(number)
        assert values(intake.draw(100)) == [number]
    queue.put(None)
    assert intake.draw(100) is None


def test_where_a_worker_is_idle_nobody_waits_for_a_second_item(monkeypatch):
    monkeypatch.setattr(live_items, "PATIENCE_S", 3600)
    items, queue = fed()
    intake = LiveItems(items, idle=lambda: True)
    queue.put(1)
    assert values(intake.draw(100)) == [1]
    queue.put(None)


def test_a_worker_that_becomes_idle_ends_the_wait_for_a_second_item(monkeypatch):
    monkeypatch.setattr(live_items, "PATIENCE_S", 3600)
    monkeypatch.setattr(live_items, "LOOKS", 1_000_000)
    items, queue = fed()
    answers = iter([False] * 3)
    intake = LiveItems(items, idle=lambda: next(answers, True))
    queue.put(1)
    assert values(intake.draw(100)) == [1]
    queue.put(None)


def test_no_more_is_taken_than_was_asked_for():
    asked = []
    intake = LiveItems(asked.append(n) or n for n in range(100))
    assert values(intake.draw(3)) == [0, 1, 2]
    assert values(intake.draw(2)) == [3, 4]
    assert asked == [0, 1, 2, 3, 4]


def test_however_much_is_asked_for_little_is_held_at_once():
    intake = LiveItems(iter(range(3 * live_items.MOST)))
    sizes = [len(calls) for calls in iter(lambda: intake.draw(1 << 20), None)]
    assert sum(sizes) == 3 * live_items.MOST
    assert max(sizes) <= live_items.MOST


def test_who_draws_is_woken_once_and_not_for_each_item_that_comes_before_it_runs():
    intake = LiveItems(iter(range(50_000)), idle=lambda: True)
    woken = []
    wake = intake._enough.set
    intake._enough.set = lambda: woken.append(1) or wake()
    draws = len(list(iter(lambda: intake.draw(1 << 20), None)))
    assert len(woken) <= 2 * draws + 2


def test_what_the_source_raises_comes_after_its_items():
    def dying():
        yield from (1, 2)
        raise ValueError("no more")

    intake = LiveItems(dying())
    assert values(intake.draw(10)) == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        intake.draw(10)


def test_whoever_draws_is_let_go_when_the_stage_is_over():
    items, queue = fed()
    intake = LiveItems(items)
    found = []
    drawer = Thread(target=lambda: found.append(intake.draw(1)), daemon=True)
    drawer.start()
    intake.leave()
    drawer.join(10)
    assert found == [None]
    queue.put(None)
