"""Lets the workers of every backend import the kit's probe by name, as they import a user's module."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
