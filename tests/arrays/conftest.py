"""What the tests of large values share."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def nothing_left(tmp_path, monkeypatch):
    """Fails when anything is left in the temporary folder, or of this process's descriptors."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = held()
    yield
    sys.modules["array_deeds"]._seen.clear()
    gc.collect()  # a result and its run know each other
    assert [entry.name for entry in os.scandir(tmp_path) if entry.name.startswith("prun")] == []
    assert held() <= before


def held():
    """Files without a name that this process has open for large values."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if "prun-arena" in name or "/#" in name}
