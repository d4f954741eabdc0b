"""Where a module's source is; of one that was installed, at which version it is. Nothing is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from pipeline_runner.witness import digest, saw


@cache
def project_file(name: str, folder: Path) -> Path | None:
    """The file of a module of the project: one in its folder, or one elsewhere on the path that nobody has installed
    (an editable install, PYTHONPATH). A compiled one goes before a source. None for all others, and for a folder
    without an `__init__.py`."""
    top, *inner = name.split(".")
    if not top or top in sys.stdlib_module_names:
        return None
    found = _found(folder, top, inner)
    saw("project", name, str(folder), answer="" if found is None else str(found))
    return found


def _found(folder: Path, top: str, inner: list[str]) -> Path | None:
    for base in _bases(folder, top):
        path = base.joinpath(*inner)
        names = (f"{path}/__init__.py", *(f"{path}{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".py")))
        found = next(filter(os.path.isfile, names), None)
        if found is not None:
            return Path(found)
    return None


def is_compiled(file: Path) -> bool:
    """Whether a module's file is machine code."""
    return file.name.endswith(tuple(EXTENSION_SUFFIXES))


@cache
def project_folder(name: str, folder: Path) -> bool:
    """Whether the project has a folder of this name, which may be a package without `__init__.py`."""
    top, *inner = name.split(".")
    if not top or top in sys.stdlib_module_names:
        return False
    for base in _bases(folder, top):
        path = str(base.joinpath(*inner))
        found = os.path.isdir(path)
        saw("folder", path, answer=found)
        if found:
            return True
    return False


def project_modules(package: str, folder: Path) -> tuple[Path, ...]:
    """The files of all modules in a package of the project and below it; "" is the project's folder. In folders
    without modules nothing is looked for, so that a project's data is not."""
    top, *inner = package.split(".")
    if top in sys.stdlib_module_names:
        return ()
    bases = [base.joinpath(*inner) for base in _bases(folder, top)] if top else [folder]
    found = tuple(file for base in bases for file in _below(os.fspath(base)))
    saw("modules", package, str(folder), answer=digest("\n".join(map(str, found)).encode("utf-8", "surrogatepass")))
    return found


def _below(folder: str) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    yield from (Path(entry.path) for entry in entries if entry.name.endswith((".py", *EXTENSION_SUFFIXES)))
    for entry in entries:
        if entry.name.isidentifier() and entry.is_dir(follow_symlinks=False):
            inner = list(_below(entry.path))
            if any(file.parent == Path(entry.path) for file in inner):
                yield from inner


def elsewhere(top: str, folder: Path) -> tuple[Path, ...]:
    """The folders other than the project's from which a top-level module could be imported if `sys.path` had them:
    below the project's folder, and above it or in a `src` there; "" is those below that have any module."""
    if top in sys.stdlib_module_names:
        return ()
    below = _importable(folder)
    beside = [Path(at, *inner) for at in folder.parents for inner in ((), ("src",), ("lib",))] if top else []
    found = (
        *(below.get(top, ()) if top else dict.fromkeys(at for places in below.values() for at in places)),
        *(at for at in beside if at != folder and _has(at, top)),
    )
    saw("elsewhere", top, str(folder), answer=digest("\n".join(map(str, found)).encode("utf-8", "surrogatepass")))
    return found


def _has(place: Path, top: str) -> bool:
    names = (f"{place}/{top}{end}" for end in ("/__init__.py", ".py", *EXTENSION_SUFFIXES))
    return any(map(os.path.isfile, names)) and not installed(place / top)


@cache
def _importable(folder: Path) -> dict[str, list[Path]]:
    """By the names of modules, and of folders that have modules in or below them: where they are, below a folder.

    Not in hidden folders, environments, and where other things are installed.
    """
    found: dict[str, list[Path]] = {}

    def look(at: str, inner: bool) -> bool:
        try:
            with os.scandir(at) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            return False
        names = {entry.name for entry in entries}
        if "pyvenv.cfg" in names:
            return False
        modules = {name.partition(".")[0] for name in names if name.endswith((".py", *EXTENSION_SUFFIXES))}
        folders = (entry for entry in entries if not entry.name.startswith(".") and entry.name not in _OTHERS)
        modules.update(
            entry.name for entry in folders if entry.is_dir(follow_symlinks=False) and look(entry.path, inner=True)
        )
        for name in sorted(modules) if inner else ():
            found.setdefault(name, []).append(Path(at))
        return bool(modules)

    look(os.fspath(folder), inner=False)
    return found


_OTHERS = frozenset({"site-packages", "dist-packages", "node_modules", "__pycache__"})


def _bases(folder: Path, top: str) -> Iterator[Path]:
    yield folder / top
    yield from _roots(top, tuple(sys.path))


@cache
def package_version(top: str) -> str:
    """The version of what a top-level module was installed with; "" where nothing says one.

    Mostly the distribution has the module's name, and is found in 1 ms. Else the lists of files are looked
    through: 10 ms for 50 distributions, where `packages_distributions()` takes 150.
    """
    from importlib.metadata import PackageNotFoundError, distributions, version  # 20 ms

    try:
        return version(top)
    except PackageNotFoundError:
        pass
    for distribution in distributions():
        files = "\n" + (distribution.read_text("RECORD") or "")
        if f"\n{top}/" in files or f"\n{top}.py," in files or f"\n{top}." in files:
            return f"{distribution.metadata['Name']} {distribution.version}"
    return ""


def ask_again() -> None:
    """What is there may be another thing by now: each run asks anew, and for each module and package once."""
    project_file.cache_clear()
    project_folder.cache_clear()
    package_version.cache_clear()
    _roots.cache_clear()
    _importable.cache_clear()


@cache
def _roots(top: str, path: tuple[str, ...]) -> tuple[Path, ...]:
    """Where a top-level module is that is neither in the project's folder nor installed. `path` is sys.path."""
    found = []
    for finder in sys.meta_path if top not in sys.builtin_module_names else ():
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(top, None) if find is not None else None
        except Exception:  # a finder is anybody's code
            continue
        if spec is None:
            continue
        places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
        found = [Path(place) for place in places]
        break
    bare = [place.with_name(top) if place.suffix == ".py" or is_compiled(place) else place for place in found]
    return tuple(place for place in bare if place.is_absolute() and not installed(place))


@cache
def installed(place: Path) -> bool:
    """Whether a module's file or folder is where packages are installed, or Python's own are."""
    at = place.resolve()
    return "site-packages" in at.parts or "dist-packages" in at.parts or any(at.is_relative_to(p) for p in _places())


@cache
def _places() -> tuple[Path, ...]:
    from sysconfig import get_path

    return tuple({Path(get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib", "platstdlib")})
