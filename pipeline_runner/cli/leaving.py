"""How a command ends that is told to: Ctrl-C, SIGTERM and SIGHUP end it at once, with the exit code that says which.

`prun FILE` answers them itself while its run goes on; this is for before and after that, and for other commands.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from pipeline_runner.typed import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_USUAL = (signal.SIG_DFL, signal.default_int_handler)


def answer_signals() -> None:
    """Answer those that nobody has taken or ignored: `nohup … &` ignores some, and that is respected."""
    for number in ENDING:
        if signal.getsignal(number) in _USUAL:
            signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Not SystemExit: code that is interrupted may swallow it, and an interpreter that ends already tells it as an
    # ignored exception and exits with what it had in mind before.
    os._exit(128 + number)
