"""Plans that were kept: a run whose files have not changed since neither reads YAML, nor checks, nor plans anything.

A plan is good while every answer that it was made from is still the same: what is in each file that was read, where
links lead, the variables that were used, which modules there are, this program and its surroundings. It is sealed with
the user's key, like all that is unpickled. What is damaged, of another time or of somebody else is not there.
"""

from __future__ import annotations

import io
import os
import pickle
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from pipeline_runner import witness
from pipeline_runner.classes import dataclass, replace
from pipeline_runner.hashing import compare_digest
from pipeline_runner.methods import Backend, Method
from pipeline_runner.plan.cpus import usable
from pipeline_runner.plan.plan import Choice, Plan
from pipeline_runner.plan.threads import VARIABLES
from pipeline_runner.record.recipe import Recipe
from pipeline_runner.record.seal import BYTES, key_kept, load_key, seal
from pipeline_runner.spec.pipeline import StageName, StageSpec
from pipeline_runner.typed import Any
from pipeline_runner.witness import Answer, Question, Witness

FOLDER = "plans"
MOST = 24  # plans of one state folder: the command lines that people repeat
LARGEST = 1 << 28  # bytes
OURS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Kept:
    """A plan that may run, and what there was to warn of when it was made."""

    plan: Plan
    warnings: tuple[str, ...]
    recipes: Mapping[StageName, Recipe] | None  # None: they are another's in each run


@dataclass(frozen=True)
class Place:
    """Where the plan of a command line is, and what it depends on besides: asked before anything is planned or run,
    since a run puts folders on sys.path."""

    key: bytes | None  # the user's; None: none can be kept
    path: Path
    surroundings: bytes


def place(state: Path, asked: Mapping[str, Any]) -> Place:
    """The place of these words of a command line: they mean another plan in another folder, on another machine, or for
    another Python."""
    load_key()  # on a user's first run it is made
    key = key_kept()
    told = (sorted(asked.items()), os.getcwd(), os.uname(), sys.version, sys.executable, sys.path, sys.flags)
    return Place(key, state / FOLDER / seal(key or b"", repr(told)).hex()[:32], _surroundings())


def find(place: Place) -> Kept | None:
    """The plan that is kept there; None: there is none, or it is not good any more."""
    data = _read(place.path)
    if place.key is None or data is None or not _sealed(place.key, data):
        return None
    file = io.BytesIO(data)
    file.seek(BYTES)
    try:
        surroundings, variables, answers = pickle.load(file)
        same = surroundings == place.surroundings and _same(place.key, variables, answers)
        return pickle.load(file) if same else None
    except Exception:  # it was sealed by us: whatever is wrong with it, a plan can be made anew
        return None


def keep(place: Place, kept: Kept, seen: Witness) -> None:
    """Keep a plan for the next run, where that can be. Never fails: a run does not depend on it."""
    if place.key is None or not seen.sure or kept.plan.pipeline.secrets:
        return
    key = place.key
    variables = {name: _variable(key, name) for name in seen.variables}
    file = io.BytesIO()
    try:
        pickle.dump((place.surroundings, variables, seen.answers), file, pickle.HIGHEST_PROTOCOL)
        _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(kept)
    except Exception:  # a method of somebody else's backend, say: then there is none to keep
        return
    data = file.getvalue()
    with suppress(OSError):  # a full disk, a folder that cannot be written
        _write(place.path, seal(key, data) + data)


def forget(state: Path) -> None:
    """Take all of them away."""
    for file in _all(state):
        file.unlink(missing_ok=True)


def _sealed(key: bytes, data: bytes) -> bool:
    return compare_digest(data[:BYTES], seal(key, data[BYTES:]))


# ---------------------------------------------------------------------------------------------- files


def _read(path: Path) -> bytes | None:
    """What is in a file of ours that nobody else may write or read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(file, "rb") as opened:
        status = os.fstat(file)
        ours = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
        return opened.read() if ours and stat.S_ISREG(status.st_mode) and status.st_size < LARGEST else None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    for old in sorted(_all(path.parents[1]), key=lambda file: file.stat().st_mtime_ns)[:-MOST]:
        old.unlink(missing_ok=True)


def _all(state: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (state / FOLDER).iterdir()


# ---------------------------------------------------------------------------------------------- answers


def _same(key: bytes, variables: Mapping[str, bytes | None], answers: Mapping[Question, Answer]) -> bool:
    """Whether everything that was asked has the same answer now."""
    from pipeline_runner.record.packages import ask_again

    ask_again()  # in this process it may have been asked for a run before
    return all(_variable(key, name) == told for name, told in variables.items()) and all(
        _AGAIN[kind](*about) == told for (kind, *about), told in answers.items()
    )


def _variable(key: bytes, name: str) -> bytes | None:
    """What stands for the value of a variable, which may be anybody's secret."""
    value = os.environ.get(name)
    return None if value is None else seal(key, name, value)


