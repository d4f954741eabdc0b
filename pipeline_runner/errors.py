"""Errors as values: fields first, their sentence made from them; every one says where, what and what to do."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable, Iterator, Sequence

from pipeline_runner.classes import dataclass
from pipeline_runner.marks import Mark


class PipelineError(Exception):
    """The root of all errors that a user of this package can meet."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a pipeline, before anything runs.

    A subclass adds the fields of its kind and says its sentence; the class name in kebab case is
    its `code`, the stable name for `--format json` and for editors.
    """

    mark: Mark | None

    def sentence(self) -> str:
        """What is wrong: lower case, the user's own word quoted, no full stop."""
        raise NotImplementedError

    def advice(self) -> Sequence[str]:
        """What to do, a line each; the known names, the nearest method, the other way."""
        return ()

    @property
    def code(self) -> str:
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

    def __str__(self) -> str:
        where = f"{self.mark}: " if self.mark else ""
        snippet = self.mark.snippet() if self.mark else ""
        lines = [where + self.sentence(), *([snippet] if snippet else []), *(f"  {line}" for line in self.advice())]
        return "\n".join(lines)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """As people read them, each once: down each file, the files as they were met. Those without a place come first."""
    found = list(_once(problems))
    files = {name: number for number, name in enumerate(dict.fromkeys(p.mark.file for p in found if p.mark))}
    return sorted(found, key=lambda p: (files[p.mark.file], p.mark.line, p.mark.column) if p.mark else (-1, 0, 0))


_NOT_TOLD_APART = ("mark", "stage", "stages", "known")  # the last may be thousands of names


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """What is wrong with a default, or with a file that several stages are, is wrong once and not in each stage."""
    seen: set[str] = set()
    for problem in problems:
        said = {name: value for name, value in vars(problem).items() if name not in _NOT_TOLD_APART}
        key = f"{problem.mark}: {problem.code} {said}"
        if problem.mark is None or key not in seen:
            seen.add(key)
            yield problem


class Problems(PipelineError):
    """Every problem that was found, together: nobody should have to fix a file one error at a time."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], sound: object = None) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)
        self.sound = sound  # what is left of the pipeline without what is wrong (a PipelineSpec), if anything

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(PipelineError):
    """The command line, or a call of the API, asks for what there is not."""

    exit_code = 2


class ClusterUnreachable(PipelineError):
    """Nobody answers where a cluster is said to be, or it cannot be started: trying again at once would not help."""

    def __init__(self, what: str, where: str, why: object) -> None:
        super().__init__(what, where, why)
        self.what = what
        self.where = where
        self.why = why

    def __str__(self) -> str:
        why = " ".join(str(self.why).split()) or type(self.why).__name__
        return f"cannot reach {self.what} at {self.where}: {why}"


class TooFewDescriptors(PipelineError):
    """The operating system lets this process open no more files, pipes and sockets."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"no more file descriptors: {most} may be open at once; allow more with `ulimit -n 4096`")


class NoRoom(PipelineError):
    """What is to be said or written has no room where it goes: a disk, or a quota, that is full."""

    def __init__(self, path: str | None, why: str) -> None:
        self.path = path
        where = "what prun was told to write to" if path is None else f'"{path}"'
        super().__init__(f"cannot write to {where}: {why.lower()}; make room, and run it again")


class NoValue(PipelineError):
    """A `${…}` that has no value for this call."""


def told_plainly(error: BaseException) -> BaseException:
    """What the operating system refused, as an error of ours where there is one."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return TooFewDescriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom(error.filename, error.strerror or str(error))
    return error


def nearest(word: str, known: Sequence[str], *, least: float = 0.6) -> str | None:
    """The known name that `word` was most likely meant to be, or None. `least`: how much of both is the same."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=least)
    return next((name for name in known if found and name.lower() == found[0]), None)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean "…"?`, or nothing: the tail of a sentence about an unknown name."""
    guess = nearest(word, known)
    return f'; did you mean "{guess}"?' if guess else ""


def listed(names: Sequence[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"


def kind_of(value: object) -> str:
    """The name of its class, with what English has before it: `a list`, `an int`."""
    word = type(value).__name__
    return f"{'an' if word[:1].lower() in 'aeio' else 'a'} {word}"
