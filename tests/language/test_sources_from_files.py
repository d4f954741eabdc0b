"""Compressed files and URLs as sources of a pipeline: read in a run, and known again in the next one."""

from __future__ import annotations

import gzip
import json
import os
import sys
import zipfile
from threading import Thread

import fsspec
import pytest

from pipeline_runner import Pipeline

pytestmark = pytest.mark.timeout(60)

FUNCTIONS = """
import fsspec
def same(x): return x
def read(url):
    with fsspec.open(url, "rt") as file: return file.read()
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "work.py").write_text(FUNCTIONS)

    def made(over, call="work:same", **keys):
        stages = {"a": {"call": call, "over": over, "returns": "list", **keys}}
        (folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": stages}))
        return Pipeline.load(folder / "pipeline.yaml")

    made.folder = folder
    return made


def test_a_compressed_csv_gives_its_rows(made):
    with gzip.open(made.folder / "rows.csv.gz", "wt", encoding="utf-8-sig", newline="") as file:
        file.write("name;x,n\r\nä,1\r\n")
    assert made({"csv": "rows.csv.gz"}).run(workers=2)["a"] == [{"name;x": "ä", "n": "1"}]  # only a comma parts them


def test_rows_at_a_url_are_read(made):
    files = fsspec.filesystem("memory")
    files.pipe_file("/rows.jsonl", b'{"n": 1}\n{"n": 2}\n')
    try:
        assert made({"jsonl": "memory://rows.jsonl"}).run(workers=2)["a"] == [{"n": 1}, {"n": 2}]
    finally:
        files.store.clear()


def test_urls_of_a_glob_are_opened_by_the_calls(made):
    with zipfile.ZipFile(made.folder / "data.zip", "w") as archive:
        archive.writestr("in/a.txt", "A")
        archive.writestr("in/b.txt", "B")
    over = {"glob": f"zip://in/*.txt::file://{made.folder}/data.zip"}
    assert made(over, "work:read").run(workers=2)["a"] == ["A", "B"]


def test_only_a_remote_file_that_changed_is_read_again(made):
    for name in "ab":
        (made.folder / f"{name}.txt").write_text(name)
    pipeline = made({"glob": "file://*.txt"}, "work:read")
    assert pipeline.run(workers=2)["a"] == ["a", "b"]
    (made.folder / "b.txt").write_text("B!")
    again = pipeline.run(workers=2, resume=True)
    assert again["a"] == ["a", "B!"]
    assert again.state.stages["a"].reused == 1


def test_rows_that_were_read_before_are_known_again_wherever_they_stand(made):
    (made.folder / "rows.jsonl").write_text("1\n2\n3\n")
    made({"jsonl": "rows.jsonl"}).run(workers=2)
    (made.folder / "rows.jsonl.gz").write_bytes(gzip.compress(b"0\n1\n2\n3\n"))
    again = made({"jsonl": "rows.jsonl.gz"}).run(workers=2, resume=True)
    assert again["a"] == [0, 1, 2, 3]
    assert again.state.stages["a"].reused == 3


def test_a_url_that_is_not_there_fails_the_stage_with_its_name(made):
    result = made({"lines": "memory://no/such"}).run(workers=2)
    (failed,) = result.failures
    assert (failed.stage, failed.index) == ("a", -1)
    assert failed.failure.message == "memory://no/such: there is no such file"


def test_without_the_extra_a_url_is_refused_before_anything_runs(made, python):
    stage = {"call": "work:same", "over": {"lines": "s3://bucket/rows.txt"}}
    (made.folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": {"a": stage}}))
    code = "import sys; sys.modules['fsspec'] = None; from pipeline_runner.__main__ import main; sys.argv[1:] = ['validate', 'pipeline.yaml']; main()"
    said = python("-c", code, cwd=made.folder)
    assert said.returncode == 2
    assert '"s3://bucket/rows.txt" is a URL, and those need fsspec' in said.stdout
    assert "pip install prun-pipelines[remote]" in said.stdout


def test_a_pipeline_of_local_files_imports_no_fsspec(made, python):
    (made.folder / "a.txt").write_text("1\n")
    made({"lines": "a.txt"})
    code = "import sys; from pipeline_runner import Pipeline; Pipeline.load('pipeline.yaml').run(workers=1); print('fsspec' in sys.modules)"
    assert python("-c", code, cwd=made.folder).stdout.strip() == "False"
    assert "fsspec" in sys.modules  # here it is


@pytest.mark.parametrize(("kind", "args"), [("csv", "star"), ("csv", "map"), ("lines", "map"), ("jsonl", "map")])
def test_a_pipe_is_read_by_the_run_alone(made, kind, args):
    os.mkfifo(made.folder / "pipe")
    rows = {"csv": "x\n1\n2\n", "lines": "1\n2\n", "jsonl": "1\n2\n"}[kind]
    pipeline = made({kind: "pipe"}, args=args)
    writer = Thread(target=(made.folder / "pipe").write_text, args=(rows,))
    writer.start()
    value = pipeline.run()["a"]
    writer.join()
    assert value == {"csv": [{"x": "1"}, {"x": "2"}] if args == "map" else ["1", "2"], "lines": ["1", "2"]}.get(
        kind, [1, 2]
    )
