"""The functions of whole.yaml: they are found and read, never called."""


def read(path):
    return path


def count(text, *, lower=False, place=""):
    return len(text)


def set_up(level=1):
    pass


def add(a, b):
    return a + b


def same(item):
    return item


def numbers(start):
    yield start


def merge(counts, top=10):
    return counts[:top]
