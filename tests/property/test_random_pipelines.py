"""Laws of any pipeline: the methods do not change its values, and no stage starts before its sources allow it."""

from __future__ import annotations

import json
import os
from collections import Counter
from enum import Enum, auto
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from pipeline_runner import Pipeline, Problems
from pipeline_runner.axes import Returns, Style
from pipeline_runner.backends import table
from pipeline_runner.events import CallsDone, StageEnded, StageStarted
from pipeline_runner.plan.plan import EdgeKind

pytestmark = pytest.mark.usefixtures("own_state")

HERE = Path(__file__).parent
CHOICES = ("method", "returns", "chunk", "window")


def methods(style):
    """The canonical names of all rows that carry a style, but for those that would start a cluster each time."""
    return sorted(method.name for method in table() if style in method.styles and table().owners[method.name].local)


STYLES = {
    "rows": Style.STAR,
    "zip": Style.ZIP,
    "whole": Style.SINGLE,
    "matrix": Style.STAR,
    "product": Style.STAR,
}
CALLS = {"rows": "blend", "zip": "blend", "matrix": "blend", "product": "blend", "batches": "lump", "some": "lump"}


class Gives(Enum):
    VALUE = auto()
    ORDERED = auto()  # items in the order of their calls
    UNORDERED = auto()


@st.composite
def matrices(draw, axis):
    """A matrix of this axis and a short one, from which some is left out and to which some is added."""
    matrix = {"matrix": {"a": axis, "b": draw(st.lists(st.integers(0, 3), max_size=2))}}
    values = st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.integers(0, 3)})
    if draw(st.booleans()):
        matrix["exclude"] = draw(st.lists(values, max_size=2))
    if draw(st.booleans()):
        matrix["include"] = draw(st.lists(values, max_size=2))
    return matrix


def named(style):
    return st.none() | st.sampled_from(methods(style))


@st.composite
def stage(draw, before):
    """One stage; `before` are the names of those that it may read, and what each of them gives."""
    many = [name for name, gives in before.items() if gives is not Gives.VALUE]
    ordered = [name for name, gives in before.items() if gives is Gives.ORDERED]
    kinds = ["source", "rows", "matrix", "batches"]
    kinds += ["map", "zip", "whole"] * bool(many) + ["some", "product"] * bool(ordered)
    kinds += ["fan"] * (len(many) < len(before))
    kind = draw(st.sampled_from(kinds))
    style = STYLES.get(kind, Style.MAP)
    made = {"call": f"dag_deeds.py:{CALLS.get(kind, 'mix')}", "args": str(style)}
    size = draw(st.sampled_from([0, 1, 2, 5, 12, 40]))
    match kind:
        case "source":
            made["over"] = {"range": size}
        case "rows":
            made["over"] = [[n, n + 1] for n in range(size)]
        case "matrix":
            made["over"] = draw(matrices({"range": min(size, 5)}))
        case "product":
            made["over"] = draw(matrices(f"${{stages.{draw(st.sampled_from(ordered))}}}"))
        case "batches":
            made["over"] = {"batches": {"range": size}, "size": draw(st.sampled_from([1, 2, 7]))}
        case "some":
            source = f"${{stages.{draw(st.sampled_from(ordered))}}}"
            made["over"] = {"batches": source, "size": draw(st.sampled_from([1, 2, 7]))}
        case "map":
            made["over"] = f"${{stages.{draw(st.sampled_from(many))}}}"
        case "zip":
            columns = [f"${{stages.{draw(st.sampled_from(many))}}}" for _ in range(2)]
            made |= {"over": columns, "shortest": True}
        case "fan":
            single = [name for name, gives in before.items() if gives is Gives.VALUE]
            made["over"] = f"${{stages.{draw(st.sampled_from(single))}}}"
        case "whole":
            made = {"call": "dag_deeds.py:tally", "with": {"values": f"${{stages.{draw(st.sampled_from(many))}}}"}}
    if before and draw(st.booleans()):
        made["needs"] = [draw(st.sampled_from(sorted(before)))]
    if draw(st.booleans()):
        made["method"] = draw(named(style))
    elif kind != "whole":
        made["returns"] = "list" if style is Style.STAR else draw(st.sampled_from(["list", "iterator", "unordered"]))
    if draw(st.booleans()) and kind != "whole":
        made |= {"chunk": draw(st.sampled_from([1, 3])), "window": draw(st.sampled_from([1, 4]))}
    made["priority"] = draw(st.none() | st.integers(0, 2))
    made = {key: value for key, value in made.items() if value is not None}
    return made, Gives.VALUE if kind == "whole" else Gives.UNORDERED if unordered(made) else Gives.ORDERED


