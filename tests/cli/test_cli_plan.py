"""`prun plan` and `prun graph`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline_runner.cli.app import run

PIPELINE = """
version: 1
name: census
params: {count: 3}
stages:
  numbers: {call: "work:number", over: {range: "${params.count}"}}
  squares: {call: "work:square", over: "${stages.numbers}"}
  total: {call: "work:total", with: {values: "${stages.squares}"}}
"""


@pytest.fixture
def prun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command line beside a pipeline.yaml: (exit code, stdout, stderr)."""
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "work.py").write_text("def number(n): ...\ndef square(n): ...\ndef total(values): ...\n")
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as left:
            run(words)
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


def test_plan_tells_methods_and_reasons(prun):
    code, out, err = prun("plan", "pipeline.yaml", "-j", "2")
    assert (code, err) == (0, "")
    assert out.startswith("census: 3 stages, 2 groups, 2 waves, 2 workers\n")
    assert "3 calls, args map" in out


@pytest.mark.parametrize("words", [("plan", "pipeline.yaml"), ("pipeline.yaml",), ("pipeline.yaml", "-n")])
def test_what_it_tells_to_run_first_is_of_the_same_pipeline(prun, tmp_path, words):
    (tmp_path / "my params.yaml").write_text("count: 7\n")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE + "profiles: {big: {workers: 2}}\n")
    given = ("--params", "my params.yaml", "--profile", "big")
    _, _, err = prun(*words, "--only", "total", "-p", "count=8", *given)
    assert "it: prun pipeline.yaml total -p count=8 --params 'my params.yaml' --profile big\n" in err


def test_plan_as_json_has_the_parameters_that_were_given(prun):
    _, out, _ = prun("plan", "pipeline.yaml", "--json", "-p", "count=5")
    assert json.loads(out)["stages"]["squares"]["calls"] == 5


def test_p_wins_over_a_file_of_parameters(prun, tmp_path):
    (tmp_path / "params.yaml").write_text("count: 7\n")
    assert (
        json.loads(prun("plan", "pipeline.yaml", "--json", "--params", "params.yaml")[1])["stages"]["numbers"]["calls"]
        == 7
    )
    both = prun("plan", "pipeline.yaml", "--json", "--params", "params.yaml", "-p", "count=4")
    assert json.loads(both[1])["stages"]["numbers"]["calls"] == 4


def test_a_parameter_without_a_value_is_a_usage_error(prun):
    code, out, err = prun("plan", "pipeline.yaml", "-p", "count")
    assert (code, out) == (2, "")
    assert "NAME=VALUE" in err


def test_problems_of_a_plan_are_told_with_their_line(prun, tmp_path):
    (tmp_path / "bad.yaml").write_text(
        "version: 1\n"
        "stages:\n"
        "  read: {call: 'w:r', over: [1], returns: iterator}\n"
        "  count:\n"
        "    call: w:c\n"
        "    over: ${stages.read}\n"
        "    method: multiprocessing.Pool.map\n"
    )
    code, out, err = prun("plan", "bad.yaml")
    assert (code, out) == (2, "")
    assert err.startswith('bad.yaml:7:13: stage "count" cannot take a stream with method "multiprocessing.Pool.map"\n')
    assert "\n     |             ^^^^^^^^^^^^^^^^^^^^^^^^\n" in err


@pytest.mark.parametrize(
    ("form", "start"), [("text", "census\n"), ("mermaid", "flowchart LR\n"), ("dot", "digraph"), ("svg", "<svg ")]
)
def test_graph_draws_in_every_format(prun, form, start):
    code, out, err = prun("graph", "pipeline.yaml", "--format", form)
    assert (code, err) == (0, "")
    assert out.startswith(start)


def test_graph_writes_a_file(prun, tmp_path):
    code, out, _ = prun("graph", "pipeline.yaml", "--format", "svg", "-o", "graph.svg")
    assert (code, out) == (0, "")
    assert ElementTree.parse(tmp_path / "graph.svg").getroot().tag.endswith("svg")


def test_a_place_that_cannot_be_written_is_a_usage_error(prun):
    code, _, err = prun("graph", "pipeline.yaml", "-o", "nowhere/graph.txt")
    assert code == 2
    assert 'cannot write "nowhere/graph.txt"' in err
