"""Every process backend under fork, forkserver and spawn, and from scripts that nobody guarded."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conformance_kit import Asker, KitChunks, Wires, left_alive

from pipeline_runner.backends import table
from pipeline_runner.methods import PoolSettings

pytestmark = pytest.mark.timeout(60)

WAYS = [
    pytest.param(backend, way, id=f"{backend.name}-{way}")
    for backend in table().backends
    for way in sorted(backend.start_methods)
]


@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_every_method_works_however_its_workers_are_started(backend, way, tmp_path):
    wires = Wires(tmp_path)
    pool = backend.open(PoolSettings(workers=2, start_method=way))
    try:
        for row in backend.methods:
            receipts = Asker(row, pool, KitChunks([wires.payload("tell")] * 5)).all_receipts()
            assert sorted(receipts) == [0, 1, 2, 3, 4]
    finally:
        backend.close(pool)
        wires.close()
    assert not left_alive(backend.processes(pool))


@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_script_without_a_guard_is_not_run_again_by_its_workers(backend, way, tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, sys
        with open({str(tmp_path / "runs")!r}, "a") as runs:
            print(os.getpid(), file=runs)
        sys.path.append({str(Path(__file__).parent)!r})
        import conformance_kit as kit
        from pipeline_runner.axes import StartMethod
        from pipeline_runner.backends import table
        from pipeline_runner.methods import PoolSettings
        backend = next(one for one in table().backends if one.name == {backend.name!r})
        pool = backend.open(PoolSettings(workers=2, start_method=StartMethod({way.value!r})))
        wires = kit.Wires({str(tmp_path)!r})
        print(list(backend.methods[0].ask(pool, kit.PERFORM, kit.KitChunks([wires.payload("tell")] * 3))))
        assert __file__ and __name__ == "__main__"
        backend.close(pool)
        """)
    )

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=os.environ, check=False)

    assert done.stderr == ""
    assert json.loads(done.stdout) == [0, 1, 2]
    assert len((tmp_path / "runs").read_text().splitlines()) == 1
