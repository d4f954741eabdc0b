"""Says of functions which arguments they take, without calling them; in a process of its own for a user's modules.

The runner asks about what it cannot read off a file: names that a module makes when it is imported, C
extensions, classes with bases. It imports nothing of a project itself, since what that does to a process
cannot be undone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline_runner.errors import kind_of
from pipeline_runner.typed import TYPE_CHECKING, Any, TypedDict
from pipeline_runner.worker import limits
from pipeline_runner.worker.functions import FunctionNotFound, PackageMissing, resolve

if TYPE_CHECKING:
    from inspect import Signature

PR_SET_PDEATHSIG = 1


class Described(TypedDict):
    """What is known of a value: of one that is no function, its kind."""

    parameters: list[tuple[str, int, bool]] | None  # name, kind, must be given; None: nobody knows
    place: tuple[str, int, str] | None  # file, line, its first line in short
    kind: str


def described(function: Any) -> Described:
    """What a live value says of itself."""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    signature = _signature(function) if callable(function) else None
    parameters = None
    if signature is not None:
        parameters = [
            (parameter.name, int(parameter.kind), parameter.default is parameter.empty)
            for parameter in signature.parameters.values()
        ]
    return {
        "parameters": parameters,
        "place": _place(function, name, signature),
        "kind": kind_of(function),
    }


def _signature(function: Any) -> Signature | None:
    """What a call must give. A wrapper's own arguments count, not those that it says to have (`functools.wraps`)."""
    from inspect import signature

    if type(function).__name__ == "_lru_cache_wrapper":
        function = function.__wrapped__
    try:
        return signature(function, follow_wrapped=False)
    except (ValueError, TypeError):  # many functions of C do not say
        return None


def _place(function: Any, name: str, signature: Signature | None) -> tuple[str, int, str] | None:
    import inspect  # 4 ms, and most functions are read and not asked

    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    if code is None and inspect.isclass(inner):
        code = getattr(inner.__init__, "__code__", None)
    if code is None or not os.path.isfile(code.co_filename):
        return None
    line = code.co_firstlineno
    try:  # the first line is a decorator's
        lines, _ = inspect.getsourcelines(code)
        line += next(number for number, text in enumerate(lines) if text.lstrip().startswith(("def ", "async def ")))
    except (OSError, StopIteration, SyntaxError):
        pass
    kind = "class" if inspect.isclass(inner) else "def"
    return code.co_filename, line, f"{kind} {name}{_short(signature)}"


def _short(signature: Signature | None) -> str:
    """The arguments without what they are annotated with."""
    if signature is None:
        return "(…)"
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return text if len(text) <= 120 else f"{text[:116]}…)"


# ------------------------------------------------------------------------------------- in a process of its own


def main(given: Mapping[str, Any]) -> None:
    """Answer every question on stdout, as JSON. What an import writes goes nowhere."""
    if sys.platform == "linux":  # a runner that is killed takes this process with it
        limits.C.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    limits.take_in_orphans()
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the runner who hears Ctrl-C, and ends this
    for question in given["questions"]:
        os.environ.update(question["env"])
        said = json.dumps(_answer(question)) + "\n"
        os.write(out, said.encode())  # each at once: the next may never come back
    os.write(out, (json.dumps({"modules": list(_projects())}) + "\n").encode())
    limits.kill_below(os.getpid())  # whatever an import has started
    os._exit(0)


def _projects() -> Iterator[str]:
    """The files of all modules that were imported, without those of Python, of what is installed, and of ours."""
    others = (
        os.path.join(os.path.dirname(os.__file__), ""),
        os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),
    )
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and not file.startswith(others) and not _INSTALLED & set(Path(file).parts):
            yield file


_INSTALLED = {"site-packages", "dist-packages"}


def _answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return described(resolve(question["kind"], question["place"], question["attribute"], question["folder"]))
    except FunctionNotFound as error:
        return {"not_found": error.why, "cure": error.cure}
    except PackageMissing as error:
        return {"package": error.package, "importer": error.importer}
    except BaseException as error:  # an import may do anything, also sys.exit
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        own = [
            frame for frame in frames if "importlib" not in frame.filename and "pipeline_runner" not in frame.filename
        ]
        last = own[-1] if own else None
        return {
            "raised": type(error).__name__,
            "lineage": [kind.__name__ for kind in type(error).__mro__],
            "message": str(error).split("\n")[0][:300],
            "at": None if last is None else (last.filename, last.lineno or 1, last.line or ""),
        }
