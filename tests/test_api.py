"""The names of the package: few, typed, loaded when they are used, and documented."""

from __future__ import annotations

import importlib
import pydoc
import subprocess
import sys
import time

import pytest

import mergesearch


def test_every_public_name_is_there_and_documented() -> None:
    assert len(mergesearch.__all__) <= 12
    for name in mergesearch.__all__:
        assert getattr(mergesearch, name).__doc__
        assert f"{name}" in (mergesearch.__doc__ or "")
    assert set(mergesearch.__all__) <= set(dir(mergesearch))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'searhc'"):
        mergesearch.searhc  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("mergesearch.searhc")


def test_importing_the_package_loads_nothing_else() -> None:
    """The processor's time counts, of the fastest of three: busy machines are slow, not wrong."""
    code = (
        "import sys, time; start = time.process_time(); import mergesearch;"
        "print(time.process_time() - start);"
        "print([name for name in sys.modules if name.startswith('mergesearch.')]);"
        "print({'numpy', 'torch', 'optuna', 'sqlalchemy', 'yaml', 'rich'} & set(sys.modules))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(3)
    ]
    assert min(float(output.splitlines()[0]) for output in outputs) < 0.15
    assert {tuple(output.splitlines()[1:]) for output in outputs} == {("[]", "set()")}


def test_the_help_is_a_manual_page() -> None:
    start = time.perf_counter()
    text = pydoc.plain(pydoc.render_doc(mergesearch))
    assert "Build a merge from a recipe" in text
    for name in ("Run", "Workshop", "search", "score", "check", "open_workshop"):
        assert f"{name}(" in text
    assert time.perf_counter() - start < 30
