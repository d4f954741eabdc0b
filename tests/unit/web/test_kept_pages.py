"""How often pages are made, and which lines of the list are read again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline_runner.axes import Status
from pipeline_runner.record.history import Told
from pipeline_runner.web import browser, kept
from pipeline_runner.web.kept import MOST, REST, Kept, Page
from pipeline_runner.web.listed import Listed


class Clock:
    """Moves when it is told to."""

    now = 0.0

    def __call__(self):
        return self.now


class Traced:
    """A glance at a journal that is at its n-th commit."""

    commits = 0

    def traces(self):
        return (self.commits,)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(kept, "monotonic", clock := Clock())
    return clock


class Making:
    """Makes pages, and counts them."""

    def __init__(self, clock, took_s, moves):
        self.clock, self.took_s, self.moves = clock, took_s, moves
        self.made = 0

    def __call__(self):
        self.made += 1
        self.clock.now += self.took_s
        return Page(b"%d" % self.made, self.moves)


def test_a_page_is_made_again_only_when_something_was_written(clock):
    glance, make = Traced(), Making(clock, 0.01, moves=False)
    pages = Kept(glance)
    for _ in range(3):
        clock.now += 10
        assert pages.page("one", make).body == b"1"
    glance.commits += 1
    assert pages.page("one", make).body == b"2"


def test_a_page_of_a_run_at_work_is_made_again_though_nothing_was_written(clock):
    pages, make = Kept(Traced()), Making(clock, 0.01, moves=True)
    first = pages.page("one", make)
    clock.now += 1
    assert pages.page("one", make).tag != first.tag


def test_pages_take_a_tenth_of_the_time_at_most_however_often_they_are_asked_for(clock):
    pages, make = Kept(Traced()), Making(clock, 0.5, moves=True)
    began = clock.now
    while make.made < 5:
        pages.page("one", make)
        clock.now += 0.01
    assert 4 * 0.5 / (clock.now - began) <= 1 / REST


def test_only_the_pages_asked_for_last_are_kept(clock):
    pages, make = Kept(Traced()), Making(clock, 0.0, moves=False)
    for number in range(MOST + 1):
        pages.page("first", make)
        pages.page(f"{number}", make)
    made = make.made
    pages.page("first", make)
    assert make.made == made
    pages.page("0", make)
    assert make.made == made + 1


class Runs:
    """A history of runs, by their names, that counts how often each was read."""

    def __init__(self, **statuses):
        self.statuses = dict(statuses)
        self.tries = dict.fromkeys(statuses, 1)
        self.read = []

    def names(self):
        return list(self.statuses)

    def tried(self, name):
        return self.tries[name]

    def told(self, name):
        self.read.append(name)
        return Told(name, 0.0, {}, self.statuses[name], 1.0, 0, 0, 1)

    def at_work_s(self, name):
        return 7.0


def test_runs_that_have_ended_are_read_once_until_they_are_resumed():
    runs, listed = Runs(a=None, b=Status.DONE, c=Status.INTERRUPTED), Listed()
    first = listed.of(runs, 10)
    assert [(one.run, one.took_s) for one in first] == [("a", 7.0), ("b", 1.0), ("c", 1.0)]
    runs.read.clear()
    assert listed.of(runs, 10) == first
    assert runs.read == ["a", "c"]
    runs.tries["b"] = 2
    runs.statuses["b"] = None
    assert listed.of(runs, 10)[1] == replace(first[1], status=None, took_s=7.0)
    assert len(listed.of(runs, 2)) == 2


@pytest.mark.parametrize(
    ("name", "shows"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), ("BROWSER", True), ("X", False)]
)
def test_a_browser_is_started_only_where_there_is_a_window_for_it(monkeypatch, name, shows):
    monkeypatch.setattr(browser.sys, "platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "something")
    assert browser.can_show() is shows
