"""What a function's result depends on in code: its own source and all that it reaches.

The source is read, never imported. From the function on, every name that it uses is followed to
the definition at the top of its module, and into other modules of the project. Of what was
installed the version counts, and of the standard library Python's. What runs at import (a call at
the top of a module, a decorator that may register what it is given) belongs to every function of it.

What is imported by a text (`importlib.import_module`) counts as far as the text is known, and where nothing of it is,
all modules of the project count. So it goes for a name that a module's `__getattr__` finds.

Not in it: data that a module reads from a file (that is what `deps` is for).
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from textwrap import dedent

from pipeline_runner.classes import dataclass, field
from pipeline_runner.hashing import blake2b
from pipeline_runner.record.named import HOMES, Asked, Here, asked, dotted, imports_by_name
from pipeline_runner.record.packages import (
    elsewhere,
    is_compiled,
    package_version,
    project_file,
    project_folder,
    project_modules,
)
from pipeline_runner.witness import contents, heard, saw

Origin = tuple[str, str | None]  # what an import binds: a module, or a module and a name in it
_US = __name__.partition(".")[0]
_SELF = ""  # of a module: only what runs when it is imported
_ITS_OWN_NAMES = frozenset({("globals",), ("eval",), ("exec",)})  # they reach whatever is in the module they are in
# What finds a class that nobody names.
_FINDS_CLASSES = r"__subclasses__|__init_subclass__|metaclass=(?!(?:abc\.)?ABCMeta\b)"

# What has, or makes, `sys.path` another.
_EXTENDS_PATH = r"\bsys\.path\b|\baddsitedir\b|\bimport sys as\b|\bfrom sys import\b.*\bpath\b"


@dataclass(frozen=True)
class Reached:
    """All that a function reaches.

    Definitions are digests under `call` (what was asked for), `function module:name`, and `top of module` for what
    runs when it is imported; packages are versions by name.
    """

    definitions: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    extends_path: bool = False  # it has, or makes, `sys.path` another: for what is called after it, too


def source_recipe(kind: str, place: str, attribute: str, folder: Path, *, widely: bool = False) -> Reached | None:
    """What `place:attribute` reaches; None when its source cannot be read. `widely`: the path is extended before."""
    file = folder / place if kind == "file" else project_file(place, folder)
    if file is None:
        top = place.partition(".")[0]
        known = {} if top in sys.stdlib_module_names else {top: package_version(top)}
        return Reached((("call", _digest(f"{place}:{attribute}")),), tuple(known.items()))
    name = attribute.partition(".")[0]
    return _walked(folder, lambda walk: walk.reach(file, name), f"{attribute} of {file.name}", widely)


def given_recipe(modules: Iterable[Path], lines: Mapping[Path, Iterable[str]], folder: Path) -> Reached | None:
    """What is reached by whole modules of the project, and by statements within functions that are in no file; None
    when something of it cannot be read.

    lines:  each a statement, by the file that the functions' module has, or might have.
    """
    whole = list(modules)

    def follow(walk: _Walk) -> bool:
        return all(walk.reach(file, None) for file in whole) and all(map(walk.within, lines, lines.values()))

    return _walked(folder, follow, "all")


def _walked(folder: Path, follow: Callable[[_Walk], bool], asked: str, widely: bool = False) -> Reached | None:
    """All that is reached. Where some code extends `sys.path`, it is followed once more: modules may be in any folder
    of the project."""
    walk = _Walk(folder, widely)
    try:
        found = follow(walk)
        if walk.extends_path and not widely:
            walk = _Walk(folder, widely=True)
            found = follow(walk)
    except RecursionError:  # an expression nested deeper than Python can print
        return None
    return walk.reached(asked) if found else None


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True)
class _Module:
    """A module's top: where each name is defined, and what runs whoever imports it."""

    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, list[Origin]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)
    calling: list[tuple[ast.stmt, frozenset[str]]] = field(default_factory=list)  # it gives a value, and calls these
    derived: list[str] = field(default_factory=list)  # classes that have a base
    finds_classes: bool = False
    extends_path: bool = False
    stars: list[str] = field(default_factory=list)  # modules from which everything is imported
    runs: list[str] = field(default_factory=list)  # names of all that is imported, whether it is used or not

    def __contains__(self, name: object) -> bool:
        return name in self.defined or name in self.imported

    @property
    def lazy(self) -> bool:
        """Whether it finds names when they are asked for (PEP 562)."""
        return "__getattr__" in self

    def imports(self, statement: ast.AST, file: Path, folder: Path) -> None:
        """Take down what an import binds at the top of the module."""
        for name, origin, whole in _imports(statement, file, folder):
            self.runs.append(whole)
            if name == "*":
                self.stars.append(origin[0])
            else:
                self.imported.setdefault(name, []).append(origin)


