"""Finds the function that a pipeline names, the same way in the runner and in every worker.

`module:function` is imported with the project's folder after the standard library and before all else;
`file.py:function` is a file beside the pipeline. Either is loaded once in a process, under a name that is the same in
all of them, so that a class defined in it can be pickled in one and read in another.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from pipeline_runner.errors import PipelineError, kind_of
from pipeline_runner.typed import Any, Literal
from pipeline_runner.worker.compiled import believe_sources_only

Kind = Literal["module", "file"]


class FunctionNotFound(PipelineError):
    """A pipeline names a function that cannot be had."""

    exit_code = 2

    def __init__(self, kind: Kind, place: str, attribute: str, folder: str, why: str, cure: str = "") -> None:
        super().__init__(kind, place, attribute, folder, why, cure)
        self.kind = kind
        self.place = place
        self.attribute = attribute
        self.folder = folder
        self.why = why
        self.cure = cure

    def __str__(self) -> str:
        sentence = f'cannot find "{self.place}:{self.attribute}": {self.why}'
        return f"{sentence}\n  {self.cure}" if self.cure else sentence


class PackageMissing(PipelineError):
    """A function's module is there, and a package that it imports is not."""

    exit_code = 2

    def __init__(self, place: str, attribute: str, package: str, importer: str) -> None:
        super().__init__(place, attribute, package, importer)
        self.place = place
        self.attribute = attribute
        self.package = package
        self.importer = importer  # file:line that asks for it

    def __str__(self) -> str:
        needs = f'it needs the package "{self.package}", imported at {self.importer}'
        cure = f"install what has it for {sys.executable}"
        return f'cannot load "{self.place}:{self.attribute}": {needs}, which is not installed\n  {cure}'


def resolve(kind: Kind, place: str, attribute: str, folder: str | os.PathLike[str]) -> Callable[..., Any]:
    """The callable. Errors: FunctionNotFound, PackageMissing; what else the user's module raises when imported."""
    found_here.add(attribute)
    believe_sources_only()
    where = os.path.abspath(folder)
    add_to_path(where)
    try:
        module = _file(place, attribute, where) if kind == "file" else _module(place, attribute, where)
    except ModuleNotFoundError as error:
        if error.name is None:
            raise  # raised by hand, whatever it means
        raise PackageMissing(place, attribute, error.name, _importer(error)) from error
    found: Any = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise _no_attribute(kind, place, attribute, where, found, name) from None
    if not callable(found):
        why = f"{attribute} is {kind_of(found)}, which cannot be called"
        raise FunctionNotFound(kind, place, attribute, where, why)
    function: Callable[..., Any] = found
    return function


found_here: set[str] = set()  # users' functions that were looked for in this process
_projects: list[str] = []  # folders put on sys.path here, newest first


def add_to_path(folder: str) -> None:
    """Put a folder on sys.path after the standard library and before what is installed.

    A project that has a json.py must not take json away from everyone. Of several projects in one
    process, the one asked for last comes first.
    """
    if not any(isinstance(finder, _FileFinder) for finder in sys.meta_path):
        sys.meta_path.append(_FileFinder())
    if _projects[:1] == [folder] and folder in sys.path:
        return
    path = path_with(folder)
    if folder in _projects:
        _projects.remove(folder)
    _projects.insert(0, folder)
    sys.path[:] = path
    importlib.invalidate_caches()


# What sysconfig says, which takes 2 ms to say it.
_STANDARD = (
    os.path.dirname(os.__file__),
    os.path.join(sys.base_exec_prefix, sys.platlibdir, "python{}.{}".format(*sys.version_info)),
)


def path_with(folder: str) -> list[str]:
    """sys.path with a project's folder where it belongs: directly behind the standard library, and before all else.

    A worker has inherited the runner's path, with the folders of a pipeline's other files in it. What stands before the
    standard library, PYTHONPATH and the folder that `python -m` was called in, goes behind the project's, or it would
    give its own `steps.py` for the one beside the pipeline. Only a project that is first of all stays there, as the
    folder of a script is.
    """
    if sys.path[:1] == [folder]:
        return list(sys.path)
    archive = "python{}{}.zip".format(*sys.version_info)
    is_standard = [path in _STANDARD or path.endswith(("lib-dynload", archive)) for path in sys.path]
    after = max((i for i, yes in enumerate(is_standard) if yes), default=-1) + 1
    first = [path for path, yes in zip(sys.path[:after], is_standard, strict=False) if yes]
    others = [path for path, yes in zip(sys.path[:after], is_standard, strict=False) if not yes]
    return [*first, folder, *(path for path in (*others, *sys.path[after:]) if path != folder)]


