"""Modules that a function gets at without an import that names them: what is in them is made again when it is edited.

Each pipeline calls `work:work`, which gives what `pkg/deep.py` says; the edit there is seen in the second run's value.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(120)

FAR = "def far(x):\n    return x + 1\n"
LAZY = """
def __getattr__(name):
    if name == "far":
        from .deep import far
        return far
    raise AttributeError(name)
"""
LAZY_TABLE = """
from importlib import import_module

WHERE = {"far": "deep"}

def __getattr__(name):
    if name not in WHERE:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
"""
# how → (what is in pkg/__init__.py, what is in work.py)
WAYS = {
    "from a lazy package": (LAZY, "from pkg import far\ndef work(x):\n    return far(x)\n"),
    "of a lazy package": (LAZY, "import pkg\ndef work(x):\n    return pkg.far(x)\n"),
    "from a lazy package with a table": (LAZY_TABLE, "def work(x):\n    from pkg import far\n    return far(x)\n"),
    "import_module": ("", "import importlib\ndef work(x):\n    return importlib.import_module('pkg.deep').far(x)\n"),
    "import_module at the top": ("", "from importlib import import_module\nit = import_module('.deep', 'pkg')\ndef work(x):\n    return it.far(x)\n"),
    "import_module with a package": ("from importlib import import_module\ndef near(x):\n    return import_module('.deep', package=__package__).far(x)\n", "from pkg import near as work\n"),
    "__import__": ("", "def work(x):\n    return __import__('pkg.deep').deep.far(x)\n"),
    "import_module of what is computed": ("", "import importlib\ndef work(x):\n    return importlib.import_module('pkg.' + 'peed'[::-1]).far(x)\n"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_behind_a_name_is_made_again_and_one_of_a_comment_is_not(made, way):
    package, work = WAYS[way]
    made.write("pkg/__init__.py", package)
    made.write("pkg/deep.py", FAR)
    made.write("work.py", work)
    made.stages({"work": {"call": "work:work", "with": {"x": 1}, "cache": True}})
    assert made.run()["work"] == 2

    made.write("pkg/deep.py", '"""Far."""\n' + FAR + "# away\n")
    assert made.run().state.stages["work"].status == "reused"

    made.write("pkg/deep.py", FAR.replace("x + 1", "x + 10"))
    assert any("pkg.deep" in why for why in made.forecast()["work"].because)
    assert made.run()["work"] == 11
    assert made.run().state.stages["work"].status == "reused"


def test_an_edit_on_a_path_that_is_extended_is_made_again_and_a_module_that_comes_before_is(made):
    made.write("src/pkg/__init__.py", "")
    made.write("src/pkg/deep.py", FAR)
    made.write(
        "work.py",
        "import os, sys\nHERE = os.path.dirname(__file__)\nfor name in ('src', 'first'):\n"
        "    sys.path.insert(0, os.path.join(HERE, name))\nfrom pkg.deep import far as work\n",
    )
    made.stages({"work": {"call": "work:work", "with": {"x": 1}, "cache": True}})
    assert made.run()["work"] == 2
    assert made.run().state.stages["work"].status == "reused"

    made.write("src/pkg/deep.py", FAR.replace("x + 1", "x + 10"))
    assert made.run()["work"] == 11
    assert made.run().state.stages["work"].status == "reused"

    made.write("first/pkg/__init__.py", "")
    made.write("first/pkg/deep.py", FAR.replace("x + 1", "x + 100"))
    assert made.run()["work"] == 101
    assert made.run().state.stages["work"].status == "reused"


def test_an_edit_on_a_path_that_the_setup_extends_is_made_again(made):
    made.write("src/deep.py", FAR)
    made.write("first.py", f"import sys\ndef first():\n    sys.path.insert(0, {str(made.folder / 'src')!r})\n")
    made.write("work.py", "def work(x):\n    import deep\n    return deep.far(x)\n")
    made.stages({"work": {"call": "work:work", "setup": "first:first", "with": {"x": 1}, "cache": True}})
    assert made.run()["work"] == 2
    assert made.run().state.stages["work"].status == "reused"

    made.write("src/deep.py", FAR.replace("x + 1", "x + 10"))
    assert made.run()["work"] == 11
    assert made.run().state.stages["work"].status == "reused"
