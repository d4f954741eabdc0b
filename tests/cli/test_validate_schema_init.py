from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_runner.cli.app import run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prun(capsys, tmp_path, monkeypatch):
    """Run one command line in a folder that has a module m; gives its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    Path("m.py").write_text("def f(): ...\n")

    def command(*words):
        with pytest.raises(SystemExit) as caught:
            run(words)
        said = capsys.readouterr()
        return caught.value.code, said.out, said.err

    return command


def test_init_writes_a_project_that_validates_and_writes_it_once(prun):
    code, out, _ = prun("init", "here")
    assert code == 0
    assert "prun here/pipeline.yaml" in out
    assert prun("validate", "here/pipeline.yaml") == (0, "here/pipeline.yaml: ok\n", "")
    code, _, err = prun("init", "here")
    assert code == 2
    assert "already there" in err


def test_validate_tells_the_problems_of_every_file(prun):
    Path("a.yaml").write_text("stages: {a: {call: m.f, wrkers: 2}}")
    Path("b.yaml").write_text("stages: {a: {call: 'm:f'}}")
    code, out, _ = prun("validate", "a.yaml", "b.yaml", "c.yaml")
    assert code == 2
    assert "a.yaml: 2 problems\nb.yaml: ok\n" in out
    assert 'cannot read "c.yaml": there is no such file' in out


def test_validate_speaks_json(prun):
    Path("a.yaml").write_text("stages: {a: {call: 'm:f', wrkers: 2}}")
    code, out, _ = prun("validate", "--format", "json", "a.yaml")
    (problem,) = json.loads(out)["problems"]
    assert code == 2
    assert (problem["file"], problem["line"], problem["column"], problem["width"]) == ("a.yaml", 1, 27, 6)
    assert problem["code"] == "unknown-key"
    assert problem["message"] == 'unknown key "wrkers" in stage "a"; did you mean "workers"?'


def test_validate_speaks_to_github(prun):
    Path("a,b.yaml").write_text("stages: {a: {call: m.f}}")
    code, out, _ = prun("validate", "--format", "github", "a,b.yaml")
    assert code == 2
    assert out == (
        "::error file=a%2Cb.yaml,line=1,col=20,endColumn=23,title=bad-function::"
        '"m.f" names no function: there is no ":"%0Adid you mean m:f?\n'
    )


def test_schema_prints_what_the_repository_holds(prun):
    code, out, _ = prun("schema")
    assert code == 0
    assert out == (ROOT / "schemas/pipeline.schema.json").read_text(encoding="utf-8")
    assert prun("schema", "--output", "s.json")[0] == 0
    assert Path("s.json").read_text(encoding="utf-8") == out
    assert prun("schema", "--output", "no/such/s.json")[0] == 2


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("rnu", 'did you mean "prun run"?'),
        ("valdate", 'did you mean "prun validate"?'),
        ("repotr", 'did you mean "prun report"?'),
        ("bogus", "prun --help lists the commands"),
    ],
)
def test_a_word_that_is_no_command_is_told_with_the_one_that_is_near(prun, word, told):
    assert prun(word) == (2, "", f'prun: there is no command and no file "{word}"; {told}\n')
