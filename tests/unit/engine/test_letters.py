"""What comes home from a cluster is read as if a beacon had told it."""

from __future__ import annotations

from pipeline_runner.calls import Cause, Done, Lost
from pipeline_runner.engine import letters
from pipeline_runner.engine.messages import ChunkLost, ChunkOver, LinesSaid


def test_a_letter_brings_its_messages_in_their_order():
    told = [LinesSaid(1, 7, [(0, "stdout", "hello")]), ChunkOver(1, 7, 42, [Done(0, 0, 1, b"x")], 0.5)]

    assert list(letters.read(letters.write(told))) == told


def test_a_lost_chunk_has_the_librarys_own_words():
    (lost,) = letters.read(Lost(7, "it died (KilledWorker)"))

    assert isinstance(lost, ChunkLost)
    assert (lost.chunk, lost.failure.cause, lost.failure.message) == (7, Cause.LOST, "it died (KilledWorker)")


def test_a_number_brings_nothing():
    assert list(letters.read(7)) == []
