"""A few mutants with every run of the tests; and that the harness sees what it is there to see."""

from __future__ import annotations

import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("mutants.py")


@pytest.fixture(scope="module")
def mutants():
    """The command, as a module."""
    import sys

    spec = spec_from_file_location("mutants_command", FILE)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    module.warm()
    return module


@pytest.mark.timeout(100)
def test_some_mutants_of_every_day_keep_the_promise(mutants):
    report = mutants.batch((1, 0, 400))
    assert report.bad == []
    assert report.count == 400
    assert report.wrong > 200
    assert len(report.kinds) > 20


def test_a_mutant_is_known_by_its_number(mutants):
    texts = mutants.warm()
    assert [mutants.mutant(3, n, texts) for n in range(50)] == [mutants.mutant(3, n, texts) for n in range(50)]
    assert mutants.mutant(3, 1, texts) != mutants.mutant(4, 1, texts)


@pytest.mark.parametrize("kind", ["raises", "without a place", "slow", "hangs"])
def test_what_breaks_the_promise_is_seen(mutants, monkeypatch, kind):
    from pipeline_runner.spec.problems import NoStages

    def check(data, folder):
        match kind:
            case "raises":
                raise KeyError("x")
            case "without a place":
                return [NoStages(mark=None)]
            case _:
                stop = time.process_time() + (0.02 if kind == "slow" else 2)
                while time.process_time() < stop:
                    pass
                return []

    monkeypatch.setattr(mutants, "problems_of", check)
    monkeypatch.setattr(mutants, "MOST_S", 0.01)
    monkeypatch.setattr(mutants, "HANG_S", 0.2)
    report = mutants.Report()
    mutants.hold(5, mutants.Seed("x.yaml", "", FILE.parent), b"", report)
    ((number, name, what),) = report.bad
    assert (number, name) == (5, "x.yaml")
    assert {"raises": "KeyError", "without a place": "without a place", "slow": "took", "hangs": "took more"}[
        kind
    ] in what


def test_every_pipeline_of_the_repository_is_a_seed(mutants):
    names = {seed.name for seed in mutants.warm()}
    root = FILE.parents[2]
    assert {str(file.relative_to(root)) for file in root.glob("examples/*/pipeline.yaml")} <= names
    assert sum(name.startswith("tests/messages/") for name in names) > 80
    assert sum(name.startswith("docs/") for name in names) > 5


def test_one_seed_has_every_key(mutants):
    from pipeline_runner.spec.models import Pipeline, Retry, Stage

    text = mutants.every_key()
    keys = {field.alias or name for model in (Stage, Retry) for name, field in model.model_fields.items()}
    assert {key for key in keys if f"{key}: " not in text} == set()
    tops = {field.alias or name for name, field in Pipeline.model_fields.items()} - {"include"}
    assert {key for key in tops if f"\n{key}:" not in f"\n{text}"} == set()
