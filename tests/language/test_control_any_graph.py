"""The rules of docs/reference/control.md as a law: any graph of stages that end in any way ends as they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_runner import Pipeline

pytestmark = [pytest.mark.timeout(110), pytest.mark.usefixtures("own_state")]

HERE = Path(__file__).parent
OK = {"call": "control_deeds.py:same", "with": {"value": [1]}, "backend": "serial"}
BAD = {"call": "control_deeds.py:fails", "backend": "serial", "on_error": "finish"}
KINDS = {
    "ok": OK,
    "items": {"call": "control_deeds.py:same", "over": [1, 2], "backend": "serial"},
    "off": {**OK, "if": False},
    "decided": {**OK, "if": "${stages.no}"},
    "fails": BAD,
    "some": {"call": "control_deeds.py:fails_at", "over": [1, 2], "backend": "serial", "on_error": "finish"},
    "drops": {**BAD, "on_error": "skip"},
    "always": {**OK, "if": "always"},
    "always fails": {**BAD, "if": "always"},
}
OWN = {"off": "skipped", "decided": "skipped", "fails": "failed", "some": "failed", "drops": "skipped"}


@st.composite
def graphs(draw):
    """Stages in order, each a kind, and which of those before it depends on in which way."""
    stages = []
    for number in range(draw(st.integers(1, 7))):
        sources = draw(st.lists(st.integers(0, number - 1), unique=True, max_size=3)) if number else []
        stages.append((draw(st.sampled_from(sorted(KINDS))), sources, draw(st.sampled_from(["needs", "with"]))))
    return stages


def expected(stages):
    ends = []
    for kind, sources, _ in stages:
        before = {ends[source] for source in sources}
        if kind in ("always", "always fails"):
            ends.append("failed" if kind == "always fails" else "done")
        elif kind == "off":
            ends.append("skipped")
        elif before & {"failed", "cancelled"}:
            ends.append("cancelled")
        elif "skipped" in before:
            ends.append("skipped")
        else:
            ends.append(OWN.get(kind, "done"))
    return ends


def written(stages):
    spec = {"no": {"call": "control_deeds.py:same", "with": {"value": 0}, "backend": "serial"}}
    for number, (kind, sources, how) in enumerate(stages):
        names = [f"s{source}" for source in sources]
        keys = dict(KINDS[kind])
        if how == "with" and keys["call"] == OK["call"] and "over" not in keys:
            keys["with"] = {"value": [f"${{stages.{name}}}" for name in names]}
        else:
            keys["needs"] = names
        spec[f"s{number}"] = keys
    return spec


@given(graphs())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_any_graph_ends_as_the_rules_say(stages):
    spec = written(stages)
    pipeline = Pipeline.from_text(json.dumps({"version": 1, "stages": spec}), folder=HERE)
    result = pipeline.run(workers=2, keep=[])
    told = [str(result.state.stages[f"s{number}"].status) for number in range(len(stages))]
    assert told == expected(stages)
    assert result.exit_code == (1 if "failed" in told else 3 if result.failures else 0)
