"""What a name stands for, told by reading files: the cases in which that is known, and those in which Python is asked."""

from __future__ import annotations

import importlib
import sys

import pytest

from pipeline_runner.plan.preflight.find import NoCall, NoFile, NoModule, NoName, find
from pipeline_runner.plan.preflight.finder import Finder
from pipeline_runner.plan.preflight.modules import Unreadable
from pipeline_runner.plan.preflight.signatures import Callee
from pipeline_runner.spec.functions import parse_function
from pipeline_runner.worker.functions import path_with

ASK = None


@pytest.fixture
def project(tmp_path):
    """Write files, then ask what a name in them stands for."""

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def ask(named, **files):
        for name, text in files.items():
            write(name.replace("__", "/").replace("INIT", "__init__") + ".py", text)
        finder = Finder(str(tmp_path), tuple(path_with(str(tmp_path))))
        return find(parse_function(named, None), finder)

    return ask


def arguments(answer):
    assert isinstance(answer, Callee), answer
    return None if answer.signature is None else list(answer.signature)


KNOWN = [
    ("def f(a, b): ...", "f", ["a", "b"]),
    ("async def f(a): ...", "f", ["a"]),
    ("f = lambda a, *b: 0", "f", ["a", "b"]),
    ("f: object = lambda a: 0", "f", ["a"]),
    ("def g(a): ...\nf = g", "f", ["a"]),
    ("def g(a): ...\nh = f = g", "f", ["a"]),
    ("def f(a): ...\ndef f(b): ...", "f", ["b"]),
    ("if True:\n    def f(a): ...\ndef f(b): ...", "f", ["b"]),
    ("import functools\n@functools.lru_cache(maxsize=3)\ndef f(a): ...", "f", ["a"]),
    ("from functools import cache as kept\n@kept\ndef f(a): ...", "f", ["a"]),
    ("import other\n@other.thing\ndef f(a): ...", "f", None),
    ("def cache(f): return f\n@cache\ndef f(a): ...", "f", None),
    ("class C:\n    def m(self, a): ...", "C.m", ["self", "a"]),
    ("class C:\n    @staticmethod\n    def m(a): ...", "C.m", ["a"]),
    ("class C:\n    @classmethod\n    def m(cls, a): ...", "C.m", ["a"]),
    ("class C:\n    @other\n    def m(cls, a): ...", "C.m", None),
    ("class C:\n    def __init__(self, a): ...", "C", ["a"]),
    ("class C: ...", "C", []),
    ("class C(object):\n    class D:\n        def __init__(self, a): ...", "C.D", ["a"]),
]


@pytest.mark.parametrize(("text", "name", "wanted"), KNOWN)
def test_what_is_written_down_is_known(project, text, name, wanted):
    assert arguments(project(f"steps:{name}", steps=text)) == wanted
    assert arguments(project(f"steps.py:{name}", steps=text)) == wanted


UNKNOWN = [
    ("from math import *", "f"),
    ("def __getattr__(name): ...", "f"),
    ("globals()['f'] = print", "f"),
    ("import sys\nsetattr(sys.modules[__name__], 'f', print)", "f"),
    ("try:\n    from quick import f\nexcept ImportError:\n    def f(a): ...", "f"),
    ("def f(a): ...\nif True:\n    f = print", "f"),
    ("from functools import partial\nf = partial(print, 1)", "f"),
    ("f, g = print, print", "f"),
    ("f = print", "f"),
    ("class B: ...\nclass C(B): ...", "C"),
    ("class B: ...\nclass C(B): ...", "C.m"),
    ("class C(metaclass=type): ...", "C"),
    ("import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int", "C"),
    ("class C:\n    def __new__(cls): ...", "C"),
    ("class C:\n    if True:\n        def m(self): ...", "C.m"),
    ("def f(): ...\nf.delay = f", "f.delay"),
    ("from nowhere import f", "f"),
    ("import nowhere as f", "f"),
    ("f = g\ng = f", "f"),
]


@pytest.mark.parametrize(("text", "name"), UNKNOWN)
def test_what_only_python_knows_is_asked_of_it(project, text, name):
    assert project(f"steps:{name}", steps=text) is ASK


WRONG = [
    ("LIMIT = 3", "LIMIT", "a number"),
    ("NAME = 'x'", "NAME", "a text"),
    ("NAMES = ['x']", "NAMES", "a list"),
    ("TABLE: dict = {}", "TABLE", "a dict"),
    ("class C:\n    @property\n    def m(self): ...", "C.m", "a property"),
]


@pytest.mark.parametrize(("text", "name", "kind"), WRONG)
def test_what_is_no_function_is_told_as_what_it_is(project, text, name, kind):
    answer = project(f"steps:{name}", steps=text)
    assert isinstance(answer, NoCall)
    assert answer.kind == kind


