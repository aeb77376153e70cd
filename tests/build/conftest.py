"""Tiny parents that the tests of building share."""

from __future__ import annotations

import pytest
from helpers.parents import make_family


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(tmp_path_factory.mktemp("family"), hidden_size=256, intermediate_size=512)