@dataclass(frozen=True)
class _Told:
    """What a statement says, and what it uses: dotted names, as far as they are plain; imports within it, and the
    code in texts that it runs."""

    text: str
    uses: frozenset[tuple[str, ...]]
    imports: tuple[ast.Import | ast.ImportFrom, ...]
    texts: tuple[ast.Module, ...]


@dataclass
class _Walk:
    folder: Path
    widely: bool = False  # look for modules in all folders of the project, as `sys.path` may have them
    extends_path: bool = False
    texts: dict[str, list[str]] = field(default_factory=dict)  # by label, as the file has them
    packages: dict[str, str] = field(default_factory=dict)
    _seen: set[tuple[Path, str | None]] = field(default_factory=set)
    _derived: list[tuple[Path, str | None]] = field(default_factory=list)
    _finds_classes: bool = False
    # Each file is read, and its digest told, once in a walk: all of a large project are more than `_read` remembers.
    _modules: dict[Path, _Module | None] = field(default_factory=dict)

    def reach(self, file: Path, name: str | None) -> bool:
        """Follow a name of a file (None: all of them). False when the file cannot be read as Python, or has no such
        name that could be found by reading."""
        if is_compiled(file):
            self._compiled(file)
            return True
        module = self._known(file)
        if module is None:
            return False
        found = self._follow_all([(file, _SELF), (file, name)])
        return found and (name is None or name in module or module.lazy or bool(module.stars))

    def within(self, file: Path, lines: Iterable[str]) -> bool:
        """Follow what statements reach that stand in a function, and what runs because its module imports others: they
        may put something where it is found. False when a file of that cannot be read."""
        statement = ast.parse("\n ".join(("def within():", "pass", *lines))).body[0]
        todo = [*self._statements(file, _Module(), "imports within", [statement])]
        own = self._known(file)
        for whole in () if own is None else own.runs:
            if whole.partition(".")[0] != _US:  # every script imports it; in a checkout that is 300 files
                todo += self._import(file, whole)
        return self._follow_all(todo)

    def reached(self, asked: str) -> Reached:
        """All that was, by now."""
        told = {label: _digest("\n".join(texts)) for label, texts in sorted(self.texts.items())}
        return Reached(
            (("call", _digest(asked)), *told.items()), tuple(sorted(self.packages.items())), self.extends_path
        )

    def _follow_all(self, todo: list[tuple[Path, str | None]]) -> bool:
        while todo or (self._finds_classes and self._derived):
            if not todo:
                todo, self._derived = self._derived, []
            at, what = todo.pop()
            if (at, what) in self._seen:
                continue
            self._seen.add((at, what))
            if is_compiled(at):
                self._compiled(at)
                continue
            read = self._known(at)
            if read is None:
                return False
            todo += self._follow(at, read, what)
        return True

    def _known(self, file: Path) -> _Module | None:
        if file not in self._modules:
            module = self._modules[file] = _known(file, self.folder)
            self.extends_path |= module is not None and module.extends_path
        return self._modules[file]

    def _folders(self, name: str) -> tuple[Path, ...]:
        """From where a module may be imported: the project's folder, with what is on the path, and others."""
        return (self.folder, *elsewhere(name.partition(".")[0], self.folder)) if self.widely else (self.folder,)

    def _compiled(self, file: Path) -> None:
        digest = _contents(file, _stamp(file))
        saw("contents", str(file), answer=digest)
        self.texts[f"compiled {_label(file, self.folder)}"] = [str(digest)]

    def _follow(self, file: Path, module: _Module, what: str | None) -> Iterator[tuple[Path, str | None]]:
        label = _label(file, self.folder)
        if what is None:
            yield from ((file, name) for name in (_SELF, *module.defined, *module.imported))
        elif what == _SELF:
            calling = [statement for statement, called in module.calling if self._calls_ours(module, called)]
            yield from self._statements(file, module, f"top of {label}", [*module.always, *calling])
            self._derived += ((file, name) for name in module.derived)
            self._finds_classes |= module.finds_classes
            for whole in module.runs:
                yield from self._import(file, whole)
        elif what in module.defined:
            yield from self._statements(file, module, f"function {label}:{what}", module.defined[what])
        elif what in module.imported:
            yield from self._name(file, module, (what,), f"function {label}:{what}")
        if what is None or (what and what not in module):
            yield from self._stars(module, what)
            if module.lazy and what is not None:
                yield from self._lazily(file, module)

    def _lazily(self, file: Path, module: _Module) -> Iterator[tuple[Path, str | None]]:
        """What a module's `__getattr__` may find; where something made that function, any module beside it."""
        yield file, "__getattr__"
        if not all(isinstance(made, ast.FunctionDef) for made in module.defined.get("__getattr__", ())):
            yield from self._by_name(file, Asked(f"{_package_name(file.parent, self.folder)}.", known=False))

    def _statements(
        self, file: Path, module: _Module, label: str, statements: Iterable[ast.stmt | ast.Module]
    ) -> Iterator[tuple[Path, str | None]]:
        for statement in statements:
            told = _told(statement)
            self.texts.setdefault(label, []).append(told.text)
            yield from self._statements(file, module, label, told.texts)
            inner: dict[str, list[Origin]] = {}
            named = {use[0] for use in told.uses}
            for imported in told.imports:
                for name, origin, whole in _imports(imported, file, self.folder):
                    yield from self._import(file, whole)
                    inner.setdefault(name, []).append(origin)
                    if name == "*":
                        yield from self._origin((origin[0], None), ())
                    elif name not in named and name not in module.imported:  # for others: in a class, or `global`
                        yield from self._origin(origin, ())
            for use in sorted(told.uses):
                origins = inner.get(use[0], [])
                for origin in origins:
                    yield from self._origin(origin, use[1:])
                for importer in _importers(use, [*origins, *module.imported.get(use[0], ())]):
                    for what in asked(statement, use, importer, _here(file, self.folder)):
                        yield from self._by_name(file, what)
                if (use in _ITS_OWN_NAMES and use[0] not in module) or _is_modules(use, module):
                    yield file, None
                yield from self._name(file, module, use, label)

    def _calls_ours(self, module: _Module, called: frozenset[str]) -> bool:
        """Whether something that is called may be the project's, and so may keep what it is given."""
        for name in called:
            if any(map(_may_keep, module.defined.get(name, ()))):
                return True
            tops = [at.partition(".")[0] for at, _ in module.imported.get(name, ())]
            if any(project_file(top, folder) for top in tops for folder in self._folders(top)):
                return True
        return False

    def _name(self, file: Path, module: _Module, use: tuple[str, ...], label: str) -> Iterator[tuple[Path, str | None]]:
        """A name at a module's top, with what is asked of it: `scale`, `helpers.scale`."""
        name, *rest = use
        for origin in module.imported.get(name, ()):
            self.texts.setdefault(label, []).append(f"{name} is {origin}")
            yield from self._origin(origin, tuple(rest))
            if not rest and origin[1] is None:  # a package that is handed on has what is imported of it
                below = f"{origin[0]}."
                for whole in module.runs:
                    if whole.startswith(below):
                        yield from self._origin(origin, tuple(whole.removeprefix(below).split(".")))
        if name in module.defined:
            yield file, name
        elif name not in module.imported:
            yield from self._stars(module, name)

    def _stars(self, module: _Module, name: str | None) -> Iterator[tuple[Path, str | None]]:
        for star in module.stars:
            yield from self._origin((star, None), () if name is None else (name,))

    def _origin(self, origin: Origin, rest: tuple[str, ...]) -> Iterator[tuple[Path, str | None]]:
        """What an imported name stands for: a definition in a module of the project, all of that, or a package."""
        for folder in self._folders(origin[0]):
            yield from self._origin_from(folder, origin, rest)

    def _origin_from(self, folder: Path, origin: Origin, rest: tuple[str, ...]) -> Iterator[tuple[Path, str | None]]:
        name, attribute = origin
        steps = rest if attribute is None else (attribute, *rest)
        file = project_file(name, folder)
        passed = 0  # folders without `__init__.py`
        while len(steps) > passed:
            deeper = ".".join((name, *steps[: passed + 1]))
            inner = project_file(deeper, folder)
            if inner is None:
                if not project_folder(deeper, folder):
                    break
                passed += 1
                continue
            own = None if file is None else self._known(file)
            if own is not None and steps[0] in own.defined:
                break  # the package has a name of its own that is called like a module of it
            if own is not None and file is not None and _may_hide(own, (name, steps[0])):
                yield file, steps[0]
            name, file, steps, passed = deeper, inner, steps[passed + 1 :], 0
        if file is not None:
            yield file, steps[0] if steps else None
        else:
            self._package(name)

    def _import(self, file: Path, whole: str) -> Iterator[tuple[Path, str | None]]:
        """What runs because a module is imported: its own top, and that of the packages that it is in."""
        parts = whole.split(".")
        for folder in self._folders(parts[0]):
            for stop in range(1, len(parts) + 1):
                found = project_file(".".join(parts[:stop]), folder)
                if found is not None and found != file:
                    yield found, _SELF
            if parts[-1] == "*":
                yield from self._starred(whole.removesuffix(".*"), folder)

    def _starred(self, name: str, folder: Path) -> Iterator[tuple[Path, str | None]]:
        """What runs because everything is imported from a package: the modules of it that its `__all__` names; all of
        them where that is put together when it runs."""
        file = project_file(name, folder)
        package = self._known(file) if file is not None and file.name == "__init__.py" else None
        if file is None or package is None or "__all__" not in package:
            return
        listed = _listed(package)
        if listed is None:
            yield from ((one, _SELF) for one in project_modules(name, folder) if self._counts(one))
        for one in listed or ():
            if one not in package:
                yield from self._import(file, f"{name}.{one}")

    def _counts(self, module: Path) -> bool:
        """Whether a file that may be imported is a module at all."""
        return is_compiled(module) or self._known(module) is not None

    def _by_name(self, file: Path, what: Asked) -> Iterator[tuple[Path, str | None]]:
        """A module that is imported by a text; where only its package is known, all of that."""
        top, *rest = what.name.split(".")
        if what.known:
            yield from self._import(file, what.name)
            yield from self._origin((top, None), tuple(rest))
            return
        package = what.name.rpartition(".")[0]
        found = [one for folder in self._folders(package) for one in project_modules(package, folder)]
        if not package and not file.is_relative_to(self.folder):
            found += project_modules(_package_name(file.parent, self.folder).partition(".")[0], self.folder)
        if package and not found:
            self._package(package)
        yield from ((one, None) for one in found if self._counts(one))

    def _package(self, name: str) -> None:
        top = name.partition(".")[0]
        if top and top not in sys.stdlib_module_names and project_file(top, self.folder) is None:
            self.packages[top] = package_version(top)


