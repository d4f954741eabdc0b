"""How long the way from each chain to the end is."""

from __future__ import annotations

from pipeline_runner.plan.ways import ways


def longest(plan, **times):
    chains = [chain for group in plan.groups for chain in group.chains]
    return {chain.head: way for chain, way in zip(chains, ways(plan, chains, times), strict=True)}


FORK = {"a": {}, "b": {"needs": ["a"]}, "c": {"needs": ["b"]}, "d": {"needs": ["a"]}, "alone": {}}


def test_where_no_time_is_known_the_way_with_most_stages_is_the_longest(plan):
    assert longest(plan(FORK)) == {"a": 3, "b": 2, "c": 1, "d": 1, "alone": 1}


def test_known_times_are_added_up_along_the_way(plan):
    assert longest(plan(FORK), a=1, b=2, c=3, d=10, alone=4) == {"a": 11, "b": 5, "c": 3, "d": 10, "alone": 4}


def test_a_stage_of_which_no_time_is_known_is_as_long_as_the_others_are_on_average(plan):
    assert longest(plan(FORK), a=1, b=2, c=3) == {"a": 6, "b": 5, "c": 3, "d": 2, "alone": 2}


def test_work_that_several_workers_share_is_as_long_as_it_takes_them(plan):
    assert longest(plan({"a": {"over": [1, 2]}, "b": {}}), a=6, b=4) == {"a": 3, "b": 4}


def test_stages_that_stream_run_side_by_side(plan):
    streaming = {"a": {"over": [1, 2, 3, 4]}, "b": {"over": "a", "timeout_s": 9}}
    assert longest(plan(streaming), a=8, b=20) == {"a": 5, "b": 5}