def unordered(made):
    """Whether its list is in the order in which calls end: batches and a matrix of it are others in each run."""
    return Returns.UNORDERED in (made.get("returns"), made.get("method") and table().find(made["method"]).returns)


@st.composite
def pipelines(draw):
    stages, before = {}, {}
    for number in range(draw(st.integers(2, 6))):
        name = f"s{number}"
        stages[name], before[name] = draw(stage(before))
    return stages


def pipeline(stages):
    return Pipeline.from_text(json.dumps({"version": 1, "stages": stages}), folder=HERE)


def as_can_be(stages):
    """The pipeline, less the methods when together they are one that no plan can be made of."""
    try:
        made = pipeline(stages)
        made.plan(workers=2)
    except Problems:
        made = pipeline({name: {k: v for k, v in keys.items() if k != "method"} for name, keys in stages.items()})
    return made


def serially(stages):
    plain = {
        name: {k: v for k, v in keys.items() if k not in CHOICES} | {"backend": "serial"}
        for name, keys in stages.items()
    }
    result = pipeline(plain).run(keep="all")
    return {name: result[name] for name in stages}


@pytest.mark.timeout(170)
@settings(
    max_examples=int(os.environ.get("PRUN_EXAMPLES", "40")),
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(pipelines())
def test_any_methods_give_the_values_of_serial_and_no_stage_starts_before_its_sources(stages):
    made = as_can_be(stages)
    plan = made.plan(workers=2)
    note(plan.explain())
    events = []
    result = made.run(workers=2, keep="all", on_event=events.append)
    assert result.exit_code == 0, result.failures
    wanted = serially(stages)
    for name, planned in plan.stages.items():
        if planned.choice.returns is Returns.UNORDERED:
            assert sorted(result[name]) == sorted(wanted[name]), name
        else:
            assert result[name] == wanted[name], name
    in_order(plan, events)
    each_once(events, wanted)
    nothing_is_lost_that_is_kept_by_nobody(made, plan, result, wanted)


def nothing_is_lost_that_is_kept_by_nobody(made, plan, result, wanted):
    """What is streamed and not kept is gone when its reader is not there yet."""
    lean = made.run(workers=1, keep=())
    assert lean.exit_code == 0, lean.failures
    for name in plan.stages:
        if not plan.readers(name):
            assert tally(lean[name]) == tally(result[name]) == tally(wanted[name]), name


def tally(value):
    return Counter(map(str, value)) if isinstance(value, list) else value


def in_order(plan, events):
    started = {event.stage: at for at, event in enumerate(events) if isinstance(event, StageStarted)}
    ended = {event.stage: at for at, event in enumerate(events) if isinstance(event, StageEnded)}
    for edge in plan.edges:
        before = started if edge.kind is EdgeKind.STREAM else ended
        assert before[edge.source] < started[edge.target], edge


def each_once(events, wanted):
    done = Counter((event.stage, index) for event in events if isinstance(event, CallsDone) for index in event.indices)
    assert set(done.values()) <= {1}
    calls = Counter(stage for stage, _ in done)
    for name, value in wanted.items():
        assert calls[name] in (1, len(value)), name
