"""Recipes: what a stage's values depend on. Never what they are, which method made them, or what a stage is called.

A recipe has the function's source with all that it reaches in the project, the versions of the packages that it uses,
the constants, the argument style, the names of `deps` and `outs`, the salt, and the recipes of the stages it reads.
Comments, docstrings and formatting are not in it. The items of sources are told apart call by call, by their digests;
so is what is in `deps`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline_runner.hashing import blake2b
from pipeline_runner.masks import Mask
from pipeline_runner.plan.plan import Plan, StagePlan
from pipeline_runner.record.digests import stable
from pipeline_runner.record.inputs import arguments, awaited, templates, whole_reads
from pipeline_runner.record.packages import ask_again
from pipeline_runner.record.recipe import SOURCE, Recipe
from pipeline_runner.record.seal import load_key, seal
from pipeline_runner.record.source import Reached, source_recipe
from pipeline_runner.spec.command import CommandLine, Known
from pipeline_runner.spec.hidden import mask_of
from pipeline_runner.spec.pipeline import (
    Batches,
    Command,
    Computed,
    FromStage,
    Function,
    Generate,
    Given,
    InFile,
    Matrix,
    Named,
    Range,
    Source,
    StageName,
    Zip,
)
from pipeline_runner.syntax.expressions import SCALARS, Expression, Reference, Text, as_written, references
from pipeline_runner.typed import Any


def recipes(plan: Plan, run: str = "") -> dict[StageName, Recipe]:
    """Each stage's recipe, in the plan's order. Nothing is run or imported.

    `run` is the id of the run that is meant: a stage that is given it computes another thing in each run.
    """
    ask_again()
    _parts.cache_clear()
    _reached.cache_clear()
    hide = _hider(mask_of(plan.pipeline))
    found: dict[StageName, Recipe] = {}
    for name, stage in plan.stages.items():
        try:
            found[name] = _recipe(plan, stage, found, run, hide)
        except _Unknowable as why:
            found[name] = Recipe(unknown=str(why))
    return found


class _Unknowable(Exception):
    """Something has no description that the next process would give again."""


Hide = Callable[[Any], Any]


def _hider(mask: Mask) -> Hide:
    """What stands for a text with a secret in it: something that only this user could make of it."""
    if not mask:
        return lambda value: value
    key = load_key()

    def hide(value: Any) -> Any:
        match value:
            case str() if mask.text(value) != value:
                return f"secret {seal(key, value).hex()}"
            case Mapping():
                return {hide(name): hide(inner) for name, inner in value.items()}
            case list():
                return [hide(inner) for inner in value]
            case tuple():
                return tuple(hide(inner) for inner in value)
        return value

    return hide


def _recipe(plan: Plan, stage: StagePlan, found: Mapping[StageName, Recipe], run: str, hide: Hide) -> Recipe:
    spec, folder = stage.spec, plan.pipeline.folder_of(stage.spec)
    named = whole_reads(spec)
    sources = tuple(dict.fromkeys([*_stages_of(spec.over), *named]))
    numbers = {name: number for number, name in enumerate(sources)}
    before = awaited(spec, named)
    keys = {name: _known(name, found) for name in dict.fromkeys([*sources, *before])}
    parts = {
        "python": "{}.{}".format(*sys.version_info),
        **_function(spec.function, folder, "", widely=spec.setup is not None and _extends_path(spec.setup, folder)),
        **{f"{SOURCE}{number}": keys[name] for name, number in numbers.items()},
        **{f"argument {key}": _told(value, numbers, hide) for key, value in arguments(spec.constants)},
    }
    if plan.pipeline.env or spec.env:
        env = {**plan.pipeline.env, **spec.env}
        parts |= {f"env {key}": _told(value, numbers, hide) for key, value in env.items()}
    # Which files, not what is in them: that is known when the stage begins, and is part of its calls' digests.
    parts |= {f"file {hide(as_written(dep))}": _told(dep, numbers, hide) for dep in spec.deps}
    if spec.outs:
        parts["outs"] = _told(list(spec.outs), numbers, hide)
    if spec.over is not None:
        parts["args"] = str(stage.choice.style)
        parts["over"] = _told(_source(spec.over, numbers), numbers, hide)
        parts["shortest"] = str(spec.shortest)
    if spec.setup is not None:
        parts |= _function(spec.setup, folder, "setup ")
        parts |= {f"setup argument {key}": _told(value, numbers, hide) for key, value in arguments(spec.setup_with)}
    if before:
        parts["needs"] = " ".join(sorted(keys[name] for name in before))
    if spec.workdir is not None:
        parts["workdir"] = spec.workdir
    if spec.salt:
        parts["salt"] = _told(spec.salt, numbers, hide)
    if any(reference.root == "run" for reference in templates(spec)):
        parts["run"] = run
    return Recipe(parts, sources)


def _known(name: StageName, found: Mapping[StageName, Recipe]) -> str:
    key = found[name].key
    if key is None:
        raise _Unknowable(f'it reads stage "{name}", of which nothing can be known again')
    return key.hex()


def _function(function: Function | Command, folder: Path, prefix: str, widely: bool = False) -> dict[str, str]:
    """The parts that a function brings. `widely`: what ran before it may have added to `sys.path`."""
    match function:
        case Command(stdout=stdout):
            return {"function": f"command, its output as {stdout}"}
        case Given(given):
            from pipeline_runner.record.callables import given_parts  # a file has none

            described = given_parts(given, folder)
            if described is None:
                raise _Unknowable(f"{function} holds something that cannot be described")
            return _labelled(described, prefix)
    parts = _parts(*_where(function), folder, prefix, widely)
    if parts is None:
        raise _Unknowable(f"the source of {function} cannot be read")
    return parts


def _extends_path(setup: Function, folder: Path) -> bool:
    """Whether a worker's setup may add to `sys.path`, by which its calls then import."""
    reached = None if isinstance(setup, Given) else _reached(*_where(setup), folder, False)
    return reached is not None and reached.extends_path


