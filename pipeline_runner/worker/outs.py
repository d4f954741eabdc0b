"""The files that a call must leave behind: written aside, checked, and put in their places when it has ended well.

Beside each out there is, while a call is at it, a folder of ours. It holds the file that the call writes if it asked
for `${out}`, and is the sign by which the next try knows that this one did not come to its end: what such a try has
left is taken away before the call begins again.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import PurePath

from pipeline_runner.calls import Wrote
from pipeline_runner.errors import PipelineError
from pipeline_runner.hashing import blake2s
from pipeline_runner.typed import Any, NamedTuple
from pipeline_runner.worker import limits
from pipeline_runner.worker.contents import ASIDE, contents

KEYWORD = "${outs}"  # the keyword that brings a call its places: no function of a user's has one of this name
_BEGAN = ".prun-began"  # in the folder aside: whose it is, and since when


class OutMissing(PipelineError):
    """A call has ended, and a file that it was to write is not there."""

    def __init__(self, out: str, given: str = "") -> None:
        super().__init__(out, given)
        self.out = out
        self.given = given  # what the call was to write instead of it

    def __str__(self) -> str:
        where = f', neither there nor as "{self.given}", the name that it was given' if self.given else ""
        return f'the call has ended and not written "{self.out}", which its `outs` name{where}'


class OutIsFolder(PipelineError):
    """A call has written a file in the place of a folder."""

    def __init__(self, out: str) -> None:
        super().__init__(out)
        self.out = out

    def __str__(self) -> str:
        return f'"{self.out}" is a folder, and the call has written a file to be put there: take the folder away first'


class OutBusy(PipelineError):
    """Another runner's call is writing the same file at this moment."""

    def __init__(self, out: str, pid: int) -> None:
        super().__init__(out, pid)
        self.out = out
        self.pid = pid

    def __str__(self) -> str:
        return f'"{self.out}" is being written by another run (pid {self.pid}); let that end first'


class Place(NamedTuple):
    """Where one out of one call is written."""

    shown: str  # as its template gave it
    final: str  # the same, absolute, symbolic links followed
    given: str  # what `${out}` stands for
    folder: bool  # it is a folder: written with a slash at its end
    told: bool  # whether the call is given `given` at all

    @property
    def aside(self) -> str:
        return aside(self.final)

    @property
    def temporary(self) -> str:
        return os.path.join(self.aside, os.path.basename(self.final))


class Places(NamedTuple):
    """All outs of a call."""

    owner: str  # the runner
    call: int  # its number
    each: tuple[Place, ...]


def aside(final: str) -> str:
    """The folder beside an out in which it is written: the same one for each try, so that the next finds it."""
    folder, name = os.path.split(final)
    return os.path.join(folder, ASIDE + blake2s(os.fsencode(name), digest_size=6).hexdigest())


def us() -> str:
    """This process, as others may ask after it: its host, its number, and since when, for numbers come again."""
    return _told(os.getpid())


@cache
def _told(pid: int) -> str:
    return f"{_host()} {pid} {limits.began(pid)}"


@cache
def _host() -> str:
    return blake2s(os.uname().nodename.encode(), digest_size=6).hexdigest()


def writing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose outs are put in their places when it has ended well, and taken away when not."""

    def call(*args: Any, **keywords: Any) -> Any:
        places: Places = keywords.pop(KEYWORD)
        for place in places.each:
            begin(place, places.owner)
        try:
            value = function(*args, **keywords)
            written = finish(places.each)
        except BaseException:
            for place in places.each:
                discard(place)
            raise
        _note(Wrote(places.call, tuple(written)))
        return named(value, {place.given: place.shown for place in places.each})

    return call


_here = threading.local()  # a chunk is one thread's


def _note(wrote: Wrote) -> None:
    _here.wrote = [*getattr(_here, "wrote", ()), wrote]


def told() -> list[Wrote]:
    """What this thread's calls have written since this was asked last."""
    found: list[Wrote] = getattr(_here, "wrote", [])
    if found:
        _here.wrote = []
    return found


def begin(place: Place, owner: str) -> None:
    """Make room for an out, free of what an earlier try has left. Errors: OutBusy, OSError."""
    os.makedirs(os.path.dirname(place.final), exist_ok=True)
    while True:
        try:
            os.mkdir(place.aside)
            break
        except FileExistsError:
            _not_anothers(place, owner)
            discard(place)
    with open(os.path.join(place.aside, _BEGAN), "w", encoding="utf-8") as file:
        file.write(f"{owner} {'folder' if os.path.isdir(place.final) else 'file'}")
    if place.folder:
        os.makedirs(place.temporary if place.told else place.final, exist_ok=True)


