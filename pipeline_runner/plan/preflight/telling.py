"""What there is to say of a function that is not there, or that is called in another way than it is written."""

from __future__ import annotations

from pipeline_runner.errors import Problem
from pipeline_runner.plan.preflight import ask, find, problems, signatures
from pipeline_runner.plan.preflight.look import Use
from pipeline_runner.plan.preflight.modules import Unreadable
from pipeline_runner.plan.preflight.signatures import Callee, Place, Shape
from pipeline_runner.plan.preflight.written import place_of
from pipeline_runner.spec.pipeline import Given, InFile, Named
from pipeline_runner.typed import Any, assert_never

# A name that is wrong. What else an import raises may be otherwise when the stage begins: a file that is not there yet.
_TYPOS = ("ImportError", "NameError", "AttributeError", "SyntaxError")


def tell(use: Use, answer: object, found: list[Problem], warnings: list[str]) -> None:
    """Add what an answer means for a use of the function to what was found."""
    match answer:
        case Callee():
            found += _misfits(use, answer)
            if use.lists_for_ever(answer):
                warnings.append(_endless(use, answer))
        case ask.NoAnswer(why):
            warnings.append(_warning(use, why))
        case ask.Raised(lineage=lineage, place=place) if not set(lineage) & set(_TYPOS):
            at = f" at {_shown(place)}" if place else ""
            warnings.append(_warning(use, f"importing it raises {answer.type}: {answer.message}{at}"))
        case _:
            found.append(_absent(use, answer))


def _warning(use: Use, why: str) -> str:
    where = f"{use.mark}: " if use.mark else ""
    return f'{where}"{use.function}" could not be looked at before the run: {why}'


def _endless(use: Use, callee: Callee) -> str:
    where = f"{use.mark}: " if use.mark else ""
    at = f" ({_shown(callee.place)})" if callee.place else ""
    return (
        f'{where}"{use.function}" yields without end{at}, and the value of a call is the list of all that it yields: '
        f'over: {{generate: "{use.function}"}}  takes items as they are needed'
    )


def _absent(use: Use, answer: Any) -> Problem:
    """The problem of a function that is not there."""
    mark, name = use.mark, str(use.function)
    match answer:
        case find.NoFile(path, known):
            return problems.NoSuchFile(mark=mark, path=path, known=known)
        case find.NoModule(module, known):
            return problems.NoSuchModule(mark=mark, module=module, known=known)
        case find.NoName(owner, missing, known, near, instead):
            return problems.NoSuchName(mark=mark, owner=owner, name=missing, known=known, near=near, instead=instead)
        case find.NoCall(kind, place):
            return problems.NotCallable(mark=mark, name=_name(use.function), kind=kind, place=place)
        case Unreadable(file, number, text, why):
            return problems.NotPython(mark=mark, file=file, line=number, text=text, why=why)
        case ask.NotFound(why, cure):
            return problems.CannotImport(mark=mark, function=name, why=why, cure=cure)
        case ask.NoPackage(package, importer):
            why = f'there is no module "{package}", which it imports'
            file, _, line = importer.rpartition(":")
            at = f"{find.shown(file)}:{line}"
            return problems.CannotImport(mark=mark, function=name, why=why, place=at, cure=_INSTALL)
        case ask.Raised():
            at = _shown(answer.place) if answer.place else ""
            why = f"{answer.type}: {answer.message}"
            return problems.CannotImport(mark=mark, function=name, why=why, place=at)
    raise AssertionError(f"{answer} is no answer that is known: this is our bug")


_INSTALL = "install what has it, or correct its name"


def _shown(place: Place) -> str:
    return str(Place(find.shown(place.file), place.line, place.text))


def _name(function: Named | InFile | Given) -> str:
    return str(function) if isinstance(function, Given) else function.attribute


MOST = 3  # things to tell about one use


def _misfits(use: Use, callee: Callee) -> list[Problem]:
    found: dict[tuple[type, str], Problem] = {}
    for shape, misfit in use.misfits(callee):
        problem = _misfit(use, callee, shape, misfit)
        found.setdefault((type(problem), str(problem.mark)), problem)
    return list(found.values())[:MOST]


def _misfit(use: Use, callee: Callee, shape: Shape, misfit: signatures.Misfit) -> Problem:
    place = callee.place and Place(find.shown(callee.place.file), callee.place.line, callee.place.text)
    common: Any = {"stage": use.stage.name, "function": _name(use.function), "call": str(shape), "place": place}
    match misfit:
        case signatures.UnknownKeyword(name, known):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.UnknownArgument(mark=mark, name=name, known=known, **common)
        case signatures.OnlyByPosition(name):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.ArgumentByPosition(mark=mark, name=name, **common)
        case signatures.Twice(name, position):
            mark = place_of(use.stage, shape.keywords[name])
            return problems.ArgumentTwice(mark=mark, name=name, position=position, **common)
        case signatures.TooMany(most):
            mark = place_of(use.stage, shape.written)
            return problems.TooManyArguments(mark=mark, given=len(shape.positions), most=most, **common)
        case signatures.Missing(names):
            mark = place_of(use.stage, shape.written) if len(shape.written) > 1 else use.mark
            return problems.ArgumentsMissing(mark=mark, names=names, **common)
    assert_never(misfit)