def _where(function: Named | InFile) -> tuple[str, str, str]:
    """The kind of place that a function is in, the place, and its name there."""
    if isinstance(function, Named):
        return "module", function.module, function.attribute
    return "file", function.path, function.attribute


@functools.cache  # of a run: many stages may call one function, and have what it brings in common
def _parts(kind: str, where: str, attribute: str, folder: Path, prefix: str, widely: bool) -> dict[str, str] | None:
    """The parts that a function of a module or a file brings; None where its source cannot be read."""
    reached = _reached(kind, where, attribute, folder, widely)
    return None if reached is None else _labelled(reached, prefix)


@functools.cache
def _reached(kind: str, where: str, attribute: str, folder: Path, widely: bool) -> Reached | None:
    """What a function of a module or a file reaches; None where its source cannot be read."""
    return source_recipe(kind, where, attribute, folder, widely=widely)


def _labelled(reached: Reached, prefix: str) -> dict[str, str]:
    return {
        **{f"{prefix}{label}": told for label, told in reached.definitions},
        **{f"package {name}": version for name, version in reached.packages},
    }


def _told(value: Any, numbers: Mapping[StageName, int], hide: Hide) -> str:
    try:
        plain = hide(value) if type(value) in SCALARS else hide(_plain(value, numbers))
        return blake2b(stable(plain), digest_size=16).hexdigest()
    except Exception as error:  # a constant that cannot be pickled: whatever its class raises
        raise _Unknowable("an argument in its `with` cannot be pickled") from error


def _source(source: Source | None, numbers: Mapping[StageName, int]) -> Any:
    """What of a source says which call is which. Items are told by their digests, or are the number itself."""
    match source:
        case None:
            return None
        case FromStage(reference):
            return reference
        case Computed(template):
            return ["items", template]
        case Range(start, _, step):
            return ["range", start, step]
        case Zip(columns, names):
            return ["zip", [_source(column, numbers) for column in columns], list(names)]
        case Batches(inner):
            return ["batches", _source(inner, numbers)]
        case Generate() | _:
            return "items"


def _stages_of(source: Source | None) -> Iterator[StageName]:
    """The stages that a source reads, in its order."""
    match source:
        case FromStage():
            yield source.stage
        case Zip(columns):
            for column in columns:
                yield from _stages_of(column)
        case Batches(inner):
            yield from _stages_of(inner)
        case Matrix(axes):
            for axis in axes.values():
                yield from _stages_of(axis)
        case Computed(template):
            yield from (StageName(str(read.path[0])) for read in references(template) if read.root == "stages")
        case Generate(keywords=keywords):
            for _, value in arguments(keywords):
                for reference in references(value):
                    if reference.root == "stages":
                        yield StageName(str(reference.path[0]))


def _plain(template: Any, numbers: Mapping[StageName, int]) -> Any:
    """A template in which each reference says what it is, and a stage is its number among those that are read."""
    match template:
        case Reference("stages", (name, *path)):
            return _a_reference, numbers[StageName(str(name))], path
        case Reference(root, path):
            return _a_reference, root, list(path)
        case Expression(source, reads):
            return _a_reference, source, [_plain(read, numbers) for read in reads], template.given
        case Text(parts):
            return _a_reference, [_plain(part, numbers) for part in parts]
        case CommandLine(words, shell):
            return _a_reference, shell, [[_plain(piece, numbers) for piece in word] for word in words]
        case Known(value):
            return _a_reference, value
        case Mapping():
            return {key: _plain(value, numbers) for key, value in template.items()}
        case list():
            return [_plain(value, numbers) for value in template]
    return template


def _a_reference() -> None:
    """Only its name is ever used: no value of a user's is taken for a reference."""
