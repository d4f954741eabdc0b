"""What a run that changes nothing must not import, and what no worker may: counted, since times depend on the day."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.timeout(60)

HEAVY = (
    "networkx",
    "pydantic",
    "typer",
    "click",
    "rich",
    "yaml",
    "jinja2",
    "pathos",
    "ppft",
    "multiprocess",
    "dill",
    "fsspec",
    "starlette",
    "uvicorn",
    "anyio",
)
SERVES = ("starlette", "uvicorn", "anyio", "asyncio", "pipeline_runner.web")  # pages; only `prun ui` does

# Of the standard library: what takes 2 ms and more, and is for cases that a plain run is not.
NOT_IN_A_RUN = (
    *(
        *HEAVY,
        "asyncio",
        "logging",
        "ssl",
        "concurrent",
        "email",
        "zipfile",
        "importlib.metadata",
        "sysconfig",
        "difflib",
    ),
    *("dataclasses", "inspect", "ast", "dis", "pprint", "secrets"),
    *("typing", "hashlib", "_hashlib", "sqlite3", "datetime", "urllib", "ipaddress"),
    *("csv", "html", "uuid", "platform", "gzip", "argparse", "importlib.resources"),
    *("pipeline_runner.spec.build", "pipeline_runner.spec.models", "pipeline_runner.spec.problems"),
    *("pipeline_runner.syntax.reader", "pipeline_runner.syntax.formulas", "pipeline_runner.plan.make"),
    *("pipeline_runner.plan.choose", "pipeline_runner.plan.graph", "pipeline_runner.plan.preflight.look"),
    *("pipeline_runner.record.keys", "pipeline_runner.record.source", "pipeline_runner.record.foretell"),
    *("pipeline_runner.reporters.bars", "pipeline_runner.cli.options", "pipeline_runner.survey"),
    *("pipeline_runner.pages", "pipeline_runner.cli.reporting", "pipeline_runner.web"),
    # What is for those stages only that have it: sources, commands, files, tries of before, live values.
    *("glob", "base64", "pkgutil", "pipeline_runner.spec.sources", "pipeline_runner.spec.command"),
    *("pipeline_runner.spec.patterns", "pipeline_runner.syntax.shell_text", "pipeline_runner.worker.shell"),
    *("pipeline_runner.worker.outs", "pipeline_runner.engine.places", "pipeline_runner.engine.live"),
    *("pipeline_runner.engine.live_items", "pipeline_runner.engine.chaos", "pipeline_runner.record.outs"),
    *("pipeline_runner.record.earlier", "pipeline_runner.record.large", "pipeline_runner.record.digests"),
    *("pipeline_runner.record.renamed", "pipeline_runner.record.why"),
)
# Somewhat more than there are: a new module is no harm, a new library is.
MOST_OF_OURS = 129  # modules of this package
MOST = 273  # modules in all

NOT_IN_A_WORKER = (
    *(
        *HEAVY,
        "asyncio",
        "logging",
        "ssl",
        "concurrent",
        "email",
        "zipfile",
        "importlib.metadata",
        "sysconfig",
        "difflib",
    ),
    *("sqlite3", "json", "argparse", "typing", "hashlib", "urllib", "dataclasses", "inspect"),
    *("pipeline_runner.spec", "pipeline_runner.plan", "pipeline_runner.engine", "pipeline_runner.record"),
    *("pipeline_runner.cli.go", "pipeline_runner.backends", "pipeline_runner.reporters", "pipeline_runner.syntax"),
)
MOST_IN_A_WORKER = 172

ASK = """
import sys, _posixsubprocess
from pipeline_runner.__main__ import main
executed, execute = [], _posixsubprocess.fork_exec
_posixsubprocess.fork_exec = lambda words, *more: (executed.append(str(words)), execute(words, *more))[1]
try:
    main()
except SystemExit:
    pass
import gc
assert gc.isenabled() and not gc.get_freeze_count(), "what a call has left open is found"
loaded = sorted(sys.modules)
import json
from pipeline_runner import classes
written = [cls.__name__ for cls, lazy in classes._lazy.items() if lazy._stand_in is not None]
with open("runner.json", "w") as file:
    json.dump({"loaded": loaded, "executed": executed, "written": written}, file)
