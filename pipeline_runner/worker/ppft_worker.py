"""A ppft worker without its traps: the wires to its server are out of reach of the code that it runs."""

from __future__ import annotations

import os
import sys

from pipeline_runner.worker.brand import Brand
from pipeline_runner.worker.start import begin


def main(brand: Brand | None) -> None:
    """Serve ppft's own protocol until the server goes away.

    ppft talks over file descriptors 0 and 1, so anything written to stdout by C code or by a child
    process would break it, and a child process would keep the pipe open after our death. Both
    wires move to descriptors that nobody inherits; 0 becomes empty, and 1 joins 2.
    """
    wire_in, wire_out = os.dup(0), os.dup(1)
    begin(brand)
    with open(os.devnull, "rb") as empty:
        os.dup2(empty.fileno(), 0)
    os.dup2(2, 1)
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdin = open(wire_in, encoding="latin-1", newline="")  # noqa: SIM115 - lives as long as the process
    sys.__stdout__ = open(wire_out, "w", encoding="latin-1", newline="")  # type: ignore[misc]  # noqa: SIM115

    from ppft.__main__ import _WorkerProcess

    worker = _WorkerProcess()
    # ppft sends prints back beside the value and prints them on the runner's stdout, where
    # results go; and pathos' amap takes any printed text for a failure.
    sys.stdin, sys.stdout, sys.stderr = open(os.devnull), stdout, stderr  # noqa: SIM115
    worker.run()
