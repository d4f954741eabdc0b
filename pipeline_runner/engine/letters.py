"""Letters from a cluster: all the news of one chunk, written where it ran, and read here as if a worker told it.

Workers on other hosts cannot reach the beacon, so what they would have told comes back as the receipt.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence

from pipeline_runner.calls import Cause, Failure, Lost, Receipt
from pipeline_runner.engine.messages import ChunkLost, Message
from pipeline_runner.typed import NamedTuple
from pipeline_runner.worker.job import Job


class Brief(NamedTuple):
    """What a deputy must know of a chain: its job, and how its workers are to be kept."""

    run: str  # whose workers they are: two runs share none
    job: Job
    timeout_s: float | None
    memory_bytes: int | None
    most: int | None  # chunks that one worker may have


def write(messages: Sequence[Message]) -> bytes:
    return pickle.dumps(list(messages), pickle.HIGHEST_PROTOCOL)


def read(receipt: Receipt) -> Iterator[Message]:
    """What a receipt tells. A number tells nothing: its news came by the beacon."""
    match receipt:
        case bytes():
            yield from pickle.loads(receipt)
        case Lost(chunk, why):
            yield ChunkLost(chunk, 0, None, Failure(Cause.LOST, "WorkerDied", why, lineage=("WorkerDied",)))
        case _:
            pass
