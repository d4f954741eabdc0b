"""A file's digest is that of its bytes, however many there are and whatever its size claims."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline_runner.worker import contents
from pipeline_runner.worker.contents import SHORT


@pytest.mark.parametrize("size", [0, 1, SHORT - 1, SHORT, SHORT + 1, 3 * SHORT + 7])
def test_all_bytes_of_a_file_count(tmp_path, size):
    file = tmp_path / "file"
    file.write_bytes(data := bytes(at * at % 251 for at in range(size)))
    assert contents.file(str(file)) == hashlib.sha256(data).hexdigest()


def test_a_file_that_has_more_than_its_size_says_is_read_to_its_end():
    endless = Path("/proc/self/mounts")  # of size 0, as all that the kernel makes up when it is read
    assert endless.stat().st_size == 0
    assert contents.file(str(endless)) == hashlib.sha256(endless.read_bytes()).hexdigest()
