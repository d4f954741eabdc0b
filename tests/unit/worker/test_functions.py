from __future__ import annotations

import pickle
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pipeline_runner.worker.functions import FunctionNotFound, PackageMissing, module_name, resolve


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that is a project; what it brings into the process goes again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_of_a_module_beside_the_pipeline_is_found(project):
    (project / "steps_one.py").write_text(
        "def double(x):\n    return 2 * x\n\nclass Box:\n    @staticmethod\n    def open(): return 1\n"
    )
    assert resolve("module", "steps_one", "double", project)(4) == 8
    assert resolve("module", "steps_one", "Box.open", project)() == 1


def test_a_function_of_a_file_is_found_and_the_file_is_loaded_once(project):
    (project / "sub").mkdir()
    (project / "sub" / "my-steps.py").write_text("seen = []\ndef f(): seen.append(1); return len(seen)\n")
    assert resolve("file", "sub/my-steps.py", "f", project)() == 1
    assert resolve("file", "./sub/my-steps.py", "f", project)() == 2


def test_a_file_and_its_module_are_one(project):
    (project / "steps_two.py").write_text("def f(): pass\n")
    assert resolve("file", "steps_two.py", "f", project) is resolve("module", "steps_two", "f", project)


def test_an_object_of_a_file_can_be_pickled_and_read_in_a_process_that_never_loaded_it(project):
    (project / "sub").mkdir()
    (project / "sub" / "shapes.py").write_text("class Shape:\n    size = 3\ndef make(): return Shape()\n")
    (project / "calendar.py").write_text("class Day:\n    size = 3\ndef make(): return Day()\n")
    for file in ("sub/shapes.py", "calendar.py"):
        data = pickle.dumps(resolve("file", file, "make", project)())
        code = f"from pipeline_runner.worker.functions import add_to_path; add_to_path({str(project)!r}); "
        code += f"import pickle; print(pickle.loads({data!r}).size)"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3\n"


def test_the_folder_comes_after_the_standard_library_and_before_what_is_installed(project):
    (project / "json.py").write_text("raise SystemExit('a planted json.py was imported')\n")
    (project / "steps_three.py").write_text("import json\ndef f(): return json.dumps(1)\n")
    assert resolve("module", "steps_three", "f", project)() == "1"
    at = sys.path.index(str(project))
    assert sys.path.index(sysconfig.get_path("stdlib")) < at < sys.path.index(sysconfig.get_path("purelib"))


def test_two_projects_with_a_module_of_one_name_do_not_get_each_others(project):
    for name in ("a", "b"):
        (project / name).mkdir()
        (project / name / "same_name.py").write_text(f"def f(): return {name!r}\n")
    for kind, place in (("module", "same_name"), ("file", "same_name.py")):
        assert resolve(kind, place, "f", project / "a")() == "a"
        assert resolve(kind, place, "f", project / "b")() == "b"
        assert resolve(kind, place, "f", project / "a")() == "a"


def test_what_is_beside_the_pipeline_goes_before_pythonpath_and_the_folder_of_the_program(project, monkeypatch):
    for name in ("own", "other"):
        (project / name).mkdir()
        (project / name / "steps_four.py").write_text(f"def f(): return {name!r}\n")
    standard = sysconfig.get_path("stdlib")
    monkeypatch.setattr(sys, "path", [str(project / "other"), str(project / "own"), *sys.path])
    assert resolve("module", "steps_four", "f", project / "own")() == "own"
    assert sys.path.index(standard) < sys.path.index(str(project / "own")) < sys.path.index(str(project / "other"))


def test_a_program_beside_the_pipeline_keeps_its_path(project, monkeypatch):
    (project / "steps_five.py").write_text("def f(): return 1\n")
    path = [str(project), *sys.path]
    monkeypatch.setattr(sys, "path", list(path))
    assert resolve("module", "steps_five", "f", project)() == 1
    assert sys.path == path


def not_found(kind, place, attribute, folder):
    with pytest.raises(FunctionNotFound) as caught:
        resolve(kind, place, attribute, folder)
    return str(caught.value)


def test_what_is_not_there_is_told_with_what_is_near(project):
    (project / "texts.py").write_text("def read_file(): pass\nlimit = 3\n")
    assert str(project) in not_found("module", "textz", "f", project)
    assert "did you mean texts:f?" in not_found("module", "textz", "f", project)
    assert "did you mean texts.py?" in not_found("file", "text.py", "f", project)
    assert "it has: read_file" in not_found("module", "texts", "read_fiel", project)
    assert "limit is an int, which cannot be called" in not_found("module", "texts", "limit", project)


def test_a_module_that_the_standard_library_has_is_told_so(project):
    (project / "calendar.py").write_text("def mine(): return 1\n")
    message = not_found("module", "calendar", "mine", project)
    assert '"calendar" is the standard library\'s module' in message
    assert "calendar.py:mine" in message
    assert resolve("file", "calendar.py", "mine", project)() == 1
    assert resolve("module", "calendar", "isleap", project)(2024)


@pytest.mark.parametrize(("kind", "place"), [("module", "needing"), ("file", "needing.py")])
def test_a_package_that_is_missing_is_told_in_a_line_with_who_needs_it(project, kind, place):
    (project / "needing.py").write_text("import os\nimport there_is.no_such_module\n")
    with pytest.raises(PackageMissing) as caught:
        resolve(kind, place, "f", project)
    assert str(caught.value) == (
        f'cannot load "{place}:f": it needs the package "there_is", imported at {project}/needing.py:2, '
        f"which is not installed\n  install what has it for {sys.executable}"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_error_in_the_module_is_the_modules_own(project):
    (project / "broken_steps.py").write_text("raise ModuleNotFoundError('not on Sundays')\n")
    with pytest.raises(ModuleNotFoundError, match="not on Sundays"):
        resolve("module", "broken_steps", "f", project)


def test_a_files_name_does_not_depend_on_what_was_imported(project):
    (project / "fresh.py").write_text("")
    file = str(Path(project).resolve() / "fresh.py")
    before = module_name(file, str(project))
    resolve("file", "fresh.py", "__doc__.__class__", project)
    assert module_name(file, str(project)) == before == "fresh"
