"""Makes its functions when it is imported, and fails at it."""

for name in ("f", "g"):
    globals()[name] = make(name)  # noqa: F821
