"""Digests of what is small, by Python's own code: OpenSSL, which `hashlib` loads, takes a twentieth of a script.

They are the ones that `hashlib` has: BLAKE2 is the same code there, SHA-256 is what it has without OpenSSL. That is
five times as fast where there is much to digest: whoever may meet that takes it from `hashlib`.
"""

from __future__ import annotations

import sys

from pipeline_runner.typed import TYPE_CHECKING

__all__ = ["blake2b", "blake2s", "compare_digest", "sha256"]

if TYPE_CHECKING:
    from hashlib import blake2b, blake2s, sha256
    from hmac import compare_digest
else:
    try:
        from _blake2 import blake2b, blake2s
        from _operator import _compare_digest as compare_digest

        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256
    except ImportError:  # a Python whose builder wants none but OpenSSL's
        from hashlib import blake2b, blake2s, sha256
        from hmac import compare_digest
