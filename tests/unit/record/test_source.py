"""What a function's recipe depends on, by reading and never by importing."""

from __future__ import annotations

import sys

import pytest

from pipeline_runner.record.source import source_recipe

WORK = '''"""What the module is for."""
import math
from helpers import scale, unused as other
from . import nothing_here

FACTOR = 3
OTHER = 4

def aid(x):
    """Aid."""
    return x * FACTOR  # a comment

def work(x):
    return aid(scale(x)) + math.floor(x)

def unrelated(x):
    return x + OTHER

class Tool:
    size = 2
    def use(self, x):
        return aid(x) * self.size
'''
HELPERS = "from deep.inner import base\n\ndef scale(x):\n    return base(x) + 1\n\ndef unused(x):\n    return x\n"
INNER = "from .side import side\nfrom ..top import *\n\ndef base(x):\n    return side(x) + far(x)\n"


@pytest.fixture
def files(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    for name, text in {
        "work.py": WORK,
        "helpers.py": HELPERS,
        "deep/__init__.py": "",
        "deep/inner.py": INNER,
        "deep/side.py": "def side(x):\n    return x\n",
        "top.py": "def far(x):\n    return 5\n",
    }.items():
        write(name, text)
    write.folder = tmp_path
    return write


def recipe(files, attribute="work", kind="file", place="work.py"):
    return source_recipe(kind, place, attribute, files.folder)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("work.py", "aid(scale(x)) + math", "aid(scale(x)) - math"),
        ("work.py", "x * FACTOR", "x + FACTOR"),
        ("work.py", "FACTOR = 3", "FACTOR = 30"),
        ("work.py", "import scale,", "import unused as scale,"),
        ("helpers.py", "base(x) + 1", "base(x) + 2"),
        ("deep/inner.py", "side(x) + far", "side(x) * far"),
        ("deep/side.py", "return x", "return -x"),
        ("work.py", "OTHER = 4", "OTHER = 4\nprint('at import')"),
    ],
)
def test_an_edit_of_what_it_reaches_is_another_recipe(files, file, old, new):
    before = recipe(files)
    text = (files.folder / file).read_text()
    assert old in text
    files(file, text.replace(old, new) + "\n# longer\n")
    assert recipe(files) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("work.py", "# a comment", "# another comment"),
        ("work.py", '"""Aid."""', '"""Helps."""'),
        ("work.py", '"""What the module is for."""', '"""Its purpose."""'),
        ("work.py", "return aid(scale(x)) + math.floor(x)", "return (\n        aid( scale(x) ) + math.floor(x)\n    )"),
        ("work.py", "x + OTHER", "x - OTHER"),
        ("work.py", "OTHER = 4", "OTHER = 40"),
        ("work.py", "size = 2", "size = 20"),
        ("helpers.py", "def unused(x):\n    return x", "def unused(x):\n    return 2 * x"),
    ],
)
def test_an_edit_of_nothing_that_it_reaches_is_none(files, file, old, new):
    before = recipe(files)
    text = (files.folder / file).read_text()
    assert old in text
    files(file, text.replace(old, new) + "\n# longer\n")
    assert recipe(files) == before


def test_a_method_belongs_to_its_whole_class_and_to_what_that_uses(files):
    before = recipe(files, "Tool.use")
    files("work.py", WORK.replace("size = 2", "size = 3"))
    middle = recipe(files, "Tool.use")
    files("work.py", WORK.replace("size = 2", "size = 3").replace("FACTOR = 3", "FACTOR = 9 "))
    assert len({before, middle, recipe(files, "Tool.use")}) == 3


def test_a_decorator_and_a_default_are_reached(files):
    text = "def twice(f):\n    return lambda x: f(f(x))\n\nSTEP = 1\n\n@twice\ndef work(x, step=STEP):\n    return x + step\n"
    files("work.py", text)
    before = recipe(files)
    files("work.py", text.replace("f(f(x))", "f(f(f(x)))"))
    assert recipe(files) != before
    files("work.py", text.replace("STEP = 1", "STEP = 10"))
    assert recipe(files) != before


def test_what_comes_by_a_star_is_reached(files):
    before = recipe(files, place="deep.inner", kind="module", attribute="base")
    files("top.py", "def far(x):\n    return 555\n")
    assert recipe(files, place="deep.inner", kind="module", attribute="base") != before


def test_a_module_used_by_its_dotted_name_is_reached(files):
    files("work.py", "import deep.side\n\ndef work(x):\n    return deep.side.side(x)\n")
    before = recipe(files)
    files("deep/side.py", "def side(x):\n    return -x * 2\n")
    assert recipe(files) != before


def test_an_import_inside_of_a_function_is_reached(files):
    files("work.py", "def work(x):\n    from helpers import scale\n    return scale(x)\n")
    before = recipe(files)
    files("helpers.py", HELPERS.replace("base(x) + 1", "base(x) + 200"))
    assert recipe(files) != before


def test_what_is_defined_under_a_condition_is_reached(files):
    text = "try:\n    import quick\nexcept ImportError:\n    def speed(x):\n        return x\n\ndef work(x):\n    return speed(x)\n"
    files("work.py", text)
    before = recipe(files)
    files("work.py", text.replace("        return x\n", "        return 7 * x\n"))
    assert recipe(files) != before


def test_nothing_is_imported_to_be_read(files):
    files("never_imported.py", "raise SystemExit('imported')\n\ndef work(x):\n    return x\n")
    assert recipe(files, place="never_imported.py") is not None
    assert "never_imported" not in sys.modules


def test_what_cannot_be_read_has_no_recipe(files):
    files("work.py", "def work(x:\n")
    assert recipe(files) is None
    assert recipe(files, place="absent.py") is None
