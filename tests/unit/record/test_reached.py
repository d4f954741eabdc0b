"""Which edits of a project are another recipe, a row each: files, what is called, the edit, whether its calls rerun."""

from __future__ import annotations

import sys
import textwrap

import pytest

from pipeline_runner.record import packages
from pipeline_runner.record.source import source_recipe

PACKAGE = {
    "pkg/__init__.py": "from .deep import base as public\nLEVEL = 1\n",
    "pkg/deep.py": "from . import side\nfrom .side import other\nfrom .. import nowhere\n\ndef base(x):\n    return side.low(x)\n",
    "pkg/side.py": "def low(x):\n    return x\n\ndef other(x):\n    return 2\n",
}
ONE = "def one(x):\n    return x\n"
BY_NAME = "import importlib\n\ndef f(x):\n    return importlib.import_module({}).one(x)\n"
LAZY = "def __getattr__(name):\n    if name == 'one':\n        from .b import one\n        return one\n    raise AttributeError(name)\n"
LAZY_BY_NAME = "import importlib\n\nWHERE = {'one': '.b'}\n\ndef __getattr__(name):\n    return getattr(importlib.import_module(WHERE[name], __name__), name)\n"
LAZY_PACKAGE = {"w.py": "from pkg import one\n\ndef f(x):\n    return one(x)\n", "pkg/b.py": ONE, "pkg/c.py": ONE}
STARRED = {
    "w.py": "from pkg import *\nfrom reg import KNOWN\n\ndef f(x):\n    return KNOWN[0](x)\n",
    "reg.py": "KNOWN = []\n",
    "pkg/b.py": "from reg import KNOWN\n\n@KNOWN.append\ndef one(x):\n    return x\n",
}
FIRST = (
    "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent / 'src'))\n"
    "from b import one\n\ndef f(x):\n    return one(x)\n"
)
NEGATED = ("return x", "return -x")
TABLE = {
    "what it does": ({"w.py": "def f(x):\n    return x\n"}, "w:f", ("w.py", "return x", "return -x"), True),
    "its comment": ({"w.py": "def f(x):\n    return x  # so\n"}, "w:f", ("w.py", "# so", "# why"), False),
    "its docstring": ({"w.py": 'def f(x):\n    """A."""\n    return x\n'}, "w:f", ("w.py", '"""A."""', '"""B."""'), False),
    "its docstring taken away": ({"w.py": 'def f(x):\n    """A."""\n    return x\n'}, "w:f", ("w.py", '    """A."""\n', ""), False),
    "its formatting": ({"w.py": "def f(x):\n    return [x, 1]\n"}, "w:f", ("w.py", "[x, 1]", "[\n        x,\n        1,\n    ]"), False),
    "the quotes of a text": ({"w.py": "def f(x):\n    return 'a'\n"}, "w:f", ("w.py", "'a'", '"a"'), False),
    "a default": ({"w.py": "def f(x, y=1):\n    return x\n"}, "w:f", ("w.py", "y=1", "y=2"), True),
    "another function": ({"w.py": "def f(x):\n    return x\n\ndef g(x):\n    return 1\n"}, "w:f", ("w.py", "return 1", "return 2"), False),
    "its place in the file": ({"w.py": "def g(x):\n    return 1\n\ndef f(x):\n    return x\n"}, "w:f", ("w.py", "def g(x):\n    return 1\n\n", ""), False),
    "a module two away": (
        {"w.py": "from a import one\n\ndef f(x):\n    return one(x)\n", "a.py": "from b import two\n\ndef one(x):\n    return two(x)\n", "b.py": "def two(x):\n    return x\n"},
        "w:f", ("b.py", "return x", "return -x"), True),
    "the docstring of a module two away": (
        {"w.py": "from a import one\n\ndef f(x):\n    return one(x)\n", "a.py": "from b import two\n\ndef one(x):\n    return two(x)\n", "b.py": '"""Old."""\n\ndef two(x):\n    """Old."""\n    return x\n'},
        "w:f", ("b.py", "Old", "New"), False),
    "what of a module it does not use": (
        {"w.py": "import a\n\ndef f(x):\n    return a.one(x)\n", "a.py": "def one(x):\n    return x\n\ndef two(x):\n    return 2\n"},
        "w:f", ("a.py", "return 2", "return 3"), False),
    "what of a module it uses by its name": (
        {"w.py": "import a\n\ndef f(x):\n    return a.one(x)\n", "a.py": "def one(x):\n    return x\n"},
        "w:f", ("a.py", "return x", "return -x"), True),
    "anything of a module that it hands on": (
        {"w.py": "import a\n\ndef f(x):\n    return getattr(a, x)\n", "a.py": "def one(x):\n    return x\n"},
        "w:f", ("a.py", "return x", "return -x"), True),
    "import a.b as c": (
        {**PACKAGE, "w.py": "import pkg.side as c\n\ndef f(x):\n    return c.low(x)\n"}, "w:f", ("pkg/side.py", "return x", "return -x"), True),
    "import a.b as c, and what it does not use": (
        {**PACKAGE, "w.py": "import pkg.side as c\n\ndef f(x):\n    return c.low(x)\n"}, "w:f", ("pkg/side.py", "return 2", "return 3"), False),
    "import a.b and a.c": (
        {**PACKAGE, "w.py": "import pkg.side\nimport pkg.deep\n\ndef f(x):\n    return pkg.side.low(x)\n"}, "w:f", ("pkg/side.py", "return x", "return -x"), True),
    "what a package passes on": (
        {**PACKAGE, "w.py": "from pkg import public\n\ndef f(x):\n    return public(x)\n"}, "w:f", ("pkg/side.py", "return x", "return -x"), True),
    "what a package does not pass on": (
        {**PACKAGE, "w.py": "from pkg import public\n\ndef f(x):\n    return public(x)\n"}, "w:f", ("pkg/side.py", "return 2", "return 3"), False),
    "what runs when its package is imported": (
        {**PACKAGE, "w.py": "from pkg.side import low\n\ndef f(x):\n    return low(x)\n"}, "w:f", ("pkg/__init__.py", "LEVEL = 1\n", "LEVEL = 1\nprint(LEVEL)\n"), True),
    "a relative import": ({**PACKAGE}, "pkg.deep:base", ("pkg/side.py", "return x", "return -x"), True),
    "another relative import": ({**PACKAGE}, "pkg.deep:base", ("pkg/side.py", "return 2", "return 3"), False),
    "a package without __init__": (
        {"ns/side.py": "def low(x):\n    return x\n", "w.py": "from ns.side import low\n\ndef f(x):\n    return low(x)\n"}, "w:f", ("ns/side.py", "return x", "return -x"), True),
    "what came by a star": (
        {"w.py": "from a import *\n\ndef f(x):\n    return one(x)\n", "a.py": "def one(x):\n    return x\n"}, "w:f", ("a.py", "return x", "return -x"), True),
    "what came by a star of a star": (
        {"w.py": "from a import *\n\ndef f(x):\n    return one(x)\n", "a.py": "from b import *\n", "b.py": "def one(x):\n    return x\n"}, "w:f", ("b.py", "return x", "return -x"), True),
    "what came by a star and is not used": (
        {"w.py": "from a import *\n\ndef f(x):\n    return one(x)\n", "a.py": "def one(x):\n    return x\n\ndef two(x):\n    return 2\n"}, "w:f", ("a.py", "return 2", "return 3"), False),
    "a name of Python's that came by a star": (
        {"w.py": "from a import *\n\ndef f(x):\n    return sum(x)\n", "a.py": "def sum(x):\n    return x\n"}, "w:f", ("a.py", "return x", "return -x"), True),
    "an import that may fail": (
        {"w.py": "try:\n    from quick import one\nexcept ImportError:\n    from slow import one\n\ndef f(x):\n    return one(x)\n", "slow.py": "def one(x):\n    return x\n"},
        "w:f", ("slow.py", "return x", "return -x"), True),
    "what an import that may fail does not use": (
        {"w.py": "try:\n    import slow\nexcept ImportError:\n    slow = None\n\ndef f(x):\n    return slow.one(x)\n", "slow.py": "def one(x):\n    return x\n\ndef two(x):\n    return 2\n"},
        "w:f", ("slow.py", "return 2", "return 3"), False),
    "a function under a condition": (
        {"w.py": "import sys\nif sys.platform == 'x':\n    def f(x):\n        return x\nelse:\n    def f(x):\n        return 1\n"}, "w:f", ("w.py", "return x", "return -x"), True),
    "an import in a function": (
        {"w.py": "def f(x):\n    from a import one\n    return one(x)\n", "a.py": "def one(x):\n    return x\n\ndef two(x):\n    return 2\n"}, "w:f", ("a.py", "return x", "return -x"), True),
    "what an import in a function does not use": (
        {"w.py": "def f(x):\n    import a\n    return a.one(x)\n", "a.py": "def one(x):\n    return x\n\ndef two(x):\n    return 2\n"}, "w:f", ("a.py", "return 2", "return 3"), False),
    "an import in another function": (
        {"w.py": "def f(x):\n    return x\n\ndef g(x):\n    import a\n    return a.one(x)\n", "a.py": "def one(x):\n    return x\n"}, "w:f", ("a.py", "return x", "return -x"), False),
    "its decorator": (
        {"w.py": "from a import twice\n\n@twice\ndef f(x):\n    return x\n", "a.py": "def twice(f):\n    return lambda x: f(f(x))\n"}, "w:f", ("a.py", "f(f(x))", "f(f(f(x)))"), True),
    "a function that another's decorator keeps": (
        {"w.py": "KNOWN = {}\n\ndef known(f):\n    KNOWN[f.__name__] = f\n\n@known\ndef one(x):\n    return 1\n\ndef f(x):\n    return KNOWN['one'](x)\n"}, "w:f", ("w.py", "return 1", "return 2"), True),
    "a function with a decorator of Python's": (
        {"w.py": "from functools import lru_cache\n\n@lru_cache\ndef one(x):\n    return 1\n\ndef f(x):\n    return x\n"}, "w:f", ("w.py", "return 1", "return 2"), False),
    "what is put into a table of the module": (
        {"w.py": "KNOWN = {}\nKNOWN['a'] = 1\n\ndef f(x):\n    return KNOWN[x]\n"}, "w:f", ("w.py", "] = 1", "] = 2"), True),
    "a partial": (
        {"w.py": "from functools import partial\n\ndef base(x, y):\n    return x\n\nf = partial(base, y=1)\n"}, "w:f", ("w.py", "y=1)", "y=2)"), True),
    "what a partial is of": (
        {"w.py": "from functools import partial\n\ndef base(x, y):\n    return x\n\nf = partial(base, y=1)\n"}, "w:f", ("w.py", "return x", "return -x"), True),
    "a method": ({"w.py": "class C:\n    @staticmethod\n    def m(x):\n        return x\n"}, "w:C.m", ("w.py", "return x", "return -x"), True),
    "a method of the base class": (
        {"w.py": "from a import B\n\nclass C(B):\n    @classmethod\n    def m(cls, x):\n        return cls.low(x)\n", "a.py": "class B:\n    @staticmethod\n    def low(x):\n        return x\n"},
        "w:C.m", ("a.py", "return x", "return -x"), True),
    "another class": ({"w.py": "class C:\n    def m(x):\n        return x\n\nclass D:\n    y = 1\n"}, "w:C.m", ("w.py", "y = 1", "y = 2"), False),
    "the docstring of a class": ({"w.py": 'class C:\n    """A."""\n    def m(x):\n        return x\n'}, "w:C.m", ("w.py", '"""A."""', '"""B."""'), False),
    "a file": ({"my-work.py": "def f(x):\n    return x\n"}, "my-work.py:f", ("my-work.py", "return x", "return -x"), True),
    "a module that a file imports": (
        {"my-work.py": "from a import one\n\ndef f(x):\n    return one(x)\n", "a.py": "def one(x):\n    return x\n"}, "my-work.py:f", ("a.py", "return x", "return -x"), True),
    "modules that import each other": (
        {"w.py": "import a\n\ndef f(x):\n    return a.one(x)\n\nSTEP = 1\n", "a.py": "import w\n\ndef one(x):\n    return w.STEP + x\n"}, "w:f", ("w.py", "STEP = 1", "STEP = 2"), True),
    "what runs only as a script": (
        {"w.py": "def f(x):\n    return x\n\nif __name__ == '__main__':\n    print(1)\n"}, "w:f", ("w.py", "print(1)", "print(2)"), False),
    "a table of the standard library's name": (
        {"w.py": "import json\n\ndef f(x):\n    return json.dumps(x)\n", "json.py": "X = 1\n"}, "w:f", ("json.py", "X = 1", "X = 2"), False),
    "what a package finds when it is asked": ({**LAZY_PACKAGE, "pkg/__init__.py": LAZY}, "w:f", ("pkg/b.py", *NEGATED), True),
    "what a package does not find": ({**LAZY_PACKAGE, "pkg/__init__.py": LAZY}, "w:f", ("pkg/c.py", *NEGATED), False),
    "what a package would find for others": (
        {"w.py": "import pkg\n\ndef f(x):\n    return pkg.two(x)\n", "pkg/__init__.py": LAZY + "\ndef two(x):\n    return x\n", "pkg/b.py": ONE},
        "w:f", ("pkg/b.py", *NEGATED), False),
    "what a package finds two away": (
        {**LAZY_PACKAGE, "pkg/__init__.py": LAZY, "pkg/b.py": "from .c import one\n"}, "w:f", ("pkg/c.py", *NEGATED), True),
    "what a package finds, asked with a dot": (
        {"w.py": "import pkg\n\ndef f(x):\n    return pkg.one(x)\n", "pkg/__init__.py": LAZY, "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "what a package finds for a star": (
        {"w.py": "from pkg import *\n\ndef f(x):\n    return one(x)\n", "pkg/__init__.py": LAZY, "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "what a module finds when it is asked": ({"w.py": LAZY_PACKAGE["w.py"], "pkg.py": LAZY.replace(".b", "b"), "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "what a package finds in a table": ({**LAZY_PACKAGE, "pkg/__init__.py": LAZY_BY_NAME}, "w:f", ("pkg/b.py", *NEGATED), True),
    "any module beside one that is found in a table": ({**LAZY_PACKAGE, "pkg/__init__.py": LAZY_BY_NAME}, "w:f", ("pkg/c.py", *NEGATED), True),
    "what a package finds by a function made elsewhere": (
        {**LAZY_PACKAGE, "pkg/__init__.py": "import lazy_loader\n__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ['b'])\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "what a package finds by an imported function": (
        {**LAZY_PACKAGE, "pkg/__init__.py": "from .lazy import __getattr__\n", "pkg/lazy.py": LAZY}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a function that is called through a lazy package": ({"pkg/__init__.py": LAZY, "pkg/b.py": ONE}, "pkg:one", ("pkg/b.py", *NEGATED), True),
    "import_module": ({"w.py": BY_NAME.format("'b'"), "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "the comment of import_module's": ({"w.py": BY_NAME.format("'b'"), "b.py": ONE + "# so\n"}, "w:f", ("b.py", "# so", "# why"), False),
    "beside import_module": ({"w.py": BY_NAME.format("'b'"), "b.py": ONE, "c.py": ONE}, "w:f", ("c.py", *NEGATED), False),
    "import_module by keyword": ({"w.py": BY_NAME.format("name='b'"), "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "import_module at the top": (
        {"w.py": "import importlib\nb = importlib.import_module('b')\n\ndef f(x):\n    return b.one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "import_module by another name": (
        {"w.py": "from importlib import import_module as get\n\ndef f(x):\n    return get('b').one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "import_module two away": ({"w.py": "from a import f\n", "a.py": BY_NAME.format("'b'"), "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "import_module from its own package": ({"pkg/w.py": BY_NAME.format("'.b', __package__"), "pkg/b.py": ONE}, "pkg.w:f", ("pkg/b.py", *NEGATED), True),
    "import_module from a package's name": ({"pkg/__init__.py": BY_NAME.format("'.b', package=__name__"), "pkg/b.py": ONE}, "pkg:f", ("pkg/b.py", *NEGATED), True),
    "import_module from another package": ({"w.py": BY_NAME.format("'.b', 'pkg'"), "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module two packages up": ({"pkg/sub/w.py": BY_NAME.format("'..b', __package__"), "pkg/b.py": ONE}, "pkg.sub.w:f", ("pkg/b.py", *NEGATED), True),
    "import_module of which the package is known": ({"w.py": BY_NAME.format("f'pkg.{x}'"), "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module of another package": ({"w.py": BY_NAME.format("f'pkg.{x}'"), "pkg/b.py": ONE, "b.py": ONE}, "w:f", ("b.py", *NEGATED), False),
    "import_module with a plus": ({"w.py": BY_NAME.format("'pkg.' + x"), "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module with a percent": ({"w.py": BY_NAME.format("'pkg.%s' % x"), "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module with a format": ({"w.py": BY_NAME.format("'pkg.{}'.format(x)"), "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module below its own name": ({"pkg/__init__.py": BY_NAME.format("f'{__name__}.{x}'"), "pkg/b.py": ONE}, "pkg:f", ("pkg/b.py", *NEGATED), True),
    "import_module of anything": ({"w.py": BY_NAME.format("x"), "pkg/__init__.py": "", "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "import_module handed on": ({"w.py": "import importlib\nALL = list(map(importlib.import_module, ['b']))\n\ndef f(x):\n    return ALL[0].one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "__import__": ({"w.py": "def f(x):\n    return __import__('b').one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "__import__ of a module in a package": ({"w.py": "def f(x):\n    return __import__('pkg.b').b.one(x)\n", "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "__import__ gives the package": (
        {"w.py": "def f(x):\n    return __import__('pkg.b').one(x)\n", "pkg/__init__.py": ONE, "pkg/b.py": ""}, "w:f", ("pkg/__init__.py", *NEGATED), True),
    "__import__ with a list": ({"w.py": "def f(x):\n    return __import__('pkg', fromlist=['b']).b.one(x)\n", "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that is run": ({"w.py": "import runpy\n\ndef f(x):\n    return runpy.run_module('b')['one'](x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "a file that is run": ({"w.py": "import runpy\n\ndef f(x):\n    return runpy.run_path(x)['one'](x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "a name that is resolved": ({"w.py": "import pkgutil\n\ndef f(x):\n    return pkgutil.resolve_name('b:one')(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "a package below one, both without __init__": (
        {"w.py": "import ns.sub.b\n\ndef f(x):\n    return ns.sub.b.one(x)\n", "ns/sub/b.py": ONE + "\ndef two(x):\n    return 2\n"}, "w:f", ("ns/sub/b.py", *NEGATED), True),
    "what of a package below one it does not use": (
        {"w.py": "import ns.sub.b\n\ndef f(x):\n    return ns.sub.b.one(x)\n", "ns/sub/b.py": ONE + "\ndef two(x):\n    return 2\n"}, "w:f", ("ns/sub/b.py", "return 2", "return 3"), False),
    "a folder without __init__ in a package": (
        {"w.py": "import pkg.sub.b\n\ndef f(x):\n    return pkg.sub.b.one(x)\n", "pkg/__init__.py": "", "pkg/sub/b.py": ONE}, "w:f", ("pkg/sub/b.py", *NEGATED), True),
    "what is imported of a package that it hands on": (
        {"w.py": "import pkg, pkg.b\n\ndef f(x):\n    return getattr(pkg, x).one(1)\n", "pkg/__init__.py": "", "pkg/b.py": ONE}, "w:f", ("pkg/b.py", *NEGATED), True),
    "what a package calls like a module of it": (
        {"w.py": "from pkg import b\n\ndef f(x):\n    return b(x)\n", "pkg/__init__.py": "from .c import one as b\n", "pkg/b.py": "", "pkg/c.py": ONE}, "w:f", ("pkg/c.py", *NEGATED), True),
    "what a package has from a star, called like a module of it": (
        {"w.py": "from pkg import one\n\ndef f(x):\n    return one(x)\n", "pkg/__init__.py": "from .c import *\n", "pkg/one.py": "", "pkg/c.py": ONE}, "w:f", ("pkg/c.py", *NEGATED), True),
    "a compiled module": ({"w.py": "from b import one\n\ndef f(x):\n    return one(x)\n", "b.abi3.so": "return x"}, "w:f", ("b.abi3.so", *NEGATED), True),
    "a compiled module of a package": (
        {"w.py": "from pkg import one\n\ndef f(x):\n    return one(x)\n", "pkg/__init__.py": "from ._b import one\n", "pkg/_b.so": "return x"}, "w:f", ("pkg/_b.so", *NEGATED), True),
    "a compiled module beside its source": (
        {"w.py": "from b import one\n\ndef f(x):\n    return one(x)\n", "b.so": "return x", "b.py": ONE}, "w:f", ("b.so", *NEGATED), True),
    "a function that is compiled": ({"b.so": "return x"}, "b:one", ("b.so", *NEGATED), True),
    "the types of a module": (
        {"w.py": "from b import one\n\ndef f(x):\n    return one(x)\n", "b.py": ONE, "b.pyi": "def one(x: int): ...\n"}, "w:f", ("b.pyi", "int", "str"), False),
    "what runs only where it is no script": (
        {"w.py": "if __name__ == '__main__':\n    K = 1\nelse:\n    K = 2\n\ndef f(x):\n    return K\n"}, "w:f", ("w.py", "K = 2", "K = 3"), True),
    "a class that its base keeps": (
        {"w.py": "import reg, b\n\ndef f(x):\n    return reg.KNOWN[0]().one(x)\n",
         "reg.py": "KNOWN = []\n\nclass Base:\n    def __init_subclass__(cls):\n        KNOWN.append(cls)\n",
         "b.py": "from reg import Base\n\nclass K(Base):\n    def one(self, x):\n        return x\n"}, "w:f", ("b.py", *NEGATED), True),
    "a class that its metaclass keeps": (
        {"w.py": "import reg, b\n\ndef f(x):\n    return reg.KNOWN[0]().one(x)\n",
         "reg.py": "KNOWN = []\n\nclass Meta(type):\n    def __init__(cls, *more):\n        KNOWN.append(cls)\n",
         "b.py": "from reg import Meta\n\nclass K(metaclass=Meta):\n    def one(self, x):\n        return x\n"}, "w:f", ("b.py", *NEGATED), True),
    "a class that is found below its base": (
        {"w.py": "class Base:\n    pass\n\nclass K(Base):\n    def one(self, x):\n        return x\n\ndef f(x):\n    return Base.__subclasses__()[0]().one(x)\n"}, "w:f", ("w.py", *NEGATED), True),
    "a class that nothing finds": (
        {"w.py": "class Base:  # __subclasses__\n    pass\n\nclass K(Base):\n    def one(self, x):\n        return x\n\ndef f(x):\n    return Base\n"}, "w:f", ("w.py", *NEGATED), False),
    "what is registered by a call that gives a value": (
        {"w.py": "import reg, b\n\ndef f(x):\n    return reg.KNOWN[0]\n", "reg.py": "KNOWN = []\n\ndef add(x):\n    KNOWN.append(x)\n", "b.py": "import reg\nA = reg.add(1)\n"},
        "w:f", ("b.py", "add(1)", "add(2)"), True),
    "a constant that Python computes": ({"w.py": "import math\nK = math.sqrt(4)\n\ndef f(x):\n    return x\n"}, "w:f", ("w.py", "sqrt(4)", "sqrt(5)"), False),
    "a constant of a constant": ({"w.py": "T = {'a': 1}\nK = T.get('a')\n\ndef f(x):\n    return x\n"}, "w:f", ("w.py", "'a': 1", "'a': 2"), False),
    "an import in a class": ({"w.py": "class K:\n    from b import one\n\ndef f(x):\n    return K.one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "an import for the whole module": (
        {"w.py": "def load():\n    global b\n    import b\n\nload()\n\ndef f(x):\n    return b.one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "an annotation in quotes": (
        {"w.py": "import pydantic\n\nclass M(pydantic.BaseModel):\n    inner: 'list[Inner]'\n\nclass Inner(pydantic.BaseModel):\n    x: int = 1\n\ndef f(x):\n    return M(**x)\n"},
        "w:f", ("w.py", "= 1", "= 2"), True),
    "what it finds in its own names": ({"w.py": ONE + "\ndef f(x):\n    return globals()[x](1)\n"}, "w:f", ("w.py", *NEGATED), True),
    "what it finds in its own module": ({"w.py": "import sys\n\n" + ONE + "\ndef f(x):\n    return getattr(sys.modules[__name__], x)(1)\n"}, "w:f", ("w.py", *NEGATED), True),
    "what a text that is run imports": (
        {"w.py": "def f(x):\n    d = {}\n    exec('import b; r = b.one(1)', d)\n    return d['r']\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "what a text that is run does not use": (
        {"w.py": "def f(x):\n    d = {}\n    exec('import b; r = b.one(1)', d)\n    return d['r']\n", "b.py": ONE + "\ndef two(x):\n    return 2\n"},
        "w:f", ("b.py", "return 2", "return 3"), False),
    "what a text that is run at the top imports": (
        {"w.py": "exec('from b import one')\n\ndef f(x):\n    return one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "what a text of lines imports": (
        {"w.py": "from textwrap import dedent\n\ndef f(x):\n    d = {}\n    exec(dedent('''\n        from b import one\n        r = one(1)\n    '''), d)\n    return d['r']\n", "b.py": ONE},
        "w:f", ("b.py", *NEGATED), True),
    "what a text that is evaluated names": (
        {"w.py": "def f(x):\n    return eval('__import__(\"b\").one(1)')\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "what a text that is compiled imports": (
        {"w.py": "CODE = compile('import b', 'c', 'exec')\n\ndef f(x):\n    exec(CODE)\n    return b.one(x)\n", "b.py": ONE}, "w:f", ("b.py", *NEGATED), True),
    "what it evaluates": ({"w.py": ONE + "\ndef f(x):\n    return eval(x)\n"}, "w:f", ("w.py", *NEGATED), True),
    "a module that a star imports": (
        {**STARRED, "pkg/__init__.py": "__all__ = ['b']\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star does not import": (
        {**STARRED, "pkg/__init__.py": "__all__ = ['b']\n", "pkg/c.py": STARRED["pkg/b.py"]}, "w:f", ("pkg/c.py", *NEGATED), False),
    "a module beside a star without a list": ({**STARRED, "pkg/__init__.py": "K = 1\n"}, "w:f", ("pkg/b.py", *NEGATED), False),
    "a module that a star of a star imports": (
        {**STARRED, "w.py": STARRED["w.py"].replace("pkg", "a"), "a.py": "from pkg import *\n", "pkg/__init__.py": "__all__ = ['b']\n"},
        "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star imports by a list that grows": (
        {**STARRED, "pkg/__init__.py": "__all__ = []\n__all__ += ('b',)\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star imports by a list that is put together": (
        {**STARRED, "pkg/__init__.py": "__all__ = []\nfor name in 'abc':\n    __all__.append(name)\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star imports under a condition": (
        {**STARRED, "pkg/__init__.py": "if True:\n    __all__ = ['b']\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star imports by a list of files": (
        {**STARRED, "pkg/__init__.py": "import os\n__all__ = [name[:-3] for name in os.listdir(__path__[0])]\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module that a star imports by another's list": (
        {**STARRED, "pkg/__init__.py": "from .names import __all__\n", "pkg/names.py": "__all__ = ['b']\n"}, "w:f", ("pkg/b.py", *NEGATED), True),
    "a module on a path that is put before": ({"w.py": FIRST, "src/b.py": ONE}, "w:f", ("src/b.py", *NEGATED), True),
    "a module in a package on such a path": (
        {"w.py": FIRST.replace("from b", "from pkg.b"), "src/pkg/__init__.py": "", "src/pkg/b.py": ONE}, "w:f", ("src/pkg/b.py", *NEGATED), True),
    "a package on such a path": (
        {"w.py": FIRST.replace("from b", "from pkg.b"), "src/pkg/__init__.py": "", "src/pkg/b.py": ONE}, "w:f", ("src/pkg/__init__.py", "", "print(1)\n"), True),
    "a folder without __init__ on such a path": ({"w.py": FIRST.replace("from b", "from pkg.b"), "src/pkg/b.py": ONE}, "w:f", ("src/pkg/b.py", *NEGATED), True),
    "what it does not use of a module on such a path": (
        {"w.py": FIRST, "src/b.py": ONE + "\ndef two(x):\n    return 2\n"}, "w:f", ("src/b.py", "return 2", "return 3"), False),
    "a module that it does not import on such a path": ({"w.py": FIRST, "src/b.py": ONE, "src/c.py": ONE}, "w:f", ("src/c.py", *NEGATED), False),
    "a module of such a path that another imports": ({"w.py": FIRST, "src/b.py": "from c import one\n", "src/c.py": ONE}, "w:f", ("src/c.py", *NEGATED), True),
    "a module that is there twice": ({"w.py": FIRST, "b.py": ONE, "src/b.py": ONE}, "w:f", ("src/b.py", *NEGATED), True),
    "a module beside a file": ({"lib/w.py": FIRST, "lib/b.py": ONE}, "lib/w.py:f", ("lib/b.py", *NEGATED), True),
    "a module in a folder that is put after": (
        {"w.py": "import sys\nsys.path.append('src')\n\ndef f(x):\n    from pkg import b\n    return b.K\n", "src/pkg/__init__.py": "", "src/pkg/b.py": "K = 1\n"},
        "w:f", ("src/pkg/b.py", "K = 1", "K = 2"), True),
    "a module on a path that another module extends": (
        {"w.py": "import paths\nfrom b import one\n\ndef f(x):\n    return one(x)\n", "paths.py": "from sys import path\npath.insert(0, 'src')\n", "src/b.py": ONE},
        "w:f", ("src/b.py", *NEGATED), True),
    "a module on a path that is extended within": (
        {"w.py": "def f(x):\n    import site\n    site.addsitedir('src')\n    import b\n    return b.one(x)\n", "src/b.py": ONE}, "w:f", ("src/b.py", *NEGATED), True),
    "a module of which the name is computed, on such a path": (
        {"w.py": "import sys\nsys.path.append('src')\n" + BY_NAME.format("x"), "src/b.py": ONE}, "w:f", ("src/b.py", *NEGATED), True),
    "a module of a package, its name computed, on such a path": (
        {"w.py": "import sys\nsys.path.append('src')\n" + BY_NAME.format("f'pkg.{x}'"), "src/pkg/b.py": ONE}, "w:f", ("src/pkg/b.py", *NEGATED), True),
    "a module that a star imports on such a path": (
        {"w.py": "import sys\nsys.path.append('src')\n" + STARRED["w.py"], "src/reg.py": "KNOWN = []\n", "src/pkg/__init__.py": "__all__ = ['b']\n", "src/pkg/b.py": STARRED["pkg/b.py"]},
        "w:f", ("src/pkg/b.py", *NEGATED), True),
    "a module somewhere, and no path is extended": (
        {"w.py": "from b import one\n\ndef f(x):\n    return one(x)  # sys.path\n", "src/b.py": ONE}, "w:f", ("src/b.py", *NEGATED), False),
    "a module in a hidden folder": ({"w.py": FIRST, ".src/b.py": ONE}, "w:f", (".src/b.py", *NEGATED), False),
    "a module of an environment": ({"w.py": FIRST, "env/pyvenv.cfg": "", "env/b.py": ONE}, "w:f", ("env/b.py", *NEGATED), False),
    "a module that a package finds for a star": (
        {**STARRED, "pkg/__init__.py": "__all__ = ['one']\n\n" + LAZY}, "w:f", ("pkg/b.py", *NEGATED), True),
}  # fmt: skip


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)


def reached(folder, call):
    place, _, name = call.partition(":")
    return source_recipe("file" if place.endswith(".py") else "module", place, name, folder)


@pytest.mark.parametrize("row", TABLE)
def test_an_edit_of_what_a_function_reaches_and_no_other_is_another_recipe(tmp_path, row):
    files, call, (file, old, new), reruns = TABLE[row]
    write(tmp_path, files)
    before = reached(tmp_path, call)
    assert before is not None
    assert files[file].count(old) >= 1
    (tmp_path / file).write_text(files[file].replace(old, new, 1) + "\n# so that its size is another\n")
    assert (reached(tmp_path, call) != before) is reruns


def test_the_name_of_what_has_changed_is_told(tmp_path):
    write(
        tmp_path, {"w.py": "from a import one\n\ndef f(x):\n    return one(x)\n", "a.py": "def one(x):\n    return x\n"}
    )
    before = dict(reached(tmp_path, "w:f").definitions)
    write(tmp_path, {"a.py": "def one(x):\n    return -x\n"})
    after = dict(reached(tmp_path, "w:f").definitions)
    assert {name for name in after if after[name] != before.get(name)} == {"function a:one"}


def test_a_module_more_where_any_may_be_imported_is_another_recipe(tmp_path):
    write(tmp_path, {"w.py": BY_NAME.format("f'pkg.{x}'"), "pkg/b.py": ONE, "pkg/data/table.csv": "1"})
    before = reached(tmp_path, "w:f")
    write(tmp_path, {"pkg/sub/c.py": ONE})
    assert reached(tmp_path, "w:f") != before


def test_a_module_of_a_path_that_is_extended_may_be_beside_the_project(tmp_path):
    up = FIRST.replace(".parent / 'src'", ".parent.parent")
    write(tmp_path, {"pipelines/w.py": up, "b.py": ONE, "src/c.py": ONE})
    before = reached(tmp_path / "pipelines", "w:f")
    write(tmp_path, {"b.py": ONE.replace(*NEGATED)})
    assert reached(tmp_path / "pipelines", "w:f") != before


def test_a_module_more_on_a_path_that_is_extended_is_another_recipe_once_it_is_asked_again(tmp_path):
    write(tmp_path, {"w.py": FIRST, "src/b.py": ONE})
    before = reached(tmp_path, "w:f")
    write(tmp_path, {"lib/b.py": ONE})
    packages.ask_again()
    assert reached(tmp_path, "w:f") != before


def test_a_file_that_is_no_python_is_none_of_the_modules_that_may_be_imported(tmp_path):
    write(tmp_path, {"w.py": BY_NAME.format("x"), "old.py": "print 1\n"})
    assert reached(tmp_path, "w:f") is not None


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of another name than its module's, in a place where things are installed."""
    site = tmp_path / "site-packages"

    def install(version, text="def one(x):\n    return x\n"):
        info = site / "Maker_Kit-1.dist-info"
        write(site, {"maker/__init__.py": text})
        write(
            info,
            {
                "METADATA": f"Metadata-Version: 2.1\nName: Maker-Kit\nVersion: {version}\n",
                "RECORD": "maker/__init__.py,,\n",
            },
        )
        packages.ask_again()

    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    install("1.0")
    yield install
    packages.ask_again()


def test_an_installed_package_is_its_version_and_not_its_source(tmp_path, installed):
    write(tmp_path / "p", {"w.py": "import maker\n\ndef f(x):\n    return maker.one(x)\n\ndef g(x):\n    return x\n"})
    before, apart = reached(tmp_path / "p", "w:f"), reached(tmp_path / "p", "w:g")
    assert before.packages == (("maker", "Maker-Kit 1.0"),)
    assert reached(tmp_path / "p", "maker:one").packages == before.packages
    installed("1.0", text="def one(x):\n    return 17 * x\n")
    assert reached(tmp_path / "p", "w:f") == before
    installed("2.0")
    assert reached(tmp_path / "p", "w:f").packages == (("maker", "Maker-Kit 2.0"),)
    assert reached(tmp_path / "p", "w:g") == apart
    assert "maker" not in sys.modules


def test_a_module_elsewhere_on_the_path_that_nobody_has_installed_is_the_projects(tmp_path, monkeypatch):
    write(tmp_path, {"src/lib/__init__.py": "", "src/lib/core.py": "def one(x):\n    return x\n"})
    write(tmp_path / "p", {"w.py": "from lib.core import one\n\ndef f(x):\n    return one(x)\n"})
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "src")])
    packages.ask_again()
    calls = ("w:f", "lib.core:one")
    before = [reached(tmp_path / "p", call) for call in calls]
    write(tmp_path, {"src/lib/core.py": "def one(x):\n    return -x * 1\n"})
    after = [reached(tmp_path / "p", call) for call in calls]
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_code_nested_too_deep_to_be_printed_has_no_recipe(tmp_path):
    nested = textwrap.dedent(f"def f(x):\n    return {'+'.join('x' for _ in range(20_000))}\n")
    write(tmp_path, {"w.py": nested})
    assert reached(tmp_path, "w:f") is None
