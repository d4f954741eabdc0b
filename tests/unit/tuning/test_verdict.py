"""Which method wins, and what is said of it: from made-up trials, as whole texts (PRUN_ACCEPT=1 writes them anew)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline_runner.backends import table
from pipeline_runner.plan.choose import candidates
from pipeline_runner.plan.make import make_plan
from pipeline_runner.plan.measured import short
from pipeline_runner.spec.build import build
from pipeline_runner.tuning.apart import Died, TooSlow
from pipeline_runner.tuning.rounds import Rounds
from pipeline_runner.tuning.sample import Sample
from pipeline_runner.tuning.telling import as_json, as_text
from pipeline_runner.tuning.trial import Bare, Trial
from pipeline_runner.tuning.tune import Tuned
from pipeline_runner.tuning.verdict import times, verdict

HERE = Path(__file__).parent
IMAP, MAP = "multiprocessing.Pool.imap", "multiprocessing.Pool.map"
UNORDERED = "multiprocessing.Pool.imap_unordered"
SERIAL, THREADS = "pathos.SerialPool.map", "concurrent.futures.ThreadPoolExecutor.map"
MiB = 1 << 20


def trial(wall_s: float, start_s: float = 0.0, calls: int = 100, peak: int | None = 30 * MiB) -> Trial:
    """One that took so long for its calls, each as long as the others, after such a start."""
    each = (wall_s - start_s) / calls
    return Trial(wall_s, start_s + each, 1, calls, wall_s * 1.5, peak)


class Case:
    """A stage, and what each method took."""

    def __init__(self, text: str, took: dict, *, each_s=0.001, waits=0.0, of=100, failed=(), rounds=2):
        self.plan = make_plan(build(f"version: 1\nname: p\nstages:\n{text}"), workers=2)
        self.stage = self.plan.stages["a"]
        sample = Sample(replace(self.stage.spec), (list(range(100)),), of)
        cpu_s = each_s * 100 * (1 - waits)
        self.bare = Bare((each_s,) * 100, cpu_s, 100 if waits else 0, dict.fromkeys(failed, "ValueError: no"))
        self.asked: list[str] = []
        self.took = took
        self.rounds = Rounds(self.plan, sample, self.bare, of, self.asked.append, self.attempt)
        free = replace(self.stage.spec, method=None)
        choices = [choice for choice in candidates(free, table()) if choice.method.name in took]
        self.ways = self.rounds.ways(choices, self.stage.spec.chunk)
        self.rounds.run(self.ways, rounds)
        self.verdict = verdict(self.plan, self.stage, self.ways, self.bare)
        ordered = sorted(self.ways, key=lambda way: (not way.told, way.seconds if way.told else 0.0))
        self.tuned = Tuned(self.stage, sample, of, "", self.bare, ordered, self.verdict, rounds, 2)

    def attempt(self, plan, most_s):
        took = self.took[plan.stages["a"].choice.method.name]
        if isinstance(took, Exception):
            raise took
        return took

    @property
    def best(self):
        return self.verdict.best.name


RANGE = "  a: {call: 'w:f', over: {range: 100}}\n"

CASES = {
    "processes_win": Case(
        RANGE,
        {IMAP: trial(0.8, 0.3), MAP: trial(0.81, 0.3), SERIAL: trial(1.0), THREADS: trial(1.1, 0.01)},
        each_s=0.01,
        of=10_000,
    ),
    "too_small_for_processes": Case(RANGE, {IMAP: trial(0.24, 0.2), SERIAL: trial(0.02), THREADS: trial(0.03)}),
    "calls_that_wait": Case(
        RANGE, {IMAP: trial(1.0, 0.3), SERIAL: trial(5.0), THREADS: trial(0.6)}, each_s=0.05, waits=0.98
    ),
    "small_but_with_a_timeout": Case(
        "  a: {call: 'w:f', over: {range: 100}, timeout: 3s}\n",
        {IMAP: trial(0.24, 0.2), MAP: trial(0.5, 0.2)},
    ),
    "some_give_nothing": Case(
        RANGE, {IMAP: TooSlow(20), MAP: Died(-9), UNORDERED: trial(0.3), SERIAL: trial(2.0)}, each_s=0.02, failed=(1, 5)
    ),
    "what_would_change_more": Case(
        "  read: {call: 'w:g', over: {range: 100}}\n  a: {call: 'w:f', over: '${stages.read}'}\n",
        {IMAP: trial(1.0, 0.3), MAP: trial(0.7, 0.3), UNORDERED: trial(0.6, 0.3), SERIAL: trial(9.0)},
        each_s=0.09,
    ),
    "another_is_named_now": Case(
        "  a: {call: 'w:f', over: {range: 100}, method: multiprocessing.Pool.map}\n",
        {IMAP: trial(0.5, 0.1), MAP: trial(1.5, 0.1), SERIAL: trial(2.0)},
        each_s=0.02,
    ),
    "none_got_through": Case(RANGE, {IMAP: TooSlow(20), SERIAL: Died(1)}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_told(name):
    said = as_text(CASES[name].tuned) + "\n"
    golden = HERE / f"{name}.txt"
    if os.environ.get("PRUN_ACCEPT"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_of_methods_that_are_as_good_the_one_that_the_planner_likes_best_wins():
    assert Case(RANGE, {IMAP: trial(1.05), MAP: trial(1.0)}).best == IMAP
    assert Case(RANGE, {IMAP: trial(1.2), MAP: trial(1.0)}).best == MAP


def test_many_calls_count_by_what_each_takes_and_few_by_the_start():
    slow_start = {IMAP: trial(1.0, 0.9), SERIAL: trial(0.5, 0.0)}
    assert Case(RANGE, slow_start, of=100).best == SERIAL
    assert Case(RANGE, slow_start, of=10_000).best == IMAP


def test_a_method_that_gives_another_order_does_not_win_unless_that_is_asked_for():
    took = {IMAP: trial(1.0), UNORDERED: trial(0.5)}
    assert Case(RANGE, took).best == IMAP
    assert (
        Case("  a: {call: 'w:f', over: {range: 100}, returns: unordered}\n", {UNORDERED: trial(0.5)}).best == UNORDERED
    )


def test_rounds_are_interleaved_and_leave_out_who_cannot_win():
    case = Case(RANGE, {IMAP: trial(1.0), MAP: trial(1.1), UNORDERED: trial(9.0), SERIAL: trial(3.0)}, rounds=3)
    assert case.asked == [
        f"round 1 of 3, 1 of 4: {IMAP}",
        f"round 1 of 3, 2 of 4: {UNORDERED}",
        f"round 1 of 3, 3 of 4: {MAP}",
        f"round 1 of 3, 4 of 4: {SERIAL}",
        f"round 2 of 3, 1 of 3: {IMAP}",
        f"round 2 of 3, 2 of 3: {MAP}",
        f"round 2 of 3, 3 of 3: {SERIAL}",
        f"round 3 of 3, 1 of 3: {IMAP}",
        f"round 3 of 3, 2 of 3: {MAP}",
        f"round 3 of 3, 3 of 3: {SERIAL}",
    ]


def test_a_disturbed_round_does_not_decide():
    case = Case(RANGE, {IMAP: trial(0.1), MAP: trial(0.15)}, rounds=1)
    case.took[IMAP] = trial(5.0)
    case.rounds.run(case.ways, 1)
    assert verdict(case.plan, case.stage, case.ways, case.bare).best.name == IMAP


def test_a_method_that_fails_once_gives_nothing():
    case = Case(RANGE, {IMAP: trial(0.1), MAP: trial(0.5)}, rounds=1)
    case.took[IMAP] = replace(trial(0.1), failed=3, failure="MemoryError")
    case.rounds.run(case.ways, 1)
    assert [way.lapse for way in case.ways] == ["3 of 100 calls failed: MemoryError", ""]


def test_calls_that_others_kept_from_the_processor_do_not_wait():
    assert Bare((0.01,) * 100, 0.4, 100, {}).waits == pytest.approx(0.6)
    assert Bare((0.01,) * 100, 0.4, 3, {}).waits == 0.0
    assert Bare((0.0001,) * 100, 0.0, 100, {}).waits == 0.0


def test_a_chunk_that_is_written_is_held_against_auto():
    case = Case("  a: {call: 'w:f', over: {range: 100}, chunk: 50}\n", {IMAP: trial(1.0)})
    (auto,) = case.rounds.other_chunks(case.ways[0])
    assert (auto.chunk, case.ways[0].chunk) == (None, 50)
    case.took[IMAP] = trial(0.5)
    case.rounds.run([auto], 1)
    found = verdict(case.plan, case.stage, [*case.ways, auto], case.bare)
    assert found.keys == {"method": IMAP, "chunk": "auto"}


def test_calls_that_are_ended_one_by_one_have_no_other_chunks():
    took = {IMAP: trial(1.0)}
    assert Case(RANGE, took, each_s=0.01).rounds.other_chunks(Case(RANGE, took).ways[0])
    case = Case("  a: {call: 'w:f', over: {range: 100}, timeout: 9s}\n", took, each_s=0.01)
    assert case.rounds.other_chunks(case.ways[0]) == []


def test_plain_data_has_the_same(request):
    told = as_json(CASES["some_give_nothing"].tuned, None)
    assert told["bare"]["failed"] == 2
    ways = {way["method"]: way for way in told["methods"]}
    assert ways[IMAP]["failed"] == "stopped after 20 s"
    assert ways[MAP]["failed"] == "its process died (signal 9)"
    assert ways[SERIAL]["seconds"] == pytest.approx(2.0)
    assert told["best"]["method"] == SERIAL


def test_the_calls_that_run_when_the_first_has_ended_are_not_taken_for_free():
    two_waves = Trial(2.0, 1.0, 1, 4, 1.0, None)  # of two workers, each call a second
    assert two_waves.each_s(beside=2) == pytest.approx(0.5)
    one_by_one = Trial(4.0, 1.0, 1, 4, 1.0, None)
    assert one_by_one.each_s(beside=1) == pytest.approx(1.0)
    assert one_by_one.seconds(10, beside=1) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0.0 µs"), (2e-7, "0.2 µs"), (0.00012, "120 µs"), (0.0123, "12 ms"), (1.234, "1.2 s"), (1234, "1,234 s")],
)
def test_spans_are_told_in_the_unit_that_fits(seconds, said):
    assert short(seconds) == said


def test_ratios_have_two_digits():
    assert [times(1.0, 0.9), times(12.34, 1), times(1234, 1)] == ["1.1 ×", "12 ×", "1,234 ×"]
