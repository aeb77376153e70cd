"""Files with something wrong end in success or an error of ours; the long form is in faults/."""

from __future__ import annotations

import pytest
from helpers.hostile import KINDS, attempts


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_gives_a_message_or_works(kind: str) -> None:
    found = [(case, error) for case, error in attempts(kind, range(12)) if error is not None]
    assert not found