def _importers(use: tuple[str, ...], origins: Iterable[Origin]) -> Iterator[str]:
    """What a name stands for, if that imports what a text names."""
    if use == ("__import__",):
        yield "__import__"
    for module, attribute in origins:
        if module.partition(".")[0] in HOMES:
            name = ".".join((module, *([attribute] if attribute else []), *use[1:]))
            if imports_by_name(name):
                yield name


def _here(file: Path, folder: Path) -> Here:
    package = _package_name(file.parent, folder)
    own = "" if file.name == "__init__.py" else file.stem
    return Here(".".join(part for part in (package, own) if part), package)


def _label(file: Path, folder: Path) -> str:
    """A module's name as far as the folder tells it."""
    try:
        path = file.relative_to(folder)
    except ValueError:
        path = Path(file.parent.name, file.name)
    return ".".join((*path.parent.parts, path.name.partition(".")[0] if is_compiled(file) else path.stem)).removesuffix(
        ".__init__"
    )


def _known(file: Path, folder: Path) -> _Module | None:
    if heard():
        saw("contents", str(file), answer=contents(str(file)))
    return _read(file, _stamp(file), folder)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _contents(file: Path, stamp: tuple[int, int]) -> bytes | None:
    return contents(str(file))


@lru_cache(maxsize=512)
def _read(file: Path, stamp: tuple[int, int], folder: Path) -> _Module | None:
    try:
        source = file.read_bytes()
        tree: ast.Module = _Undocumented().visit(ast.parse(source))
        finds, extends = (_says(words, source, tree) for words in (_FINDS_CLASSES, _EXTENDS_PATH))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    module = _Module(finds_classes=finds, extends_path=extends)
    for statement in tree.body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                module.imports(statement, file, folder)
                continue
            case ast.If(test=test, orelse=[]) if ast.unparse(test) == "__name__ == '__main__'":
                continue  # does not run at import
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = {name}
                runs = not all(_harmless(decorator, module) for decorator in statement.decorator_list)
                if isinstance(statement, ast.ClassDef) and (statement.bases or statement.keywords):
                    module.derived.append(name)
            case _:
                names = _bound(statement)
                runs = not names or not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
                for inner in _told(statement).imports if runs else ():  # under a condition, say
                    module.imports(inner, file, folder)
        for name in names:
            module.defined.setdefault(name, []).append(statement)
        if runs:
            module.always.append(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and (called := _called(statement)):
            module.calling.append((statement, called))
    return module


def _says(words: str, source: bytes, tree: ast.Module) -> bool:
    """Whether a module says this. Its text is made only where the words are there at all: they may be a comment's."""
    return bool(re.search(words.encode(), source)) and bool(re.search(words, ast.unparse(tree)))


def _harmless(decorator: ast.expr, module: _Module) -> bool:
    """Whether a decorator is of the standard library, and so does not put what it decorates where others find it."""
    while isinstance(decorator, ast.Call | ast.Attribute):
        decorator = decorator.func if isinstance(decorator, ast.Call) else decorator.value
    if not isinstance(decorator, ast.Name):
        return False
    origins = module.imported.get(decorator.id)
    if origins is None:
        return hasattr(builtins, decorator.id) and decorator.id not in module.defined
    return all(name.partition(".")[0] in sys.stdlib_module_names for name, _ in origins)


def _called(statement: ast.stmt) -> frozenset[str]:
    """First names of what a statement calls: `add` and `registry.add` both count as that."""
    found = (dotted(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call))
    return frozenset(use[0] for use in found if use is not None)


def _listed(package: _Module) -> list[str] | None:
    """What `__all__` names, if that stands there."""
    if "__all__" in package.imported or any(use[0] == "__all__" for made in package.always for use in _told(made).uses):
        return None
    names: list[str] = []
    for made in package.defined["__all__"]:
        if not isinstance(made, ast.Assign | ast.AnnAssign | ast.AugAssign):  # under a condition, say
            return None
        try:
            names += ast.literal_eval(made.value) if made.value else ()
        except (TypeError, ValueError):
            return None
    return names


def _may_keep(made: ast.stmt) -> bool:
    """Whether what a statement makes may keep what it is called with: functions, classes, and what came of a call."""
    return isinstance(made, ast.FunctionDef | ast.ClassDef) or bool(_called(made))


def _may_hide(package: _Module, module: Origin) -> bool:
    """Whether a name of a package that is called like a module of it may be something else."""
    others = [origin for origin in package.imported.get(module[1] or "", ()) if origin != module]
    return bool(others or package.stars)


def _is_modules(use: tuple[str, ...], module: _Module) -> bool:
    """Whether this is `sys.modules`, in which a module finds itself."""
    for origin in module.imported.get(use[0], ()):
        if origin == ("sys", "modules") or (origin == ("sys", None) and use[1:2] == ("modules",)):
            return True
    return False


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement gives a value, or may give one under a condition."""
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = list(ast.walk(statement))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in nodes if isinstance(node, named)}


def _imports(statement: ast.AST, file: Path, folder: Path) -> Iterator[tuple[str, Origin, str]]:
    """Names that an import binds, where they come from, and what is imported for that.

    `import a.b` binds `a`, which then has a `b`.
    """
    match statement:
        case ast.Import(names=names):
            for alias in names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, (alias.name if alias.asname else top, None), alias.name
        case ast.ImportFrom(module=module, names=names, level=level):
            place = module or ""
            if level:  # relative: from the file's own package
                place = ".".join(part for part in (_package_name(file.parents[level - 1], folder), place) if part)
            for alias in names:
                yield alias.asname or alias.name, (place, alias.name), f"{place}.{alias.name}"


def _package_name(package: Path, folder: Path) -> str:
    """What a folder of modules is called: from the project's folder, else as far up as there are packages."""
    if package.is_relative_to(folder):
        return ".".join(package.relative_to(folder).parts)
    names: list[str] = []
    while _is_package(package):
        names.insert(0, package.name)
        package = package.parent
    return ".".join(names)


def _is_package(folder: Path) -> bool:
    found = (folder / "__init__.py").is_file()
    saw("file", str(folder / "__init__.py"), answer=found)
    return found


@lru_cache(maxsize=4096)
def _told(statement: ast.stmt | ast.Module) -> _Told:
    uses: set[tuple[str, ...]] = set()
    imports: list[ast.Import | ast.ImportFrom] = []
    texts: list[ast.Module] = []
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            continue
        use = dotted(node.target if isinstance(node, ast.AugAssign) else node)
        if use is not None:
            uses.add(use)
        if use is not None and not isinstance(node, ast.AugAssign):
            continue
        match node:
            case ast.Import() | ast.ImportFrom():
                imports.append(node)
            case ast.Call(func=ast.Name(id="exec" | "eval" | "compile"), args=[first, *_]):
                texts += _written(first)
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                todo += _quoted(annotation)
            case ast.FunctionDef(returns=ast.expr() as annotation):
                todo += _quoted(annotation)
        todo += ast.iter_child_nodes(node)
    return _Told(ast.unparse(statement), frozenset(uses), tuple(imports), tuple(texts))


def _written(code: ast.expr) -> Iterator[ast.Module]:
    """What is in texts that stand where code is expected: `"import b"`, `dedent("import b")`."""
    for node in ast.walk(code):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError, ValueError):
                yield ast.parse(dedent(node.value))


def _quoted(annotation: ast.expr) -> Iterator[ast.expr]:
    """What an annotation says in quotes, which pydantic and others look up: `"Inner"`, `list["Inner"]`."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError, ValueError):
                yield ast.parse(node.value, mode="eval").body


class _Undocumented(ast.NodeTransformer):
    """Takes away what has no effect: docstrings, and other constants that stand alone."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node
