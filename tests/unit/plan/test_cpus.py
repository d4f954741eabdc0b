"""How many CPUs a process may use, read from files that the test writes down."""

from __future__ import annotations

import pytest

from pipeline_runner.plan.cpus import cgroup_quota, usable


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"/proc/self/cgroup": "0::/\n"}, None),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "/proc/self/cgroup": "0::/user/job\n",
                "/sys/fs/cgroup/user/job/cpu.max": "max 100000\n",
                "/sys/fs/cgroup/user/cpu.max": "300000 100000\n",
                "/sys/fs/cgroup/cpu.max": "800000 100000\n",
            },
            3.0,
        ),
        (
            {
                "/proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/abc\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "/proc/self/cgroup": "3:cpu:/\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_smallest_quota_of_our_groups_counts(files, quota):
    assert cgroup_quota(files.get) == quota


def test_there_is_always_one():
    assert usable() >= 1
