"""Where a library is not installed: what needs it is refused with what to install, and nothing else is disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = """
profiles: {there: {defaults: {backend: BACKEND}}}
stages: {a: {call: 'math:sqrt', over: [4, 9]}}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """All that is installed, but for these libraries."""
    folder = tmp_path_factory.mktemp("bare")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("dask", "distributed", "ray", "mpi4py")) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def prun(bare, tmp_path):
    def run(*words):
        environ = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{bare}", "PRUN_STATE": str(tmp_path / "state")}
        return subprocess.run(
            [sys.executable, "-S", "-m", "pipeline_runner", *words],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("backend", ["dask", "ray", "mpi"])
def test_a_stage_is_refused_with_what_to_install(prun, tmp_path, backend):
    (tmp_path / "p.yaml").write_text(FILE.replace("BACKEND", backend))

    refused = prun("validate", "p.yaml", "--profile", "there")

    assert refused.returncode == 2
    said = refused.stdout + refused.stderr
    assert f'stage "a" cannot use backend "{backend}" here' in said
    assert f"pip install 'prun-pipelines[{backend}]'" in said


def test_another_profile_is_not_disturbed(prun, tmp_path):
    (tmp_path / "p.yaml").write_text(FILE.replace("BACKEND", "dask"))

    assert prun("validate", "p.yaml").stdout == "p.yaml: ok\n"
    ran = prun("p.yaml")
    assert (ran.returncode, ran.stdout) == (0, "a: [2.0, 3.0]\n")


def test_the_table_shows_what_to_install(prun):
    shown = prun("methods", "dask.distributed.Client.submit")
    assert shown.returncode == 0
    assert "prun-pipelines[dask]" in shown.stdout.replace("\n", " ")