"""


@pytest.fixture
def loaded(python, tmp_path):
    """The modules of the runner and of its worker, in a run that is like one before."""
    (tmp_path / "deeds.py").write_text(
        "import gc, sys\n\n\ndef modules():\n    assert gc.isenabled()\n    return sorted(sys.modules)\n"
    )
    (tmp_path / "pipeline.yaml").write_text('version: 1\nstages:\n  one: {call: "deeds:modules"}\n')
    for _ in range(2):
        done = python("-c", ASK, "pipeline.yaml", "--json", "-j", "2")
        assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)["stages"]["one"]["value"]
    return json.loads((tmp_path / "runner.json").read_text())["loaded"], worker


def found(modules, forbidden):
    return [name for name in modules if any(f"{name}.".startswith(f"{word}.") for word in forbidden)]


def test_a_run_that_is_like_the_last_one_imports_nothing_that_it_does_not_need(loaded):
    runner, worker = loaded
    assert found(runner, NOT_IN_A_RUN) == []
    assert len([name for name in runner if name.startswith("pipeline_runner.")]) <= MOST_OF_OURS
    assert len(runner) <= MOST
    assert found(worker, NOT_IN_A_WORKER) == []
    assert len(worker) <= MOST_IN_A_WORKER


def test_stages_in_the_order_in_which_they_run_are_planned_without_networkx(python, tmp_path):
    (tmp_path / "pipeline.yaml").write_text(
        "version: 1\nstages:\n"
        "  one: {call: 'math:sqrt', over: [1, 4], returns: iterator}\n"
        "  two: {call: 'math:sqrt', over: '${stages.one}'}\n"
        "  all: {call: 'builtins:sum', with: ['${stages.two}'], needs: one}\n"
    )
    done = python("-c", ASK, "pipeline.yaml", "--quiet", "--show", "all")
    assert done.returncode == 0, done.stderr
    runner = json.loads((tmp_path / "runner.json").read_text())["loaded"]
    assert "yaml" in runner
    assert found(runner, ("networkx", "difflib")) == []


def test_a_first_run_of_an_ordinary_file_imports_no_pydantic(python, tmp_path):
    (tmp_path / "deeds.py").write_text("def same(x):\n    return x\n")
    (tmp_path / "pipeline.yaml").write_text(
        "version: 1\nname: plain\nparams: {n: 3}\ndefaults: {retry: 1}\nstages:\n"
        "  one: {call: 'deeds:same', over: {range: '${params.n}'}, timeout: 30s, env: {A: 1}}\n"
        "  two: {run: 'true', needs: one}\n"
        "profiles: {quick: {workers: 1, stages: {one: {timeout: 5s}}}}\n"
    )
    done = python("-c", ASK, "pipeline.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    runner = json.loads((tmp_path / "runner.json").read_text())["loaded"]
    assert "yaml" in runner
    others = ("importlib.metadata", "concurrent", "logging", "secrets", "dataclasses", "inspect", "dis", "pkgutil")
    sparing = ("typing", "hashlib", "_hashlib", "sqlite3", "urllib", "ipaddress")
    assert found(runner, ("pydantic", "pydantic_core", *others, *sparing)) == []


def test_a_look_at_ordinary_files_imports_no_typer_and_no_pydantic(python, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("version: 1\nstages: {one: {call: 'math:sqrt', with: [4]}}\n")
    look = "\n".join(line for line in ASK.splitlines() if not line.startswith("assert"))  # of a run's end
    done = python("-c", look, "validate", "pipeline.yaml", "pipeline.yaml")
    assert (done.returncode, done.stdout) == (0, "pipeline.yaml: ok\n")
    runner = json.loads((tmp_path / "runner.json").read_text())["loaded"]
    assert "yaml" in runner
    assert found(runner, ("typer", "click", "rich", "pydantic", "pydantic_core", "networkx", "sqlite3")) == []


@pytest.mark.parametrize("words", [("--format", "text"), ("--format=text",)])
def test_a_look_is_the_same_with_and_without_typer(python, tmp_path, words):
    (tmp_path / "pipeline.yaml").write_text("version: 1\nstages: {one: {call: 'math:sqrrt', wiht: [4]}}\n")
    plain = python("-m", "pipeline_runner", "validate", "pipeline.yaml", "nowhere.yaml")
    other = python("-m", "pipeline_runner", "validate", "pipeline.yaml", "nowhere.yaml", *words)
    assert plain.returncode == other.returncode == 2
    assert plain.stdout == other.stdout


def test_a_run_that_is_like_the_last_one_starts_no_second_interpreter(loaded, tmp_path):
    assert json.loads((tmp_path / "runner.json").read_text())["executed"] == []


def test_a_small_run_writes_the_methods_of_hardly_any_dataclass(loaded, tmp_path):
    assert len(json.loads((tmp_path / "runner.json").read_text())["written"]) <= 4


@pytest.mark.parametrize("words", [("--help",), ("ui", "--help"), ("runs",), ("report", "last", "-o", "page.html")])
def test_only_prun_ui_itself_imports_what_serves_pages(python, tmp_path, words):
    (tmp_path / "pipeline.yaml").write_text("version: 1\nstages: {one: {call: 'math:sqrt', with: [4]}}\n")
    if "--help" not in words:
        assert python("-m", "pipeline_runner", "pipeline.yaml", "-q").returncode == 0
    done = python("-c", ASK, *words)
    assert done.returncode == 0, done.stderr
    assert found(json.loads((tmp_path / "runner.json").read_text()), SERVES) == []
