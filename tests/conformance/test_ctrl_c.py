"""Ctrl-C reaches every process of a terminal; only the runner may answer it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_runner.backends import table

pytestmark = pytest.mark.timeout(60)

WAYS = [
    pytest.param(backend.name, way.value if way else "fork", id=f"{backend.name}-{way or 'own way'}")
    for backend in table().backends
    if backend.uses_cpus
    for way in sorted(backend.start_methods) or [None]
]
# A signal that comes just before a read begins does not end it, and its handler would wait for the read: so the script
# waits a little at a time.
SCRIPT = """
import select, signal, sys
sys.path.append({here!r})
import conformance_kit as kit
from pipeline_runner.axes import StartMethod
from pipeline_runner.backends import table
from pipeline_runner.methods import PoolSettings
signal.signal(signal.SIGINT, lambda *_: print("runner heard", flush=True))
backend = next(one for one in table().backends if one.name == {name!r})
pool = backend.open(PoolSettings(workers=2, start_method=StartMethod({way!r})))
wires = kit.Wires({folder!r})
asker = kit.Asker(backend.methods[-1], pool, kit.KitChunks([wires.payload("hold", "gate")] * 2))
wires.hear(kit.started(0))
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.2)[0]:
    pass
wires.release(2)
print(sorted(asker.all_receipts()), flush=True)
backend.close(pool)
"""


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_workers_do_not_hear_it_and_finish_their_calls(name, way, tmp_path):
    script = SCRIPT.format(here=str(Path(__file__).parent), name=name, way=way, folder=str(tmp_path))
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert runner.stdout.readline() == "ready\n"

    os.killpg(runner.pid, signal.SIGINT)

    assert runner.stdout.readline() == "runner heard\n"
    told, errors = runner.communicate("\n")
    assert told == "[0, 1]\n"
    assert errors == ""
