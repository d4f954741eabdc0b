"""Notes what it found in the environment when it was imported, as numerical libraries do."""

import os

NAMES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
FOUND = {name: os.environ.get(name) for name in NAMES}


def found(_=None):
    return FOUND
