"""What the command itself is connected to: descriptors that are closed, and watchers who leave."""

from __future__ import annotations

import errno
import io
import os
import sys

from pipeline_runner.errors import PipelineError
from pipeline_runner.typed import Any, NoReturn


class ResultsUnwritten(PipelineError):
    """What was asked for cannot be written to stdout."""

    def __init__(self, why: OSError) -> None:
        super().__init__(
            f"stdout: what was asked for cannot be written: {why.strerror}\n"
            "  a run's values are kept; send them elsewhere with `prun --resume`, which runs no finished call again"
        )


class Steady(io.TextIOWrapper):
    """stderr for a run: when nobody can read it any more, the run goes on unwatched.

    `prun … 2>&1 | head -1` and a log on a full disk would otherwise end hours of work, for the
    sake of a line about it.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as gone:
            self._unwatched(gone)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as gone:
            self._unwatched(gone)

    def _unwatched(self, gone: OSError) -> None:
        if gone.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            raise gone
        _lead_nowhere(self.fileno())


class Told(io.TextIOWrapper):
    """stdout, whose refusal is told as what it is.

    Errors: ResultsUnwritten; BrokenPipeError when the reader has left.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as why:
            self._tell(why)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as why:
            self._tell(why)

    def _tell(self, why: OSError) -> NoReturn:
        if isinstance(why, BrokenPipeError):
            raise why
        _lead_nowhere(self.fileno())  # what is still buffered would fail once more at exit
        raise ResultsUnwritten(why) from why


def steady() -> None:
    """Have the three standard descriptors open, stderr unable to end a run, and stdout able to say what refuses it.

    A closed descriptor would be the first to be given to whatever is opened next, and what is
    printed would go into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _lead_nowhere(descriptor)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  the process's own
    sys.stdout = _over(sys.stdout, 1, Told)
    sys.stderr = _over(sys.stderr, 2, Steady)


def nobody_reads() -> None:
    """The reader of stdout has left: what is still buffered for them would fail once more at exit."""
    _lead_nowhere(1)


def _over(stream: Any, descriptor: int, kind: type[io.TextIOWrapper]) -> Any:
    """The stream as one of this kind, unless somebody has put their own in its place."""
    if stream is None:
        return kind(open(descriptor, "wb", closefd=False), encoding="utf-8", errors="backslashreplace")
    if type(stream) is not io.TextIOWrapper or stream.fileno() != descriptor:
        return stream
    return kind(
        open(descriptor, "wb", closefd=False),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    os.set_inheritable(descriptor, True)
