"""Every folder of examples/ gives what its expected.json says.

`expected.json` names stages with the keys that they must have in `prun --json`, or
`"expect": "module:function"`, plain Python that computes {stage: value}, or `"prints"`, the JSON
lines that the folder's script writes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/expected.json"))
PIPELINES = sorted(path.parent.name for path in EXAMPLES.glob("*/pipeline.yaml"))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of an example in which it may write what it likes."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".prun", "__py*")))

    return copy


def imported(file: Path) -> ModuleType:
    spec = spec_from_file_location(f"example_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def wanted(folder: Path) -> dict[str, dict[str, Any]]:
    """The keys that each stage must have in `--json`."""
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text("utf-8"))
    stages: dict[str, dict[str, Any]] = expected.get("stages", {})
    if "expect" in expected:
        module, function = expected["expect"].split(":")
        values = getattr(imported(folder / f"{module}.py"), function)()
        stages |= {name: {"status": "done", "value": as_json(value)} for name, value in values.items()}
    return stages


def cut_to(want: Mapping[str, Mapping[str, Any]], stages: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What we got, only of the stages and keys that we asked for."""
    return {stage: {key: stages[stage].get(key) for key in keys} for stage, keys in want.items()}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.timeout(100)
def test_an_example_gives_what_it_says(name, copied, prun):
    folder = copied(name)

    ran = prun("pipeline.yaml", "--json", "--show", "all", cwd=folder)

    assert ran.returncode == 0, ran.stderr
    got = json.loads(ran.stdout)
    want = wanted(folder)
    assert got["status"] == "done"
    assert got["failures"] == []
    assert cut_to(want, got["stages"]) == want


@pytest.mark.parametrize("name", sorted(set(FOLDERS) - set(PIPELINES)))
@pytest.mark.timeout(60)
def test_a_script_prints_what_it_says(name, copied, python):
    folder = copied(name)
    (script,) = folder.glob("*.py")

    ran = python(script.name, cwd=folder)

    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines == json.loads((folder / "expected.json").read_text("utf-8"))["prints"]


def test_every_example_says_what_it_gives():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert folders == set(FOLDERS)


@pytest.mark.parametrize("name", PIPELINES)
def test_an_example_begins_with_the_line_that_editors_read(name):
    file = EXAMPLES / name / "pipeline.yaml"
    first = file.read_text("utf-8").splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert schema != first
    assert (file.parent / schema).resolve() == EXAMPLES.parent / "schemas" / "pipeline.schema.json"
    assert (file.parent / schema).is_file()


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.timeout(30)
def test_an_example_is_valid(name, prun):
    checked = prun("validate", str(EXAMPLES / name / "pipeline.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.timeout(60)
def test_chance_comes_out_the_same_on_any_number_of_workers(workers, copied, prun):
    folder = copied("monte_carlo")

    ran = prun("pipeline.yaml", "--json", "--show", "all", "-j", workers, cwd=folder)

    want = wanted(folder)
    assert cut_to(want, json.loads(ran.stdout)["stages"]) == want


@pytest.mark.parametrize("profile", ["dask", "ray", "mpi"])
@pytest.mark.timeout(100)
def test_one_line_takes_an_example_to_a_cluster(profile, copied, prun):
    folder = copied("on_a_cluster")

    ran = json.loads(prun("pipeline.yaml", "--json", "--profile", profile, cwd=folder).stdout)["stages"]

    want = wanted(folder)
    assert cut_to(want, ran) == want
    library = {"dask": "dask.distributed.", "ray": "ray.", "mpi": "mpi4py.futures."}[profile]
    assert all(stage["method"].startswith(library) for stage in ran.values())


def test_every_method_of_the_table_is_in_the_example_of_all():
    """But those of clusters, which need more than is installed with us."""
    from pipeline_runner.backends import table

    text = (EXAMPLES / "every_method" / "pipeline.yaml").read_text("utf-8")
    stages = [line for line in text.splitlines() if "{method: " in line]
    assert sorted(line.split("{method: ")[1].split(",")[0] for line in stages) == sorted(
        name for name, owner in table().owners.items() if owner.local
    )


def test_an_example_needs_no_more_than_the_standard_library():
    sources = [path.read_text("utf-8") for path in EXAMPLES.glob("*/*.py")]
    roots = {
        line.split()[1].split(".")[0]
        for source in sources
        for line in source.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert roots <= sys.stdlib_module_names | {"pipeline_runner"}
