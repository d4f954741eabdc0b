"""Which method a stage gets, for which reason, and what is said when there is none."""

from __future__ import annotations

import pytest

from pipeline_runner.axes import Dispatch, Returns, StartMethod, Style
from pipeline_runner.marks import Mark
from pipeline_runner.plan.problems import (
    BackendUnavailable,
    InProcessMisfits,
    MethodContradicts,
    NoItems,
    NoMethod,
    SourceMisfits,
    StartMethodMisfits,
    StreamIntoEager,
    UnequalColumns,
    UnknownBackend,
    UnknownMethod,
)
from pipeline_runner.spec.pipeline import Generate, Glob, Named, Range

BLOCKING, BATCH, ASYNC = Dispatch.BLOCKING, Dispatch.BATCH, Dispatch.ASYNC
SINGLE, MAP, STAR, ZIP = Style.SINGLE, Style.MAP, Style.STAR, Style.ZIP
VALUE, LIST, ITERATOR, UNORDERED = Returns.VALUE, Returns.LIST, Returns.ITERATOR, Returns.UNORDERED
APPLY, MAPPED, NONE = Returns.APPLY_RESULT, Returns.MAP_RESULT, Returns.NONE
POOL = "multiprocessing.Pool."
ROWS = [[1, 2], [3, 4]]
COLUMNS = ([1, 2], [3, 4])

CHOICES = [
    # one call
    ({}, POOL + "apply", SINGLE, VALUE),
    ({"dispatch": ASYNC}, POOL + "apply_async", SINGLE, APPLY),
    ({"returns": APPLY}, POOL + "apply_async", SINGLE, APPLY),
    ({"returns": NONE}, POOL + "apply", SINGLE, NONE),
    ({"dispatch": BATCH}, "multiprocessing.Process", SINGLE, APPLY),
    ({"backend": "serial"}, "pathos.SerialPool.pipe", SINGLE, VALUE),
    ({"backend": "threads"}, "concurrent.futures.ThreadPoolExecutor.submit", SINGLE, APPLY),
    ({"backend": "ppft"}, "ppft.Server.submit", SINGLE, APPLY),
    # items
    ({"over": [1, 2]}, POOL + "imap", MAP, ITERATOR),
    ({"over": Range(0, 9)}, POOL + "imap", MAP, ITERATOR),
    ({"over": [1, 2], "returns": LIST}, POOL + "map", MAP, LIST),
    ({"over": [1, 2], "returns": MAPPED}, POOL + "map_async", MAP, MAPPED),
    ({"over": [1, 2], "returns": UNORDERED}, POOL + "imap_unordered", MAP, UNORDERED),
    ({"over": [1, 2], "returns": NONE}, POOL + "imap", MAP, NONE),
    ({"over": [1, 2], "style": SINGLE}, POOL + "apply_async", SINGLE, APPLY),
    ({"over": [1, 2], "style": SINGLE, "dispatch": BLOCKING}, POOL + "apply", SINGLE, VALUE),
    ({"over": [1, 2], "returns": VALUE}, POOL + "apply", SINGLE, VALUE),
    ({"over": [1, 2], "dispatch": BATCH}, "multiprocessing.Process", SINGLE, LIST),
    ({"over": ROWS, "dispatch": BATCH, "returns": NONE}, "multiprocessing.Process", MAP, NONE),
    ({"over": [1, 2], "backend": "futures"}, "concurrent.futures.ProcessPoolExecutor.map", MAP, ITERATOR),
    ({"over": [1, 2], "backend": "pathos"}, "pathos.ProcessPool.imap", MAP, ITERATOR),
    ({"over": [1, 2], "backend": "serial"}, "pathos.SerialPool.map", MAP, ITERATOR),
    ({"over": [1, 2], "backend": "threads"}, "concurrent.futures.ThreadPoolExecutor.map", MAP, ITERATOR),
    # one by one: an item that may be a list goes to the function as it is
    ({"over": Glob("*.txt"), "dispatch": BLOCKING}, POOL + "apply", SINGLE, VALUE),
    ({"over": ROWS, "dispatch": BLOCKING}, POOL + "apply", MAP, VALUE),
    ({"over": ROWS, "returns": APPLY}, POOL + "apply_async", MAP, APPLY),
    ({"over": [1, 2], "backend": "ppft"}, "ppft.Server.submit", SINGLE, APPLY),
    ({"over": ROWS, "backend": "ppft"}, "ppft.Server.submit", MAP, APPLY),
    # rows and columns
    ({"over": ROWS, "style": STAR}, POOL + "starmap", STAR, LIST),
    ({"over": ROWS, "style": STAR, "returns": MAPPED}, POOL + "starmap_async", STAR, MAPPED),
    ({"over": COLUMNS}, "concurrent.futures.ProcessPoolExecutor.map", ZIP, ITERATOR),
    ({"over": COLUMNS, "returns": UNORDERED}, "pathos.ProcessPool.uimap", ZIP, UNORDERED),
    ({"over": COLUMNS, "backend": "multiprocessing"}, POOL + "starmap", STAR, LIST),
    ({"over": COLUMNS, "style": STAR}, POOL + "starmap", STAR, LIST),
    ({"over": COLUMNS, "backend": "serial"}, "pathos.SerialPool.map", ZIP, ITERATOR),
    # a named method's own style, if `over` fits it
    ({"method": POOL + "apply_async"}, POOL + "apply_async", SINGLE, APPLY),
    ({"over": ROWS, "method": POOL + "starmap"}, POOL + "starmap", STAR, LIST),
    ({"over": ROWS, "method": POOL + "apply"}, POOL + "apply", SINGLE, VALUE),
    ({"over": [1], "method": "pathos.ProcessPool.uimap"}, "pathos.ProcessPool.uimap", MAP, UNORDERED),
    ({"over": COLUMNS, "method": "pathos.ProcessPool.uimap"}, "pathos.ProcessPool.uimap", ZIP, UNORDERED),
    ({"over": [1], "method": "pathos.multiprocessing.ProcessPool.map"}, "pathos.ProcessPool.map", MAP, LIST),
    # what a library can do at all
    ({"over": [1], "start_method": StartMethod.SPAWN}, POOL + "imap", MAP, ITERATOR),
    ({"over": ROWS, "dispatch": BLOCKING, "timeout_s": 3.0}, POOL + "apply", MAP, VALUE),
]