def _leads(path: str) -> str:
    return str(Path(path).resolve())


def _matches(pattern: str, folder: str) -> bytes:
    from pipeline_runner.spec.opening import matches

    return witness.digest(repr(matches(pattern, Path(folder))).encode())


def _readable(path: str) -> str | None:
    from pipeline_runner.plan.preflight.files import unreadable

    return unreadable(Path(path))


def _spoiled(kind: str, path: str, folder: str) -> str | None:
    from pipeline_runner.plan.preflight.files import spoiled

    return spoiled(kind, path, Path(folder))


def _runnable(path: str) -> bool:
    from pipeline_runner.plan.preflight.programs import runnable

    return runnable(path)


def _module(name: str, folder: str) -> str:
    from pipeline_runner.plan.preflight.finder import Finder
    from pipeline_runner.worker.functions import path_with

    return Finder(folder, tuple(path_with(folder))).file(name)


def _project(name: str, folder: str) -> str:
    from pipeline_runner.record.packages import project_file

    return str(project_file(name, Path(folder)) or "")


def _modules_below(package: str, folder: str) -> bytes:
    from pipeline_runner.record.packages import project_modules

    return witness.digest("\n".join(map(str, project_modules(package, Path(folder)))).encode("utf-8", "surrogatepass"))


def _elsewhere(top: str, folder: str) -> bytes:
    from pipeline_runner.record.packages import elsewhere

    return witness.digest("\n".join(map(str, elsewhere(top, Path(folder)))).encode("utf-8", "surrogatepass"))


def _surroundings() -> bytes:
    """This program, what is installed beside it, how many CPUs there are, and what keeps numerical libraries at bay."""
    told = (
        sorted(_stamps(os.fspath(OURS))),
        [_modules(path) for path in sys.path],
        usable(),
        [name in os.environ for name in VARIABLES],
    )
    return witness.digest(repr(told).encode("utf-8", "surrogatepass"))


def _stamps(folder: str) -> Iterator[tuple[str, int, int]]:
    """The files in and below a folder of ours."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                yield from _stamps(entry.path)


def _modules(path: str) -> list[str] | str | None:
    """What can be imported from a folder of sys.path, with the versions of what is installed there."""
    if os.path.dirname(os.__file__) in (path, os.path.dirname(path)) and not path.endswith("-packages"):
        return path  # the standard library: it has Python's version
    try:
        found = {name for name in os.listdir(path or ".") if "." not in name or name.endswith(_MODULES)}
        return sorted(found - {"__pycache__"})  # made by the first run of a new project
    except OSError:  # a zip, or nothing at all
        return witness.status(path)


_MODULES = (".py", ".so", ".pth", ".egg-link", "-info", ".pyc")

_AGAIN: Mapping[str, Callable[..., Answer]] = {
    "contents": witness.contents,
    "status": witness.status,
    "leads": _leads,
    "folder": os.path.isdir,
    "file": os.path.isfile,
    "there": os.path.exists,
    "runnable": _runnable,
    "project": _project,
    "modules": _modules_below,
    "elsewhere": _elsewhere,
    "matches": _matches,
    "readable": _readable,
    "spoiled": _spoiled,
    "module": _module,
}


# ---------------------------------------------------------------------------------------------- pickling


def _backend(module: str) -> Backend:
    backend: Backend = import_module(f"pipeline_runner.backends.{module}").BACKEND
    return backend


def _method(module: str, name: str) -> Method:
    return next(method for method in _backend(module).methods if method.name == name)


def _home(method: str | None, backend: str | None) -> str:
    """The file of ours in which a backend, or a method's backend, is. Errors: LookupError for anybody else's."""
    for name, module in list(sys.modules.items()):
        found = getattr(module, "BACKEND", None) if name.startswith("pipeline_runner.backends.") else None
        if found is not None and (found.name == backend or any(row.name == method for row in found.methods)):
            return name.rpartition(".")[2]
    raise LookupError(method or backend)


class _Pickler(pickle.Pickler):
    """Writes the rows of the table as their names, and of stages only what they say.

    Where a key stands in the file is not there: it is for telling problems, and what has any is not kept.
    """

    def reducer_override(self, value: Any) -> Any:
        match value:
            case Method():
                return _method, (_home(value.name, None), value.name)
            case Backend():
                return _backend, (_home(None, value.name),)
            case Choice(runner_up=Method()):  # whose library a run would import in vain
                return type(value), tuple(vars(replace(value, runner_up=None, why_not="")).values())
            case StageSpec():
                return StageSpec.saying, (vars(value),)
        return NotImplemented
