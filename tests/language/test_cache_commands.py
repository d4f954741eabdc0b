"""Files and cache of stages that are commands: the same keys mean the same."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def project(made):
    for name in ("a b", "c"):
        made.write(f"in/{name}.txt", f"{name}\n")
    made.write("head.txt", "head\n")
    made.stages(
        {
            "join": {
                "run": "echo ${item} >> made; cat head.txt ${item} > ${out}",
                "over": {"glob": "in/*.txt"},
                "deps": ["head.txt"],
                "outs": ["out/${item | name}"],
                "cache": True,
            },
            "list": {
                "run": ["sh", "-c", 'echo list >> made; ls out > "$1"; touch "$2"', "sh", "${outs[0]}", "${outs[1]}"],
                "outs": ["list.txt", "more/list.txt"],
                "needs": ["join"],
                "cache": True,
            },
        }
    )
    return made


def test_a_command_writes_its_outs_and_is_run_again_only_when_it_has_to_be(project):
    assert project.run().status == "done"
    assert (project.folder / "out/a b.txt").read_text() == "head\na b\n"
    assert (project.folder / "list.txt").read_text() == "a b.txt\nc.txt\n"
    assert (project.folder / "more/list.txt").exists()
    assert project.made() == ["in/a b.txt", "in/c.txt", "list"]

    project.run()
    assert project.made() == []

    project.write("in/c.txt", "other\n")
    project.run()
    assert project.made() == ["in/c.txt", "list"]

    project.write("head.txt", "another\n")
    (project.folder / "more/list.txt").unlink()
    project.run()
    assert project.made() == ["in/a b.txt", "in/c.txt", "list"]


def test_an_out_that_a_failed_command_has_begun_is_not_there(project):
    project.stages({"half": {"run": "echo half > ${out}; exit 3", "outs": ["half.txt"]}})
    assert project.run().status == "failed"
    assert not (project.folder / "half.txt").exists()
    assert sorted(path.name for path in project.folder.iterdir() if path.name.startswith(".prun-")) == []


def test_a_command_may_write_the_file_itself(project):
    project.stages({"own": {"run": "echo whole > own.txt", "outs": "own.txt", "cache": True}})
    project.run()
    assert project.run().state.stages["own"].status == "reused"


def test_a_command_that_was_edited_is_named_as_that(project):
    project.run()
    text = project.file.read_text()
    project.file.write_text(text.replace("cat head.txt", "cat -u head.txt"))
    assert project.forecast()["join"].because == ("its command has changed",)