@pytest.mark.parametrize(("keys", "method", "style", "returns"), CHOICES)
def test_a_stage_gets_the_method_that_fits_what_it_says(plan, keys, method, style, returns):
    choice = plan({"work": keys}).stages["work"].choice
    assert (choice.method.name, choice.style, choice.returns) == (method, style, returns)


@pytest.mark.parametrize("keys", [keys for keys, *_ in CHOICES])
def test_every_choice_has_a_reason_and_a_runner_up_has_one_against_it(plan, keys):
    choice = plan({"work": keys}).stages["work"].choice
    assert choice.why
    assert bool(choice.why_not) == (choice.runner_up is not None)
    assert choice.runner_up is not choice.method


def test_a_generator_is_read_as_it_goes_where_a_choice_is_left(plan):
    endless = Generate(Named("work", "numbers"))
    choice = plan({"work": {"over": (endless, endless)}}).stages["work"].choice
    assert choice.method.name == "pathos.ProcessPool.imap"


def test_a_method_that_reads_a_whole_generator_first_is_told_of(plan):
    keys = {"over": Generate(Named("work", "numbers")), "method": POOL + "map"}
    assert '"take"' in plan({"work": keys}).stages["work"].choice.why


def test_a_backend_that_is_not_there_is_passed_over(plan):
    choice = plan({"work": {"over": [1]}}).stages["work"].choice
    assert choice.backend.keyword != "broken"
    assert choice.runner_up.name != "broken.Pool.imap"


def test_a_named_method_is_compared_with_what_would_have_been_chosen(plan):
    choice = plan({"work": {"over": [1], "method": POOL + "map"}}).stages["work"].choice
    assert choice.why == "named in the pipeline"
    assert choice.runner_up.name == POOL + "imap"
    assert choice.why_not.startswith("would be chosen if none were named")


PROBLEMS = [
    ({"style": MAP}, NoItems, {"key": "args", "word": "map"}),
    ({"method": POOL + "starmap"}, NoItems, {"key": "method", "word": POOL + "starmap"}),
    ({"over": COLUMNS, "style": MAP}, SourceMisfits, {"key": "args", "gives": "columns"}),
    ({"over": [1], "style": ZIP}, SourceMisfits, {"gives": "items", "fitting": ("single", "map", "star")}),
    ({"over": COLUMNS, "method": POOL + "map"}, SourceMisfits, {"key": "method"}),
    ({"over": [1], "method": POOL + "map", "dispatch": BLOCKING}, MethodContradicts, {"key": "dispatch"}),
    ({"over": [1], "method": POOL + "map", "style": STAR}, MethodContradicts, {"really": ("map",)}),
    ({"over": [1], "method": POOL + "map", "returns": ITERATOR}, MethodContradicts, {"asked": "iterator"}),
    ({"over": [1], "method": POOL + "map", "backend": "futures"}, MethodContradicts, {"key": "backend"}),
    ({"over": [1], "method": "map"}, UnknownMethod, {"method": "map"}),
    ({"over": [1], "backend": "multi"}, UnknownBackend, {"backend": "multi"}),
    ({"over": ROWS, "style": STAR, "returns": ITERATOR}, NoMethod, {}),
    ({"over": [1], "dispatch": BATCH, "returns": ITERATOR}, NoMethod, {}),
    ({"over": [1], "dispatch": BATCH, "backend": "futures"}, NoMethod, {}),
    ({"over": [1], "backend": "broken"}, BackendUnavailable, {"why": "the library is not installed"}),
    ({"over": [1], "backend": "threads", "timeout_s": 1.0}, InProcessMisfits, {"key": "timeout"}),
    ({"over": [1], "backend": "serial", "max_calls_per_worker": 3}, InProcessMisfits, {"key": "max_calls_per_worker"}),
    ({"over": [1], "backend": "ppft", "start_method": StartMethod.FORK}, StartMethodMisfits, {"offers": ()}),
    ({"over": ([1, 2], Range(0, 3))}, UnequalColumns, {"lengths": (("column 1", 2), ("column 2", 3))}),
]