def _not_anothers(place: Place, owner: str) -> None:
    whose, _ = _began(place.aside)
    host, pid, since = whose.split() if whose else ("", "", "")
    if whose != owner and host == _host() and _alive(pid, since):
        raise OutBusy(place.shown, int(pid))


def _began(folder: str) -> tuple[str, str]:
    """Whose the folder is, and what was there before; empty where that was not written any more."""
    with suppress(OSError, ValueError), open(os.path.join(folder, _BEGAN), encoding="utf-8") as file:
        host, pid, since, kind = file.read().split()
        return f"{host} {pid} {since}", kind
    return "", ""


def _alive(pid: str, since: str) -> bool:
    """Whether that very process is at work: another one may have its number by now."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        pass
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    return limits.state(int(pid)) not in ("Z", "X") and limits.began(int(pid)) == since


def finish(places: Sequence[Place]) -> list[tuple[str, str]]:
    """Put all outs in their places: (path, digest of what is in it) of each. Errors: OutMissing, OutIsFolder, with none
    moved."""
    moved = [place for place in places if _written_aside(place)]
    for place in places:
        if place not in moved and not _there(place):
            raise OutMissing(place.shown, place.given if place.told else "")
        if place in moved and _is_folder(place.final) and not _is_folder(place.temporary):
            raise OutIsFolder(place.shown)
    for place in moved:
        _put(place)
    digests = [(place.final, contents(place.final)) for place in places]
    for place in places:
        shutil.rmtree(place.aside)
    return digests


def _there(place: Place) -> bool:
    """Whether the call has written to the place itself. One that asked for `${out}` has not, if what is there is a file
    from before: it may be what an earlier call wrote, or anybody."""
    if not os.path.exists(place.final):
        return False
    return not place.told or os.path.isdir(place.final) or _since(place.final, place.aside)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _since(path: str, folder: str) -> bool:
    """Whether a file was written since the try began whose folder that is. Errors: OSError."""
    # Not its mtime, which a call may set; and both by the clock of one file system.
    return os.lstat(path).st_ctime_ns >= os.stat(os.path.join(folder, _BEGAN)).st_mtime_ns


def _written_aside(place: Place) -> bool:
    if not os.path.lexists(place.temporary):
        return False
    # The folder that we made and nobody has used does not replace the one that the call has filled itself.
    empty = place.folder and os.path.isdir(place.temporary) and not os.listdir(place.temporary)
    return not (empty and os.path.isdir(place.final))


def _put(place: Place) -> None:
    if _is_folder(place.final):
        # A folder that has something in it cannot be renamed over. Killed between the two, neither is accepted.
        os.rename(place.final, os.path.join(place.aside, ".prun-was"))
    os.replace(place.temporary, place.final)


def discard(place: Place) -> None:
    """Take away what a try has left that did not come to its end: what it wrote aside, and a file that it wrote itself.

    Nothing that was there before it began; of folders, none that was.
    """
    with suppress(OSError):
        if not _is_folder(place.final):
            if _since(place.final, place.aside):
                os.unlink(place.final)
        elif _began(place.aside)[1] == "file":
            shutil.rmtree(place.final)
    with suppress(OSError):
        shutil.rmtree(place.aside)


def sweep(finals: Iterable[str]) -> None:
    """Take away what calls of this process' run have left beside these outs: all of them have ended, or were ended."""
    for final in finals:
        if os.path.isdir(aside(final)) and _began(aside(final))[0] in (us(), ""):
            discard(Place(final, final, "", folder=False, told=False))


def sweep_below(folder: str) -> None:
    """Take away the signs of tries, here and below, whose runner is no more; but none beside a file that was written
    since: the next try is to know it for a half."""
    for path, folders, files in os.walk(folder):
        for name in (name for name in folders if name.startswith(ASIDE)):
            sign = os.path.join(path, name)
            host, pid, since = (_began(sign)[0] or "- - -").split()
            finals = (os.path.join(path, other) for other in (*folders, *files))
            if host == _host() and not _alive(pid, since) and not any(_of(sign, final) for final in finals):
                shutil.rmtree(sign, ignore_errors=True)
        folders[:] = [name for name in folders if not name.startswith(".")]


def _of(sign: str, final: str) -> bool:
    """Whether this is what the try writes that the sign is of, and it was written since."""
    with suppress(OSError):
        return aside(final) == sign and _since(final, sign)
    return False


def named(value: Any, names: dict[str, str]) -> Any:
    """A value in which the names that outs had for a while are those that they have now: calls like to return them."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, PurePath):
        return type(value)(names[str(value)]) if str(value) in names else value
    if type(value) in (list, tuple):
        return type(value)(named(one, names) for one in value)
    if type(value) is dict:
        return {key: named(one, names) for key, one in value.items()}
    return value
