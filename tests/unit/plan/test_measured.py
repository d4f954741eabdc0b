"""What a measurement makes of the planner's choice, and what it may not."""

from __future__ import annotations

import pytest

from pipeline_runner.backends import table
from pipeline_runner.plan.choose import choose
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.measured import Measured
from pipeline_runner.spec.build import build

IMAP, MAP, UNORDERED = (f"multiprocessing.Pool.{name}" for name in ("imap", "map", "imap_unordered"))
DILL = "multiprocess.Pool.imap"
EXECUTOR = "concurrent.futures.ProcessPoolExecutor.map"
SERIAL, THREADS = "pathos.SerialPool.map", "concurrent.futures.ThreadPoolExecutor.map"


def spec(more: str = ""):
    return build(f"version: 1\nname: p\nstages:\n  a: {{call: 'w:f', over: {{range: 100}}{more}}}\n")


def chosen(took: dict[str, tuple[float, float]], more: str = "", here=None, calls: int | None = 100):
    measured = Measured(took, here or {}, 100, "prun tune, 2026-03-01")
    return choose(spec(more).stages["a"], table(), (), measured, calls)


def test_a_method_that_was_much_faster_is_taken_and_the_reason_is_told():
    choice = chosen({IMAP: (0.1, 0.01), DILL: (0.1, 0.005)})
    assert choice.method.name == DILL
    assert choice.why == f"measured (prun tune, 2026-03-01): 600 ms for 100 calls, where {IMAP} takes 1.1 s"
    assert (choice.runner_up.name, choice.why_not) == (IMAP, "would be chosen if nothing had been measured")


def test_the_planners_own_stays_where_nothing_is_clearly_faster():
    choice = chosen({IMAP: (0.1, 0.01), DILL: (0.1, 0.0095)})
    assert choice.method.name == IMAP
    assert choice.why.endswith(
        "; measured (prun tune, 2026-03-01): nothing that may stand in for it is faster than its 1.1 s for 100 calls"
    )


def test_it_depends_on_how_many_calls_there_will_be():
    took = {IMAP: (0.1, 0.01), DILL: (1.0, 0.001)}
    assert chosen(took, calls=10).method.name == IMAP
    assert chosen(took, calls=10_000).method.name == DILL
    assert chosen(took, calls=None).method.name == IMAP


@pytest.mark.parametrize("method", [MAP, UNORDERED, EXECUTOR], ids=["list", "unordered", "not lazy"])
def test_what_a_stage_hands_on_and_how_does_not_change(method):
    assert chosen({IMAP: (0.1, 0.01), method: (0.0, 0.0001)}).method.name == IMAP


def test_no_measurement_moves_calls_into_the_runner_but_it_is_told():
    took = {IMAP: (0.1, 0.001), SERIAL: (0.0, 0.0001), THREADS: (0.0, 0.0002)}
    choice = chosen(took, here={"serial": (0.0, 0.0001), "threads": (0.0, 0.0002)})
    assert choice.method.name == IMAP
    assert choice.why.endswith("; `backend: serial` takes 10 ms, if its calls need no process of their own")


def test_where_this_process_is_asked_for_the_fastest_of_it_is_taken():
    took = {THREADS: (0.0, 0.01), "pathos.SerialPool.imap": (0.0, 0.001), SERIAL: (0.0, 0.5)}
    assert chosen(took, ", backend: threads").method.name == THREADS
    assert chosen({SERIAL: (0.0, 0.5)}, ", backend: serial").method.name == SERIAL


def test_a_method_that_is_named_stays():
    assert chosen({IMAP: (0.1, 0.001), MAP: (9.0, 1.0)}, f", method: {MAP}").method.name == MAP


def test_what_the_stage_says_stays_a_constraint():
    assert chosen({IMAP: (9.0, 1.0), DILL: (0.0, 0.001)}, ", backend: multiprocessing").method.name == IMAP


def test_methods_that_are_not_there_any_more_are_nothing():
    assert chosen({IMAP: (0.1, 0.01), "gone.Pool.imap": (0.0, 0.0)}).method.name == IMAP
    assert chosen({"gone.Pool.imap": (0.0, 0.0)}).why == chosen({}).why


def test_a_whole_plan_knows_the_measurements_of_its_stages():
    measured = {"a": Measured({IMAP: (0.1, 0.01), DILL: (0.0, 0.001)}, {}, 100, "prun tune")}
    assert make_plan(spec(), measured=measured).stages["a"].choice.method.name == DILL
