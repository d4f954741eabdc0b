"""Openings of peers that several workloads share: two workers, nothing tuned but what is said."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ray_here() -> Iterator[None]:
    """Ray on this machine, without its dashboard. Its sockets need a short path."""
    import ray

    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=folder)
        yield
        ray.shutdown()
