"""What is made again after which edit, of commands that make files of files: the cases of DVC's and doit's own tests.

- dvc: `iterative/dvc`, tests/func/repro/test_repro.py and tests/func/test_run_cache.py
- doit: `pydoit/doit`, tests/test_dependency.py

Three commands copy foo to file1 to file2 to file3, each with a script of its own. A row says what is edited, and which
copies are made then: by the name of the file that is read. A comment says where the answer here is not the peer's.
"""

from __future__ import annotations

import os
import shutil
from itertools import pairwise

import pytest

from pipeline_runner import PipelineError

pytestmark = pytest.mark.timeout(120)

COPY = 'cp "$1" "$2"; echo "$1" >> made\n'
FILES = {"foo": "foo", "bar": "bar", "spare": "", "copy1.sh": COPY, "copy2.sh": COPY, "copy3.sh": COPY}
CHAIN = ("foo", "file1", "file2", "file3")


def stages(**changes):
    found = {}
    for number, (read, made) in enumerate(pairwise(CHAIN), 1):
        found[made] = {
            "run": f"sh copy{number}.sh {read} ${{outs[0]}}",
            "deps": [read, f"copy{number}.sh"],
            "outs": [made],
            "needs": [read] if read in found else [],
            "cache": True,
        }
    return {name: {**stage, **changes.get(name, {})} for name, stage in found.items()}


@pytest.fixture
def project(made):
    for name, text in FILES.items():
        made.write(name, text)
    made.stages(stages())
    assert made.run().status == "done"
    assert made.made() == sorted(CHAIN[:3])
    return made


def changed(**changes):
    return lambda project: project.stages(stages(**changes))


def written(**texts):
    return lambda project: [project.write(name.replace("_", "."), text) for name, text in texts.items()]


def deleted(*names):
    def delete(project):
        for name in names:
            path = project.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return delete


def touched(project):
    for name in (*FILES, *CHAIN[1:]):
        os.utime(project.folder / name)


def moved(project):
    (project.folder / "foo").rename(project.folder / "bar")
    project.stages(stages(file1={"run": "sh copy1.sh bar ${outs[0]}", "deps": ["bar", "copy1.sh"]}))


def forth_and_back(project):
    project.write("foo", "foobar")
    project.run()
    project.made()
    project.write("foo", "foo")


