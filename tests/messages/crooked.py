"""A file that was left in the middle of a word."""


def f(item:
    return item
