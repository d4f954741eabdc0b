"""A worker process of a deputy: reads chunks from a pipe and performs them, as the workers of any pool do."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection

from pipeline_runner.typed import Any
from pipeline_runner.worker.brand import Brand
from pipeline_runner.worker.start import begin

CODE = "import sys; sys.path.insert(0, sys.argv.pop()); import pipeline_runner.worker.hand as h; h.main()"


def main() -> None:
    """`hand.main()` with the descriptor of the pipe, the number of the brand (0: none) and the pid of the deputy."""
    pipe, number, deputy = map(int, sys.argv[1:])
    os.set_inheritable(pipe, False)  # what a call starts must not keep it open
    chunks: Connection[Any, Any] = Connection(pipe, writable=False)
    begin(Brand(deputy, number) if number else None)
    sys.path[:] = chunks.recv()
    from pipeline_runner.worker.perform import row

    while True:
        try:
            ticket, payload = chunks.recv()
        except EOFError:
            return
        row(ticket, payload)