DEPS = ["file2", "copy3.sh"]
BOTH = "sh copy3.sh file2 ${outs[0]}; cp spare ${outs[1]}"
# (the peer's test, the edit, the copies that are made)
EDITS = [
    ("dvc test_repro_up_to_date", lambda project: None, []),
    ("dvc test_repro_changed_deep_data", written(foo="bar"), ["foo", "file1", "file2"]),
    ("dvc test_repro_changed_code", written(copy1_sh=COPY + 'cp bar "$2"\n'), ["foo", "file1", "file2"]),
    # With --force-downstream the third is made too there; of itself it is not, for what it reads is the same.
    ("dvc test_repro_force_downstream", written(copy2_sh=COPY + "\n\n"), ["file1"]),
    ("dvc test_repro_when_cmd_changes", changed(file3={"run": "sh  copy3.sh  file2  ${outs[0]}"}), ["file2"]),
    ("dvc test_repro_when_new_deps_is_added_in_dvcfile", changed(file3={"deps": [*DEPS, "spare"]}), ["file2"]),
    ("dvc test_repro_when_new_outs_is_added_in_dvcfile", changed(file3={"run": BOTH, "outs": ["file3", "more"]}), ["file2"]),
    ("dvc test_repro_when_new_deps_is_moved", moved, ["bar"]),
    ("dvc test_repro_when_lockfile_gets_deleted", deleted(".prun"), ["foo", "file1", "file2"]),
    # There the files come back from DVC's copies of them. Here only results are kept, not files.
    ("dvc test_restore", deleted("file3", ".prun"), ["foo", "file1", "file2"]),
    ("dvc test_memory_for_multiple_runs_of_same_stage", forth_and_back, ["foo", "file1", "file2"]),
    ("doit test_fileDependencies", written(foo="foo and more"), ["foo", "file1", "file2"]),
    ("doit test_fileDependencies_changed", changed(file3={"deps": DEPS[:1]}), ["file2"]),
    (
        "doit test_fileDependencies_changed_get_log",
        changed(file3={"deps": ["file2", "spare"], "run": "sh copy3.sh file2 ${outs[0]}"}),
        ["file2"],
    ),
    ("doit test_size_md5: another time and the same content", touched, []),
    ("doit test_targets: all are there", lambda project: None, []),
    ("doit test_targets_notThere", deleted("file3"), ["file2"]),
    ("a file in the middle is gone", deleted("file1"), ["foo"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "expected"), EDITS, ids=[edit[0] for edit in EDITS])
def test_what_is_copied_again_after_an_edit(project, name, edit, expected):
    edit(project)
    assert project.run().status == "done"
    assert project.made() == sorted(expected)
    assert project.run().status == "done"
    assert project.made() == []


# (the peer's test, the edit, what is said)
MISTAKES = [
    ("dvc test_repro_fail", deleted("copy1.sh"), "copy1.sh"),
    ("dvc test_non_existing_output", deleted("foo"), "foo"),
    ("dvc test_cyclic_graph_error", changed(file1={"needs": ["file3"]}), "file3"),
    ("doit test_file_dependency_not_exist", changed(file1={"deps": ["foo", "copy1.sh", "nothere"]}), "nothere"),
]


@pytest.mark.parametrize(("name", "edit", "said"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_an_edit_that_peers_refuse_is_refused_before_anything_is_made(project, name, edit, said):
    edit(project)
    with pytest.raises(PipelineError, match=said):
        project.run()
    assert project.made() == []


@pytest.mark.parametrize("keys", [{"deps": [*DEPS, "nothere"]}, {"outs": ["file3", "nothere"]}], ids=["deps", "outs"])
def test_dvcs_new_deps_and_outs_that_are_not_there_fail_the_stage(project, keys):
    # dvc test_repro_when_new_deps_added_does_not_exist and test_repro_when_new_outs_added_does_not_exist.
    # A stage before it might have written the dep, so that it is looked for when the stage begins.
    project.stages(stages(file3=keys))
    (failure,) = project.run().failures
    assert (failure.stage, "nothere" in failure.failure.message) == ("file3", True)


def test_dvcs_force_makes_all_again(project):  # dvc test_repro_force
    assert project.run(force=True).status == "done"
    assert project.made() == sorted(CHAIN[:3])


def test_dvcs_dry_run_makes_nothing(project):  # dvc test_repro_dry
    project.write("foo", "bar")
    told = project.forecast()
    assert [outlook.reused for outlook in told.values()] == [0, 0, 0]
    assert (project.made(), (project.folder / "file1").read_text()) == ([], "foo")


@pytest.mark.parametrize(("since", "expected"), [("b", "bde"), ("a", "abcde")])
def test_dvcs_downstream_is_a_stage_and_what_is_made_of_it(made, since, expected):  # dvc test_downstream
    reads = {"a": "", "b": "a", "c": "a", "d": "bc", "g": "", "f": "g", "e": "df"}
    made.stages({name: {"run": f"echo {name} >> made", "needs": list(needs)} for name, needs in reads.items()})
    made.run()
    assert made.made() == sorted(reads)
    made.run(part={"since": [since]}, force=True)
    assert made.made() == sorted(expected)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ("echo foo > foo\necho bar > bar", ["bar", "foo"]),  # test_repro_list_of_commands_in_order
        ("echo foo > foo\nfailed_command\necho baz > bar", ["foo"]),  # …_raise_and_stops_after_failure
    ],
)
def test_dvcs_commands_run_in_order_and_stop_at_a_failure(made, commands, expected):
    made.stages({"multi": {"run": commands}})
    result = made.run()
    assert (result.status == "done") == (len(expected) == 2)
    assert sorted({"bar", "foo"} & set(os.listdir(made.folder))) == expected
