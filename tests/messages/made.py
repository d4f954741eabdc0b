"""Makes its functions when it is imported, so that only Python knows them."""


def _maker(name):
    def made(item, *, scale=1):
        return name, item, scale

    return made


for name in ("double", "halve"):
    globals()[name] = _maker(name)
