"""Functions for the pipelines of this folder that are wrong in another way: these take whatever they are given."""


def read(*args, **keywords):
    return args, keywords


count = total = write = list = read  # noqa: A001
