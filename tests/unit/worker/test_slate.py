"""What a worker writes down for the runner to read."""

from __future__ import annotations

import os

from pipeline_runner.worker.slate import At, Slate, read


def test_what_was_written_last_is_read():
    slate = Slate()
    assert read(slate.file) is None
    slate.write(At(7, alone=True))
    assert read(slate.file) == At(7, alone=True)
    slate.write(At(1 << 40, alone=False))
    assert read(slate.file) == At(1 << 40, alone=False)
    slate.wipe()
    assert read(slate.file) is None
    os.close(slate.file)


def test_of_a_writer_that_died_between_two_words_the_newer_counts():
    slate = Slate()
    slate.write(At(7, alone=True))
    slate._words[0] = 8 << 1
    assert read(slate.file) == At(8, alone=False)
    os.close(slate.file)


def test_what_a_dead_process_wrote_stays():
    slate = Slate()
    pid = os.fork()
    if not pid:
        slate.write(At(3, alone=False))
        os._exit(0)
    os.waitpid(pid, 0)
    assert read(slate.file) == At(3, alone=False)
    os.close(slate.file)
