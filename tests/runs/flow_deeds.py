"""What the stages of a long stream call."""


def same(item):
    return item


def text(number):
    return f"{number:0200}"


def measure(text):
    return len(text)
