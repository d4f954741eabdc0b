"""What stands for arguments is the same in every process, and in every version that has kept something."""

from __future__ import annotations

import io
import pickle

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline_runner.record.digests import stable


def without_a_memo(value):
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, 5)
    pickler.fast = True
    pickler.dump(value)
    return buffer.getvalue()


@given(st.text(max_size=300).map(lambda text: text * 2))
@example("")
@example("a")
@example("a" * 255)
@example("a" * 256)
@example("ä" * 127)
@example("ä" * 128)
@example("\ud800")
def test_a_text_is_what_a_pickler_without_a_memo_writes_of_it(text):
    assert stable(text) == without_a_memo(text)
