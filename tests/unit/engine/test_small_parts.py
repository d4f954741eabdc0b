"""Chunk sizes, leave to begin, retries, blame: the engine's small decisions."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from pipeline_runner.calls import Calls, Cause, Failure
from pipeline_runner.engine.blame import death, fell_with_another, how, overdue
from pipeline_runner.engine.chunks import BLIND, DUST, GROWTH, MOST, Sizes
from pipeline_runner.engine.leave import Leave
from pipeline_runner.engine.retries import again_after, argument_in_short
from pipeline_runner.spec.pipeline import Retry

# Sizes


def test_the_first_chunk_is_one_call():
    assert Sizes(2, None).next(None) == 1


def test_a_fixed_size_stays():
    sizes = Sizes(2, 7)
    sizes.learn(7, 100.0)
    assert (sizes.next(None), sizes.next(3), sizes.whole(100, 100)) == (7, 7, 7)


def test_quick_calls_travel_in_ever_larger_chunks():
    sizes = Sizes(2, None)
    sizes.learn(1, 1e-6)
    first = sizes.next(None)
    assert first == GROWTH
    sizes.learn(first, first * 1e-6)
    assert first < sizes.next(None) <= first * GROWTH


def test_slow_calls_travel_alone():
    sizes = Sizes(2, None)
    sizes.learn(1, 5.0)
    assert sizes.next(None) == 1


def test_where_a_chunk_is_dear_it_is_longer_and_the_last_ones_are_too():
    cheap, dear = Sizes(2, None), Sizes(2, None, price=10)
    for sizes in (cheap, dear):
        sizes.learn(100, 1.0)
    assert dear.next(None) == 10 * cheap.next(None) > cheap.next(None) > 0
    assert dear.next(400) > cheap.next(400)
    assert dear.budget_s == 10 * cheap.budget_s


def test_many_quick_calls_travel_for_longer_than_few_long_ones():
    quick, slow, between = Sizes(2, None), Sizes(2, None), Sizes(2, None)
    quick.learn(1000, 1.0)
    slow.learn(10, 0.12)
    between.learn(10, 0.048)
    assert [sizes.next(None) for sizes in (quick, slow, between)] == [100, 2, 13]
    assert quick.budget_s > between.budget_s > slow.budget_s > 0.03


def test_what_is_left_is_shared_out_in_smaller_pieces():
    sizes = Sizes(2, None)
    for _ in range(6):
        sizes.learn(4096, 4096e-3)
    assert [sizes.next(100), sizes.next(20), sizes.next(1)] == [20, 4, 1]


def test_what_takes_no_longer_than_a_message_is_not_shared_out():
    sizes = Sizes(2, None)
    sizes.learn(4096, 4096e-6)
    assert [sizes.next(100), sizes.next(1)] == [100, 1]


def test_what_little_is_known_of_is_shared_out_however_quick_it_seems():
    sizes = Sizes(2, None)
    sizes.learn(2, 2e-6)
    assert sizes.next(20) == 4
    assert sizes.next(4) == 2


def test_a_call_that_is_longer_than_others_says_no_more_than_it_is():
    sizes = Sizes(2, None)
    sizes.learn(1000, 1.0)
    sizes.learn(1, 1.0)
    assert sizes.next(None) > 10


def test_what_an_earlier_run_has_recorded_sizes_the_first_chunk():
    assert Sizes(2, None, 1e-6).next(None) == BLIND, "what they bring and give is not known"
    assert Sizes(2, None, 5.0).next(None) == 1
    assert Sizes(2, None, 1e-6).next(4) == 4, "together they are not worth a message"
    assert Sizes(2, None, 0.01).next(4) == 1


def test_what_is_seen_soon_counts_for_more_than_what_was_recorded():
    slower, quicker = Sizes(2, None, 1e-6), Sizes(2, None, 1.0)
    for _ in range(3):
        slower.learn(1, 1.0)
        quicker.learn(1, 1e-6)
    assert slower.next(None) == 1
    for _ in range(20):
        quicker.learn(quicker.next(None), quicker.next(None) * 1e-6)
    assert quicker.next(None) > 1000


def test_a_whole_input_is_guided_by_what_was_recorded_and_does_not_fall_to_dust():
    unknown = Sizes(2, None).whole(8000, 8000)
    assert Sizes(2, None, 1e-3).whole(2000, 2000) == 100 < unknown // 4
    assert Sizes(2, None, 10.0).whole(8000, 8000) == unknown // DUST
    assert Sizes(2, None, 1e-9).whole(8000, 8000) <= 2 * unknown


def test_large_arguments_and_values_travel_in_smaller_chunks():
    sizes = Sizes(2, None)
    for _ in range(3):
        sizes.learn(1000, 1e-3)
    sizes.weigh(10, 10 << 14)
    assert sizes.next(None) == 16
    sizes.weigh(1, 1 << 30)
    assert sizes.next(None) == 1


def test_a_chunk_whose_time_is_known_is_not_smaller_than_the_least_worth_a_message():
    sizes = Sizes(2, None)
    sizes.learn(1000, 1.0)
    assert sizes.next(4) == 2


def test_calls_that_take_no_measurable_time_are_still_bounded():
    sizes = Sizes(1, None)
    for _ in range(9):
        sizes.learn(sizes.next(None), 0.0)
    assert sizes.next(None) == MOST


def test_all_at_once_is_four_chunks_a_worker():
    assert Sizes(2, None).whole(80, 80) == Sizes(2, None).whole(80, 1) == 10
    assert Sizes(2, None).whole(0, 0) == 1


def test_all_at_once_of_calls_whose_time_is_known_ends_in_smaller_chunks():
    sizes = Sizes(2, None)
    sizes.learn(1000, 1.0)
    assert [sizes.whole(2000, left) for left in (2000, 200, 40, 4)] == [100, 40, 8, 2]


# Leave


def leave(workers, waves=((0, 1, 2, 3),), lanes=()):
    chains = [SimpleNamespace(head=number) for number in range(4)]
    planned = SimpleNamespace(
        spec=SimpleNamespace(limits={}, priority=0),
        choice=SimpleNamespace(backend=SimpleNamespace(in_process=False, uses_cpus=True)),
    )
    plan = SimpleNamespace(
        workers=workers,
        waves=waves,
        groups=[],
        stages=dict.fromkeys(range(4), planned),
        pipeline=SimpleNamespace(limits={}),
    )
    return Leave(plan, chains, lanes)


def test_as_many_may_begin_as_there_are_workers():
    door = leave(2)
    assert [door.ask(0, 1), door.ask(0, 2), door.ask(0, 3)] == [[1], [2], []]
    assert door.done(1) == [3]


def test_later_stages_go_first():
    door = leave(1)
    door.ask(0, 1)
    assert [door.ask(0, 2), door.ask(3, 3), door.ask(1, 4)] == [[], [], []]
    assert [door.done(1), door.done(3), door.done(4)] == [[3], [4], [2]]


def test_who_dies_while_waiting_is_not_let_in():
    door = leave(1)
    door.ask(0, 1)
    door.ask(0, 2)
    door.ask(0, 3)
    assert door.done(2) == []
    assert door.done(1) == [3]


def test_a_stranger_who_ends_frees_nothing():
    door = leave(1)
    door.ask(0, 1)
    assert door.done(99) == []
    assert door.ask(0, 2) == []


@pytest.mark.parametrize(
    ("waves", "lanes", "asks"),
    [
        ([[0, 1, 2, 3]], [], True),
        ([[0], [1], [2], [3]], [], False),
        ([[0, 1], [2], [3]], [], True),
        ([[0, 1], [2, 3]], [{0, 1, 2, 3}], False),
        ([[0], [1, 2], [3]], [{1, 2, 3}], False),  # all others wait for the first
        ([[0, 1], [2, 3]], [{0, 1}, {2, 3}], True),  # 2 may wait for 0 alone, and 1 be at work
        ([[0, 1], [2], [3]], [{0, 1, 3}], True),
        ([[0, 1], [2, 3]], [{0, 1, 2}], True),
    ],
)
def test_leave_is_asked_for_only_where_two_pools_may_be_at_work_at_one_time(waves, lanes, asks):
    assert leave(2, waves, lanes).needed(0) is asks


# Retries


def failure(cause=Cause.RAISED, type="ValueError", lineage=("ValueError", "Exception")):
    return Failure(cause, type, "no", lineage=lineage)


def test_tries_are_counted_after_the_first():
    retry = Retry(limit=2)
    assert [again_after(retry, failure(), tries, lambda: 0.0) for tries in (1, 2, 3)] == [0.0, 0.0, None]
    assert again_after(Retry(), failure(), 1, lambda: 0.0) is None


def test_waits_grow_up_to_the_most():
    retry = Retry(limit=9, delay_s=1.0, backoff=3.0, max_delay_s=5.0)
    assert [again_after(retry, failure(), tries, lambda: 0.0) for tries in (1, 2, 3)] == [1.0, 3.0, 5.0]


def test_jitter_takes_away_at_most_its_share():
    retry = Retry(limit=1, delay_s=10.0, jitter=0.5)
    assert again_after(retry, failure(), 1, lambda: 1.0) == 5.0
    assert again_after(retry, failure(), 1, lambda: 0.0) == 10.0


@pytest.mark.parametrize(
    ("on", "given", "again"),
    [
        (("ValueError",), failure(), True),
        (("Exception",), failure(), True),
        (("OSError",), failure(), False),
        (("builtins.ValueError",), failure(), True),
        (("lost",), failure(Cause.LOST, "WorkerDied", ("WorkerDied",)), True),
        (("timeout",), failure(Cause.TIMEOUT, "Timeout", ("Timeout",)), True),
        (("lost",), failure(Cause.TIMEOUT, "Timeout", ("Timeout",)), False),
        (("raised",), failure(), False),
        ((), failure(Cause.LOST), True),
    ],
)
def test_a_retry_is_for_what_it_names(on, given, again):
    assert (again_after(Retry(limit=1, on=on), given, 1, lambda: 0.0) is not None) is again


class Shy:
    def __repr__(self):
        raise RuntimeError


def test_a_call_past_its_timeout_is_also_meant_by_pythons_word_for_it():
    late = overdue(123, 1.0)
    assert [again_after(Retry(limit=1, on=(word,)), late, 1, lambda: 0.0) for word in ("timeout", "TimeoutError")] == [
        0,
        0,
    ]


def test_an_argument_in_short_never_raises():
    assert argument_in_short(Calls(range(1), (([7],), (["x"],))), None) == "7, 'x'"
    assert "Shy" in argument_in_short(Calls(range(1), (([Shy()],),)), None)
    assert argument_in_short(Calls(range(1)), None) == ""
    assert argument_in_short(Calls(range(1)), b"not a pickle") == "(cannot be shown)"
    assert len(argument_in_short(Calls(range(1), ((["x" * 10_000],),)), None)) < 100


# Blame


def test_deaths_in_words():
    assert how(-signal.SIGKILL) == "signal 9, SIGKILL, often: out of memory"
    assert how(-signal.SIGSEGV) == "signal 11, SIGSEGV, a crash in compiled code"
    assert how(-signal.SIGTERM) == "signal 15, SIGTERM"
    assert how(3) == "exit code 3"
    assert how(None) == "its exit code is not known"
    assert how(-200) == "signal 200"
    assert death(7, -9).message == "worker 7 died (signal 9, SIGKILL, often: out of memory)"
    assert overdue(7, 0.5).message == "still running after 0.5 s; worker 7 was killed"


def test_only_a_sigterm_beside_another_death_is_innocent():
    assert fell_with_another(-signal.SIGTERM, True)
    assert not fell_with_another(-signal.SIGTERM, False)
    assert not fell_with_another(-signal.SIGKILL, True)
