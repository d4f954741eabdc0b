"""The best method of a stage is written where the stage is written, or nothing is."""

from __future__ import annotations

import pytest

from pipeline_runner.spec.build import load
from pipeline_runner.tuning.pin import CannotPin, CannotWrite, pin

KEYS = {"method": "pathos.SerialPool.map"}
PINNED = "method: pathos.SerialPool.map"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pinned(stage="a", keys=KEYS, profile=None):
    again = lambda: load("pipeline.yaml", profile=profile)
    return pin(again(), stage, keys, again)


def written(project, text, **others):
    for name, content in {"pipeline": text, **others}.items():
        (project / f"{name}.yaml").write_bytes(content.encode())


def test_the_place_is_told(project):
    written(project, "version: 1\nstages:\n  a:\n    call: w:f\n    over: [1]\n")
    assert str(pinned()) == "pipeline.yaml:5:13"


def test_a_byte_order_mark_and_ends_of_lines_stay(project):
    text = "\ufeffversion: 1\r\nstages:\r\n  a:\r\n    call: w:f\r\n    over: [1]\r\n"
    written(project, text)
    pinned()
    assert (project / "pipeline.yaml").read_bytes().decode() == text.replace("w:f\r\n", f"w:f\r\n    {PINNED}\r\n")


def test_a_link_stays_a_link(project):
    written(project, "", real="version: 1\nstages: {a: {call: 'w:f', over: [1]}}\n")
    (project / "pipeline.yaml").unlink()
    (project / "pipeline.yaml").symlink_to("real.yaml")
    pinned()
    assert (project / "pipeline.yaml").is_symlink()
    assert PINNED in (project / "real.yaml").read_text()


def test_a_stage_that_the_file_adds_to_is_pinned_in_that_file_and_not_in_the_included_one(project):
    common = "stages: {a: {call: 'w:f', over: [1]}}\n"
    written(project, "version: 1\ninclude: common.yaml\nstages:\n  a:\n    retry: 1\n", common=common)
    assert str(pinned()) == "pipeline.yaml:5:13"
    assert (project / "common.yaml").read_text() == common
    assert (project / "pipeline.yaml").read_text().endswith(f"  a:\n    {PINNED}\n    retry: 1\n")


def test_a_stage_within_two_pipelines_is_pinned_in_the_innermost(project):
    written(
        project,
        "version: 1\nstages: {x: {pipeline: sub/middle.yaml}}\n",
    )
    (project / "sub").mkdir()
    (project / "sub" / "middle.yaml").write_text("version: 1\nstages: {y: {pipeline: inner.yaml}}\n")
    (project / "sub" / "inner.yaml").write_text("version: 1\nstages: {a: {call: 'w:f', over: [1]}}\n")
    pinned("x.y.a", {"method": "multiprocessing.Pool.map"})
    assert "method: multiprocessing.Pool.map" in (project / "sub" / "inner.yaml").read_text()


def test_a_profile_that_has_the_last_word_leaves_the_file_as_it_was(project):
    text = (
        "version: 1\nprofiles: {p: {stages: {a: {method: pathos.SerialPool.imap}}}}\n"
        "stages:\n  a: {call: 'w:f', over: [1]}\n"
    )
    written(project, text)
    with pytest.raises(CannotPin) as refused:
        pinned(profile="p")
    assert str(refused.value) == (
        'pipeline.yaml: stage "a" is left as it is: pipeline.yaml:2:37 has the last word, and says pathos.SerialPool.imap\n'
        "  to have it, write there\n"
        "    method: pathos.SerialPool.map"
    )
    assert (project / "pipeline.yaml").read_text() == text
    assert {path.name for path in project.iterdir()} == {"pipeline.yaml"}


def test_a_method_that_does_not_fit_any_more_leaves_the_file_as_it_was(project):
    text = "version: 1\nstages:\n  a: {call: 'w:f', over: [1], timeout: 3s}\n"
    written(project, text)
    with pytest.raises(CannotPin):
        pinned()
    assert (project / "pipeline.yaml").read_text() == text


def test_an_alias_is_refused_with_what_to_write(project):
    text = "version: 1\nx-a: &a {call: 'w:f', over: [1]}\nstages: {a: *a}\n"
    written(project, text)
    with pytest.raises(CannotPin) as refused:
        pinned()
    assert '"a" is an alias of what is written elsewhere' in str(refused.value)
    assert (project / "pipeline.yaml").read_text() == text


def test_a_folder_that_may_not_be_written_is_told(project, monkeypatch):
    text = "version: 1\nstages:\n  a: {call: 'w:f', over: [1]}\n"
    written(project, text)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    # A test may run as root, whom nothing is forbidden.
    monkeypatch.setattr("pipeline_runner.tuning.pin.os.open", refuse)
    with pytest.raises(CannotWrite, match=r"pipeline\.yaml: cannot be written: permission denied"):
        pinned()
    assert (project / "pipeline.yaml").read_text() == text