def _importer(error: ModuleNotFoundError) -> str:
    """The line that asks for what is not there: the last that is not of the import machinery itself."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    machinery = ("<frozen importlib", importlib.__file__)
    frame = next(frame for frame in reversed(frames) if not frame.filename.startswith(machinery))
    return f"{frame.filename}:{frame.lineno}"


def _forget_namesake(root: str, folder: str) -> None:
    """Let go of another project's module of this name: two notebooks' `steps.py` are not one module."""
    loaded = sys.modules.get(root)
    origin = getattr(loaded, "__file__", None)
    if origin is None or root in sys.stdlib_module_names:
        return
    own = importlib.machinery.PathFinder.find_spec(root, [folder])
    others = [project for project in _projects if project != folder]
    if own is None or own.origin == origin or not any(origin.startswith(other + os.sep) for other in others):
        return
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{root}.")]:
        del sys.modules[name]


def _module(name: str, attribute: str, folder: str) -> ModuleType:
    _forget_namesake(name.partition(".")[0], folder)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise _no_module(name, attribute, folder) from error
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names and (Path(folder) / f"{root}.py").exists() and not hasattr(module, attribute):
        why = f'"{root}" is the standard library\'s module'
        cure = f"name the file beside the pipeline: {root}.py:{attribute}"
        raise FunctionNotFound("module", name, attribute, folder, why, cure)
    return module


def _file(path: str, attribute: str, folder: str) -> ModuleType:
    """The module of a file, loaded once."""
    file = os.path.realpath(os.path.join(folder, path))
    if not os.path.isfile(file):
        why = f"there is no file {os.path.join(folder, path)}"
        raise FunctionNotFound("file", path, attribute, folder, why, _nearest_file(path, folder))
    name = module_name(file, folder)
    _forget_namesake(name, folder)
    return sys.modules.get(name) or _load(name, file)


def _load(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise AssertionError(f"{file} ends in .py, for which there is always a loader")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its own dataclasses look themselves up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


_PREFIX = "prun_file_"


def module_name(file: str, folder: str) -> str:
    """The name under which a file is loaded: the same in every process, whatever each has imported before.

    A file straight in the folder that `import` would find too has its plain name, so that it is one module
    however it is reached. Any other has a name that spells its path, from which it can be found again.
    """
    stem, extension = os.path.splitext(os.path.basename(file))
    beside = os.path.dirname(file) == os.path.realpath(folder)
    if beside and extension == ".py" and stem.isidentifier() and _is_free(stem, folder):
        return stem
    return f"{_PREFIX}{os.fsencode(file).hex()}"


class _FileFinder:
    """Finds a file again by the name that it was given: a value's class may be asked for before its function."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX):
            return None
        try:
            file = os.fsdecode(bytes.fromhex(name.removeprefix(_PREFIX)))
        except ValueError:
            return None
        return importlib.util.spec_from_file_location(name, file) if os.path.isfile(file) else None


def _is_free(stem: str, folder: str) -> bool:
    """Whether `import stem` would find the folder's own file. Asked of what is on disk, never of sys.modules."""
    if stem in sys.stdlib_module_names or stem == "__main__":
        return False
    found = importlib.machinery.PathFinder.find_spec(stem, [folder])
    return found is not None and found.origin is not None and found.origin.endswith(f"{stem}.py")


def _no_module(name: str, attribute: str, folder: str) -> FunctionNotFound:
    from difflib import get_close_matches

    why = f'there is no module "{name}"; looked in {folder}, the standard library and what is installed'
    guess = get_close_matches(name, [path.stem for path in _python_files(folder)], n=1)
    cure = f"did you mean {guess[0]}:{attribute}?" if guess else ""
    return FunctionNotFound("module", name, attribute, folder, why, cure)


def _no_attribute(kind: Kind, place: str, attribute: str, folder: str, owner: object, name: str) -> FunctionNotFound:
    from difflib import get_close_matches

    public = [word for word in dir(owner) if not word.startswith("_") and callable(getattr(owner, word, None))]
    guesses = get_close_matches(name, public, n=3) or public[:6]
    root = place.partition(".")[0]
    if kind == "module" and root in sys.stdlib_module_names:
        why = f'"{root}" is the standard library\'s module, and has no "{name}"'
        cure = f"for a file beside the pipeline write {root}.py:{attribute}"
        return FunctionNotFound(kind, place, attribute, folder, why, cure)
    cure = f"it has: {', '.join(guesses)}" if guesses else ""
    return FunctionNotFound(kind, place, attribute, folder, f'it has no "{name}"', cure)


def _nearest_file(path: str, folder: str) -> str:
    from difflib import get_close_matches

    names = [file.name for file in _python_files(folder)]
    guess = get_close_matches(os.path.basename(path), names, n=1)
    return f"did you mean {guess[0]}?" if guess else ""


def _python_files(folder: str) -> list[Path]:
    try:
        return sorted(Path(folder).glob("*.py"))
    except OSError:
        return []