@pytest.mark.parametrize(("keys", "kind", "fields"), PROBLEMS)
def test_what_cannot_be_is_a_problem_of_its_own_kind(check, keys, kind, fields):
    (problem,) = check({"work": keys})
    assert type(problem) is kind
    assert {name: getattr(problem, name) for name in fields} == fields
    assert '"work"' in str(problem)


def test_unequal_columns_are_fine_when_the_shortest_ends_them(plan):
    stage = plan({"work": {"over": ([1, 2], Range(0, 3)), "shortest": True}}).stages["work"]
    assert stage.calls == 2


def test_all_that_a_backend_cannot_give_is_told_at_once(check):
    found = check({"work": {"over": [1], "backend": "threads", "timeout_s": 1.0, "start_method": StartMethod.FORK}})
    assert [type(problem) for problem in found] == [StartMethodMisfits, InProcessMisfits]


def test_no_method_names_the_nearest_and_what_would_have_to_change(check):
    (problem,) = check({"work": {"over": ROWS, "style": STAR, "returns": ITERATOR}})
    assert [str(near) for near in problem.nearest] == [
        "pathos.SerialPool.map, with backend: serial",
        "multiprocessing.Pool.starmap, with returns: list",
        "multiprocessing.Pool.starmap_async, with returns: map_result",
        "multiprocessing.Pool.imap, with args: map",
    ]


def test_a_contradiction_that_the_survey_makes_is_told_to_be_out_of_date(check):
    (problem,) = check({"work": {"over": [1], "method": "pathos.ParallelPool.map", "dispatch": BLOCKING}})
    assert "out of date: parallel since pathos 0.2.6" in str(problem)


def test_a_problem_stands_at_the_key_that_it_is_about(check):
    marks = {key: Mark("p.yaml", line, 5) for line, key in enumerate(["", "over", "method", "dispatch"], 1)}
    keys = {"over": [1], "method": POOL + "map", "dispatch": BLOCKING, "marks": marks}
    (problem,) = check({"work": keys})
    assert str(problem.mark) == "p.yaml:3:5"


# Streams


def test_a_written_stream_into_a_named_eager_method_is_refused(check):
    (problem,) = check({"read": {"over": [1], "returns": ITERATOR}, "count": {"over": "read", "method": POOL + "map"}})
    assert isinstance(problem, StreamIntoEager)
    assert str(problem) == (
        'stage "count" cannot take a stream with method "multiprocessing.Pool.map"\n'
        "  Pool.map wants all its input before it starts. These take calls as they come:\n"
        "    multiprocessing.Pool.imap\n"
        "    multiprocessing.Pool.imap_unordered\n"
        "    pathos.ProcessPool.imap\n"
        "    pathos.ProcessPool.uimap\n"
        '  Or let "read" return a list, and "count" waits for all of it.'
    )


def test_what_takes_rows_one_by_one_is_named_in_place_of_starmap(check):
    stages = {"read": {"over": [1], "returns": UNORDERED}, "count": {"over": "read", "method": POOL + "starmap"}}
    (problem,) = check(stages)
    assert problem.lazy[0] == "multiprocessing.Pool.apply_async"


def test_a_stream_that_nobody_wrote_waits_for_a_named_eager_method(plan):
    (edge,) = plan({"read": {"over": [1]}, "count": {"over": "read", "method": POOL + "map"}}).edges
    assert (edge.kind, edge.why) == ("barrier", "multiprocessing.Pool.map wants all its input before it starts")


def test_a_stream_asks_for_a_lazy_method_where_one_fits(plan):
    made = plan({"read": {"over": [1], "returns": ITERATOR}, "both": {"over": ("read", [1])}})
    assert made.stages["both"].choice.method.name == "pathos.ProcessPool.imap"
    assert made.edges[0].kind == "stream"


def test_a_style_that_only_eager_methods_have_makes_a_barrier(plan):
    made = plan({"read": {"over": [1], "returns": ITERATOR}, "rows": {"over": "read", "style": STAR}})
    assert made.stages["rows"].choice.method.name == "multiprocessing.Pool.starmap"
    assert made.edges[0].kind == "barrier"
