"""Runs a command: its stdout becomes the call's value, its stderr is what the call says, and nothing of it is left.

The command has a session of its own, in which whatever it leaves in the background is ended with it. Its output
comes through pipes and not, as that of other children, straight into the worker's files (worker/capture.py): a
script that opens /dev/stderr would empty such a file.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from pipeline_runner.errors import PipelineError
from pipeline_runner.typed import Any, Literal, NamedTuple
from pipeline_runner.worker import limits

Stdout = Literal["text", "lines", "json", "none"]

PIECE = 1 << 16  # bytes that are read at once
TAIL = 1 << 12  # of stderr that are kept for the failure
LONGEST = 300  # characters of its last line that are told
BEGINS = 60  # bytes of an output that is no JSON that are told
ONE_ARGUMENT = 1 << 17  # bytes that Linux takes in one piece
LOOK_S = 0.02  # where the kernel cannot tell that a process has ended


class Invocation(NamedTuple):
    """A command, filled in."""

    argv: tuple[bytes, ...]
    variables: tuple[tuple[str, bytes], ...] = ()  # what its text's first line takes out of its environment


class Refused(NamedTuple):
    """A command that cannot be given what its call was given."""

    why: str


class CannotRun(PipelineError):
    """A command that was not started: there is no such program, or it cannot be given its arguments."""


class CommandFailed(PipelineError):
    """A command ended with another exit code than 0, or by a signal."""

    def __init__(self, code: int, last: str = "") -> None:
        super().__init__(code, last)
        self.code = code  # below 0: by this signal
        self.last = last  # line of its stderr

    def __str__(self) -> str:
        return how(self.code) + (f": {self.last}" if self.last else "")


class GivenUp(CommandFailed):
    """A command was ended since nobody waits for its call any more."""


class BadOutput(CommandFailed):
    """A command ended well, and what it wrote is not what `stdout` says."""

    def __init__(self, why: str, begins: str) -> None:
        super().__init__(0, why)
        self.args = (why, begins)
        self.begins = begins

    def __str__(self) -> str:
        return f"its output is no JSON: {self.last}" + (f"; it begins with {self.begins}" if self.begins else "")


def how(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by signal {-code}{_named(-code)}"
    if code > 128 and _named(code - 128):  # a shell tells so of the command that it ran last
        return f"exit code {code} (killed by signal {code - 128}{_named(code - 128)})"
    return f"exit code {code}"


def _named(number: int) -> str:
    try:
        return f", {signal.Signals(number).name}"
    except ValueError:
        return ""


def run(command: Invocation | Refused, stdout: Stdout) -> Any:
    """Run it to its end and give what it wrote, as `stdout` says. Errors: CommandFailed, CannotRun."""
    if isinstance(command, Refused):
        raise CannotRun(command.why)
    strangers = _children()
    pid, out, err = _started(command)
    heard = _Heard(pid, out, err, value=stdout != "none", alone=strangers is not None)
    if strangers is None:
        _of_threads[threading.get_ident()] = pid
    try:
        code = heard.to_the_end()
    finally:
        given_up = strangers is None and _of_threads.pop(threading.get_ident(), None) is None
        _end(pid, strangers)
        heard.rest()
    if given_up:
        raise GivenUp(code)
    if code:
        _write(1, heard.stdout)  # now it is nobody's value, and often it says what went wrong
        raise CommandFailed(code, _last_line(heard.said.tail))
    return _value(heard.stdout, stdout)


# Its beginning.

_BACK_TO_USUAL = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)  # which a worker, or Python, ignores


def _started(command: Invocation) -> tuple[int, int, int]:
    """Its pid, and where its stdout and its stderr come out. Errors: CannotRun; OSError of the system's own limits."""
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    # As bytes: posix_spawn turns os.environ itself into them one by one, which took 60 µs of 320.
    environment: Mapping[Any, bytes] = {**os.environb, **dict(command.variables)}
    try:
        pid = os.posix_spawnp(
            command.argv[0],
            command.argv,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_end, 1),
                (os.POSIX_SPAWN_DUP2, err_end, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_BACK_TO_USUAL,
        )
    except OSError as error:
        os.close(out)
        os.close(err)
        raise _told(error, command) from error
    finally:
        os.close(out_end)
        os.close(err_end)
    return pid, out, err


def _told(error: OSError, command: Invocation) -> Exception:
    """Why it could not be started, where that is the command's own."""
    name = os.fsdecode(command.argv[0])
    match error.errno:
        case errno.E2BIG:
            return CannotRun(_too_long(command))
        case errno.ENOENT | errno.ENOTDIR:
            return CannotRun(f'there is no command "{name}"' + ("" if "/" in name else " on the PATH"))
        case errno.EACCES:
            return CannotRun(f'"{name}" may not be run: {error.strerror}')
        case errno.ENOEXEC:
            return CannotRun(f'"{name}" is no program; a script\'s first line is one such as  #!/bin/sh')
    return error


def _too_long(command: Invocation) -> str:
    given = [*command.argv, *(value for _, value in command.variables)]
    longest = max(map(len, given))
    return (
        f"what it is given is too long for a command line: {sum(map(len, given)):,} bytes, the longest piece "
        f"{longest:,}; the system takes {ONE_ARGUMENT:,} in one piece and {os.sysconf('SC_ARG_MAX'):,} in all. "
        "Write it to a file, and give the command the file's name"
    )


