"""Needs a package that nobody has."""

import no_such_package_at_all as strange


def f(item):
    return strange.f(item)
