"""A module that cannot be imported."""


def f(item):
    return item


raise RuntimeError("broken at import")
