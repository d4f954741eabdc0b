"""What a killed pool left in its pipe is read whatever number the pipe has."""

from __future__ import annotations

import fcntl
import os
import resource
from multiprocessing.connection import Connection

import pytest

from pipeline_runner.backends._pool import drain


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(10)
def test_a_pipe_beyond_the_first_1024_descriptors_is_drained(many_descriptors):
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD, 2000)
    os.close(reader)
    os.write(writer, b"half a task")
    with Connection(high, writable=False) as connection:
        drain(connection)
        os.set_blocking(high, False)
        with pytest.raises(BlockingIOError):
            os.read(high, 1)
    os.close(writer)
