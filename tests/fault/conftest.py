"""Lets the tests of this folder import its table by name, as `python tests/fault/sweep.py` does."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
