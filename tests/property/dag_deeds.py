"""What the stages of random pipelines call."""

from __future__ import annotations


def mix(x, by=1):
    return (x * 31 + by) % 1009


def blend(a, b):
    return (a * 17 + b) % 1009


def lump(batch):
    """Of the items of a batch, whatever their order: a stage that is unordered makes others of them."""
    return sum(batch) % 1009


def tally(values):
    """One value of all, that does not depend on their order, with items of its own."""
    return [len(values), sum(values) % 1009]
