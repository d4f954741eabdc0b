"""The reference shows an example of each key, and each of them is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_runner.pipeline import check
from pipeline_runner.spec import build
from pipeline_runner.spec.models import Pipeline, Retry, Stage
from pipeline_runner.syntax.reader import plain, read

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "examples.yaml"
EXAMPLES = plain(read(FILE.read_text("utf-8"), FILE.name).root)
MODELS = {"top level": Pipeline, "stage": Stage, "retry": Retry}
LATER = {*getattr(build, "NOT_YET_STAGE", ())}  # keys that wait, as long as any do

COMMON = "params: {folder: texts, top: 10, full: true}\nlimits: {api: 2}\n"
OF_A_FILE = ("pipeline", "params", "allow_outside")  # of a stage that is another file's pipeline
NEEDED = {"fetch": "  fetch: {call: 'words:fetch'}\n"}


def text(part, key):
    """A pipeline with one example in it."""
    line = EXAMPLES[part][key]
    if part == "top level":
        stages = "" if key == "stages" else "\nstages: {s: {call: 'words:count', over: [a]}}"
        return line + stages
    if key in OF_A_FILE:
        inner = "" if key == "pipeline" else "    pipeline: other.yaml\n"
        return f"{COMMON}stages:\n  s:\n{inner}    {line}\n"
    call = "" if key in ("call", "run", "pipeline") else "    call: words:count\n"
    call = "    run: ls\n" if key == "stdout" else call
    over = "" if key == "over" else "    over: {a: [1], b: [2]}\n" if key == "shortest" else "    over: [[a], [b]]\n"
    setup = "    setup: models:load\n" if key == "setup_with" else ""
    return f"{COMMON}stages:\n{NEEDED['fetch']}  s:\n{call}{over}{setup}    {line}\n"


@pytest.mark.parametrize("part", MODELS)
def test_each_key_has_an_example(part):
    keys = {field.alias or name for name, field in MODELS[part].model_fields.items()}
    assert keys - set(EXAMPLES[part]) == set()


@pytest.mark.parametrize(
    ("part", "key"),
    [
        (part, key)
        for part, examples in EXAMPLES.items()
        for key in examples
        if key in {field.alias or name for name, field in MODELS[part].model_fields.items()} - LATER
    ],
)
def test_an_example_is_right(part, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "other.yaml").write_text(
        "params: {top: 1}\nstages: {t: {call: 'words:count', with: ['${params.top}']}}\n"
    )
    (tmp_path / "common.yaml").write_text("params: {more: 1}\n")
    assert [str(problem) for problem in check(text(part, key), folder=tmp_path)] == []
