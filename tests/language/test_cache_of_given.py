"""Functions that are given in Python: what they reach in the project is made again when it is edited, and only then.

Each script has a function `work` of its own, which gives what a module two away says; every run is a new process, as
in that of before the modules would be as they were.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(120)

FAR = 'def far(x):\n    """Far."""\n    return x + 1\n'
NEAR = 'from pkg.deep import far\n\ndef near(x):\n    """Near."""\n    return far(x)\n'
SCRIPT = """
{}

if __name__ == "__main__":  # what is below is not read where all modules count, nor is all of this package then
    from pipeline_runner import Pipeline, Stage
    stage = Stage("work", call=work, with_=[1], cache=True, backend="serial")
    result = Pipeline("given", [stage]).run(state=".prun")
    print(result["work"], result.state.stages["work"].status)
"""
TOOL = "class Tool:\n    def use(self, x):\n        {}\n"
WITHIN = "from pkg.deep import far; return far(x)"
LATE = f"def late(x):\n    {WITHIN}\n"
# how → what is in the script; `near.py` has the function that calls `pkg.deep.far`
WAYS = {
    "an import within": "def work(x):\n    import pkg.deep\n    return pkg.deep.far(x)",
    "an import within, by another name": "def work(x):\n    import pkg.deep as it\n    return it.far(x)",
    "an import of a name within": "def work(x):\n    from pkg.deep import far\n    return far(x)",
    "an import of a module within": "def work(x):\n    from pkg import deep\n    return deep.far(x)",
    "a star of another within": "def work(x):\n    import star\n    return star.far(x)",
    "an import within, two away": "def work(x):\n    import near\n    return near.near(x)",
    "an import within a function within": f"def work(x):\n    def inner(x):\n        {WITHIN}\n    return inner(x)",
    "an import within a class within": f"def work(x):\n    {TOOL.replace(chr(10), chr(10) + '    ').format(WITHIN)}\n    return Tool().use(x)",
    "an import within a helper": f"def aid(x):\n    {WITHIN}\nwork = lambda x: aid(x)",
    "an import within a function that is closed over": f"def make():\n    def aid(x):\n        {WITHIN}\n    return lambda x: aid(x)\nwork = make()",
    "import_module": "import importlib\nwork = lambda x: importlib.import_module('pkg.deep').far(x)",
    "import_module by another name": "from importlib import import_module as get\nwork = lambda x: get('pkg.deep').far(x)",
    "import_module with a package": "import importlib\nwork = lambda x: importlib.import_module('.deep', 'pkg').far(x)",
    "import_module by keyword": "import importlib\nwork = lambda x: importlib.import_module(package='pkg', name='.deep').far(x)",
    "import_module imported within": "def work(x):\n    from importlib import import_module\n    return import_module('pkg.deep').far(x)",
    "import_module of what is computed": "import importlib\nwork = lambda x: importlib.import_module('pkg.' + 'peed'[::-1]).far(x)",
    "import_module handed on": "import importlib\nwork = lambda x: [*map(importlib.import_module, ['pkg.deep'])][0].far(x)",
    "__import__": "work = lambda x: __import__('pkg.deep').deep.far(x)",
    "__import__ with a list": "work = lambda x: __import__('pkg', fromlist=['deep']).deep.far(x)",
    "a module": "import near\nwork = lambda x: near.near(x)",
    "a module in a package": "import pkg.deep\nwork = lambda x: pkg.deep.far(x)",
    "a module in a folder": "import folder.deep\nwork = lambda x: folder.deep.far(x)",
    "a function of a module": "from near import near\nwork = lambda x: near(x)",
    "a function of a module that is given": "from near import near as work",
    "a function of a module that imports within": "from late import late\nwork = lambda x: late(x)",
    "a partial": "from functools import partial\nfrom near import near\nwork = partial(near)",
    "a method": f"{TOOL.format(WITHIN)}\nwork = Tool().use",
    "a method of a class of a module": "from tool import Tool\nwork = Tool().use",
    "an object of a class of a module": "from tool import Tool\nTOOL = Tool()\nwork = lambda x: TOOL.use(x)",
    "an object that can be called": f"{TOOL.format(WITHIN).replace('use', '__call__')}\nwork = Tool()",
    "an object that has a function": "from near import near\nclass Tool:\n    def __init__(self, how):\n        self.how = how\n    def __call__(self, x):\n        return self.how(x)\nwork = Tool(near)",
    "a decorator": "import functools\nfrom near import near\ndef after(f):\n    @functools.wraps(f)\n    def both(x):\n        return f(near(x))\n    return both\n@after\ndef work(x):\n    return x",
    "a table of functions": "from near import near\nTABLE = {'near': [near]}\nwork = lambda x: TABLE['near'][0](x)",
    "a set of functions": "from near import near\nwork = lambda x, how={near}: [*how][0](x)",
    "a function that is registered": "import plug\nimport registry\nwork = lambda x: registry.KNOWN['far'](x)",
    "a function that is registered, two away": "from late import registered\nwork = lambda x: registered(x)",
    "a property": "class Tool:\n    @property\n    def far(self):\n        from pkg.deep import far\n        return far\nwork = lambda x: Tool().far(x)",
}  # fmt: skip


@pytest.fixture
def project(made, python):
    """A project whose script `main.py` is run anew: what it tells."""
    made.write("pkg/__init__.py", "")
    made.write("pkg/deep.py", FAR)
    made.write("folder/deep.py", "from pkg.deep import far\n")
    made.write("star.py", "from pkg.deep import *\n")
    made.write("near.py", NEAR)
    made.write(
        "late.py", "import plug\nimport registry\ndef registered(x):\n    return registry.KNOWN['far'](x)\n" + LATE
    )
    made.write("registry.py", "KNOWN = {}\n")
    made.write("plug.py", "import registry\nfrom pkg.deep import far\nregistry.KNOWN['far'] = far\n")
    made.write("tool.py", TOOL.format(WITHIN))

    def run():
        ran = python("main.py", cwd=made.folder)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()

    made.again = run
    return made


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_behind_a_function_given_in_python_is_made_again_and_one_of_a_comment_is_not(project, way):
    project.write("main.py", SCRIPT.format(WAYS[way]))
    assert project.again() == ["2", "done"]

    project.write("pkg/deep.py", '"""New."""\n' + FAR.replace("Far.", "New.") + "# away\n")
    project.write("near.py", NEAR.replace("Near.", "New.") + "# away\n")
    assert project.again() == ["2", "reused"]

    project.write("pkg/deep.py", FAR.replace("x + 1", "x + 10"))
    assert project.again() == ["11", "done"]