# What it writes.


class _Passed:
    """Passes on what a command writes, and keeps the end of it. Where others write too, whole lines of it."""

    def __init__(self, descriptor: int, *, lines: bool) -> None:
        self._descriptor = descriptor
        self._lines = lines
        self._begun = b""
        self.tail = b""

    def take(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-TAIL:]
        data, self._begun = self._begun + data, b""
        if self._lines and len(data) < PIECE:
            whole, newline, self._begun = data.rpartition(b"\n")
            data = whole + newline
        _write(self._descriptor, data)

    def end(self) -> None:
        _write(self._descriptor, self._begun)


class _Heard:
    """What a command writes, taken as it comes: it waits for nobody, and nobody for a child that it leaves behind."""

    def __init__(self, pid: int, out: int, err: int, *, value: bool, alone: bool) -> None:
        self._pid = pid
        self.stdout = bytearray()
        self.said = _Passed(2, lines=not alone)
        self._printed = _Passed(1, lines=not alone)
        self._takes: dict[int, Callable[[bytes], object]] = {
            out: self.stdout.extend if value else self._printed.take,
            err: self.said.take,
        }
        self._poll = select.poll()
        for descriptor in self._takes:
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)

    def to_the_end(self) -> int:
        """Its exit code; below 0: the signal that killed it."""
        pidfd = -1
        with suppress(AttributeError, OSError):  # not Linux, or a kernel older than 5.3
            pidfd = os.pidfd_open(self._pid)
            self._poll.register(pidfd, select.POLLIN)
        try:
            while True:
                for descriptor, _ in self._poll.poll(None if pidfd >= 0 else LOOK_S * 1000):
                    self._read(descriptor)
                ended, status = os.waitpid(self._pid, os.WNOHANG)
                if ended:
                    return os.waitstatus_to_exitcode(status)
        finally:
            if pidfd >= 0:
                self._poll.unregister(pidfd)
                os.close(pidfd)

    def rest(self) -> None:
        """Take what is still in the pipes, now that nobody writes."""
        for descriptor in self._takes:
            with suppress(BlockingIOError):  # somebody who could not be ended holds it
                while self._read(descriptor):
                    pass
            os.close(descriptor)
        self.said.end()
        self._printed.end()

    def _read(self, descriptor: int) -> bool:
        """Whether there was anything."""
        if descriptor not in self._takes:
            return False
        data = os.read(descriptor, PIECE)
        if data:
            self._takes[descriptor](data)
        else:
            with suppress(KeyError):
                self._poll.unregister(descriptor)
        return bool(data)


def _write(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "backslashreplace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last if len(last) <= LONGEST else last[:LONGEST] + "…"


# What it leaves.

_of_threads: dict[int, int] = {}
"""By thread, the command that it waits for, where calls are threads: they cannot be ended, and their commands can."""


def end_those_of(threads: Iterable[int]) -> None:
    """End the commands that these threads wait for."""
    for thread in threads:
        pid = _of_threads.pop(thread, None)
        if pid is not None:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


atexit.register(lambda: end_those_of(list(_of_threads)))


def _children() -> Collection[int] | None:
    """Who is below this process before the command is; None where other calls run beside it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return limits.children(os.getpid())


def _end(pid: int, strangers: Collection[int] | None) -> None:
    """End what is left of a command: its session, and in a worker all that has left it."""
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # it has been waited for, unless the wait was broken off
        os.waitpid(pid, 0)
    if strangers is None or not limits.children(os.getpid()).difference(strangers):
        return
    limits.end_all(lambda: _left(strangers))
    for corpse in limits.children(os.getpid()).difference(strangers):
        with suppress(ChildProcessError):
            os.waitpid(corpse, os.WNOHANG)


def _left(strangers: Collection[int]) -> list[int]:
    found = [child for child in limits.children(os.getpid()).difference(strangers) if not limits.is_corpse(child)]
    return [*found, *(one for child in found for one in limits.below(child))]


# What it gives.


def _value(written: bytearray, stdout: Stdout) -> Any:
    match stdout:
        case "none":
            return None
        case "json":
            return _from_json(written)
        case "lines":
            return [_text(line) for line in written.removesuffix(b"\n").split(b"\n")] if written else []
        case "text":
            end = len(written)
            while end and written[end - 1] == ord("\n"):  # as `$(…)` does
                end -= 1
            del written[end:]  # in place: it may be large
            return _text(written)


def _text(data: bytes | bytearray) -> str:
    """As names of files are read: what is not text comes back as it was when it is given to a command again."""
    return data.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _from_json(written: bytearray) -> Any:
    import json  # only who asks for it

    if not written.strip():
        raise BadOutput("there is none", "")
    begins = repr(written[:BEGINS].decode("utf-8", "replace"))
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        raise BadOutput(f"line {error.lineno}, column {error.colno}: {error.msg}", begins) from None
    except (ValueError, RecursionError) as error:
        raise BadOutput(str(error), begins) from None