def test_a_name_that_is_not_there_comes_with_those_that_are(project):
    answer = project("steps:coutn", steps="def count(a): ...\nclass Total: ...\n_own = lambda: 0\nN = 1\n")
    assert isinstance(answer, NoName)
    assert answer.known == ("count", "Total")
    assert str(answer.near["count"]).endswith("steps.py:1: def count(a)")


def test_a_method_that_is_not_there_comes_with_those_of_its_class(project):
    answer = project("steps:C.totl", steps="class C:\n    def total(self): ...\n")
    assert isinstance(answer, NoName)
    assert (answer.owner, answer.name, answer.known) == ("class C", "totl", ("total",))


@pytest.mark.parametrize(
    "files", [["src__steps__clean"], ["src__INIT", "src__steps__clean"], ["src__steps__deep__clean"]]
)
def test_folders_without_an_init_may_be_one_within_another(project, files):
    named = files[-1].replace("__", ".")
    assert arguments(project(f"{named}:f", **dict.fromkeys(files, "def f(a): ..."))) == ["a"]


def test_a_module_that_is_not_there_comes_with_those_beside_the_pipeline(project):
    assert project("stpes:f", steps="") == NoModule("stpes", ("steps",))


def test_a_file_that_is_not_there_comes_with_those_beside_the_pipeline(project):
    assert project("stpes.py:f", steps="") == NoFile("stpes.py", ("steps.py",))


def test_a_file_that_is_no_python_is_told_with_its_line(project):
    answer = project("steps:f", steps="def g(): ...\n\ndef f(\n")
    assert isinstance(answer, Unreadable)
    assert (answer.line, answer.text) == (3, "def f(")


@pytest.mark.parametrize("text", ["x = '\0'", "(" * 500, "-" * 5000 + "1"])
def test_no_file_is_too_strange_to_be_read(project, text):
    assert not isinstance(project("steps:f", steps=text), Callee)


def test_an_import_is_followed_through_the_modules_of_the_project(project):
    files = {
        "work__INIT": "from .inner import f\nfrom work import inner as again",
        "work__inner": "from .deep.most import g as f",
        "work__deep__INIT": "",
        "work__deep__most": "def g(a, b): ...",
    }
    assert arguments(project("work:f", **files)) == ["a", "b"]
    assert arguments(project("work.inner:f", **files)) == ["a", "b"]
    assert arguments(project("steps:f", steps="from work.deep.most import g as f", **files)) == ["a", "b"]
    assert arguments(project("steps:w.g", steps="import work.deep.most as w", **files)) == ["a", "b"]


def test_a_package_without_init_is_that_of_the_project_whatever_this_process_has_on_its_path(tmp_path, monkeypatch):
    for folder in ("ours", "other"):
        (tmp_path / folder / "work").mkdir(parents=True)
    (tmp_path / "ours" / "work" / "steps.py").write_text("def f(a): ...")
    finder = Finder(str(tmp_path / "ours"), tuple(path_with(str(tmp_path / "ours"))))

    class Forgets(list):
        """A path of which everything is forgotten as soon as it was looked at."""

        def __iter__(self):
            importlib.invalidate_caches()
            return super().__iter__()

    monkeypatch.setattr(sys, "path", Forgets([str(tmp_path / "other"), *sys.path]))
    assert arguments(find(parse_function("work.steps:f", None), finder)) == ["a"]


def test_a_folder_without_init_is_a_package_too(project):
    assert arguments(project("work.steps:f", work__steps="def f(a): ...")) == ["a"]


def test_the_standard_library_comes_before_the_project(project):
    answer = project("json:count", json="def count(a): ...")
    assert isinstance(answer, NoName)
    assert answer.instead == "json.py"
    assert arguments(project("json.py:count")) == ["a"]


def test_the_standard_library_is_asked_itself(project):
    assert arguments(project("math:sqrt")) == ["x"]
    assert arguments(project("shutil:copyfile")) == ["src", "dst", "follow_symlinks"]
    assert arguments(project("os.path:join")) == ["a", "p"]
    answer = project("math:sqr")
    assert isinstance(answer, NoName)
    assert "sqrt" in answer.known


def test_an_installed_package_is_read_too(project):
    assert arguments(project("yaml:safe_load")) == ["stream"]
    assert arguments(project("jinja2:select_autoescape")) is not None  # which it takes from jinja2.utils


def test_a_file_that_was_written_anew_is_read_anew(project):
    assert arguments(project("steps:f", steps="def f(a): ...")) == ["a"]
    assert arguments(project("steps:f", steps="def f(a, b): ...")) == ["a", "b"]


def test_nothing_of_the_project_is_imported(project):
    project("sentinel_steps:f", sentinel_steps="def f(a): ...")
    assert "sentinel_steps" not in sys.modules
