"""Amounts of memory as people write them."""

import pytest

from pipeline_runner.spec.sizes import shown, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GiB", 2 << 30), ("500 MB", 500_000_000), ("1.5G", 1_500_000_000), ("7", 7), ("1 KiB", 1024), ("3B", 3)],
)
def test_sizes_are_read(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "2 gigabytes", "-1G", "1e9", "GiB", "1 GiBs"])
def test_what_is_no_size_is_none(text):
    assert size(text) is None


def test_a_size_is_shown_for_people():
    assert [shown(1), shown(2048), shown(2 << 30)] == ["1 B", "2 KiB", "2 GiB"]
