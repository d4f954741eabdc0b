"""Kills workers at random, so that users can see for themselves that their pipeline minds no death."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from random import Random

from pipeline_runner.errors import UsageError

MOST = 0.9  # with more, a run might never end


class Chaos:
    """With the probability `kill`, a worker that begins a chunk is killed.

    Its calls are innocent: they are made again without a try being counted, so that the result is
    the same as without chaos even where nothing is retried. What a death costs, and what a call
    that runs twice does to the world outside, is as in a real one.
    """

    def __init__(self, kill: float, seed: int | None = None) -> None:
        self._kill = kill
        self._random = Random(seed)
        self._struck: set[int] = set()

    def strike(self, pid: int) -> bool:
        """Perhaps end this worker."""
        if pid == os.getpid() or pid in self._struck or self._random.random() >= self._kill:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self._struck.add(pid)
        return True

    def killed(self, pid: int) -> bool:
        """Whether it is dead by us. Asked once, when its end is known."""
        struck = pid in self._struck
        self._struck.discard(pid)
        return struck


def chaos_from(told: str | Mapping[str, float] | None) -> Chaos | None:
    """`kill=0.05`, or `kill=0.05,seed=7`; or the same as a mapping. Errors: UsageError."""
    if not told:
        return None
    pairs = dict(told) if isinstance(told, Mapping) else _pairs(told)
    try:
        kill, seed = float(pairs.pop("kill")), pairs.pop("seed", None)
        seed = None if seed is None else int(seed)
    except (KeyError, ValueError, TypeError):
        raise _wrong(told) from None
    if pairs or not 0 <= kill <= MOST:
        raise _wrong(told)
    return Chaos(kill, seed)


def _pairs(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in text.split(","))}


def _wrong(told: object) -> UsageError:
    return UsageError(f"chaos {told}: it is written kill=P or kill=P,seed=N, with P from 0 to {MOST}: kill=0.05")
