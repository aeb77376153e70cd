"""What the wheel carries: built-in spaces, objectives with their data, and the demo parents.

The folders `search_spaces/` and `objectives/` stand at the top of the source tree and under
`_data/` in an installed wheel; every path that leaves this module is absolute.
"""

from __future__ import annotations

import os
from pathlib import Path

from mergesearch._system.alike import did_you_mean
from mergesearch.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parents[1]
_PARENTS = _PACKAGE / "zoo" / "parents"

DEMO_PREFIX = "demo:"


def _data_folder(name: str) -> Path:
    """The folder `name` of the installed package, or of the checkout it runs from."""
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _CHECKOUT / name


def spaces_folder() -> Path:
    """Folder with the built-in search spaces (YAML)."""
    return _data_folder("search_spaces")


def objectives_folder() -> Path:
    """Folder with the built-in objectives (YAML) and their task data."""
    return _data_folder("objectives")


def demo_parents() -> list[str]:
    """Ids of the bundled parents, such as `demo:base`."""
    return [DEMO_PREFIX + folder.name for folder in sorted(_PARENTS.iterdir()) if folder.is_dir()]


def parent_folder(ref: str) -> Path:
    """Folder of a bundled parent (`demo:NAME`).

    Raises:
        InputError: The zoo has no parent of that name.
    """
    known = demo_parents()
    if ref in known:
        return _PARENTS / ref.removeprefix(DEMO_PREFIX)
    raise InputError(f"no bundled parent {ref!r}", expected=", ".join(known))


def _built_in_or_file(name: str, folder: Path, what: str) -> Path:
    """Absolute path of `name`: a file as it stands, else the built-in YAML of that name."""
    given = expanded(name)
    if os.path.isfile(given):  # which, unlike Path's, takes a name that no file can have
        return given.resolve()
    if os.path.isdir(given):
        raise InputError(
            "is a folder, not a file", where=given, expected=f"the {what}, which is a file"
        )
    known = [path.stem for path in folder.glob("*.yaml")]
    if name in known:
        return folder / f"{name}.yaml"
    expected = f"a YAML file, or one of: {', '.join(sorted(known))}"
    raise InputError(f"no {what} {name!r}", expected=expected, fix=did_you_mean(name, known))


def expanded(place: str | Path) -> Path:
    """Return a place with `~` as the home folder; as it is where that folder is not known."""
    try:
        return Path(place).expanduser()
    except RuntimeError:
        return Path(place)


def space_file(name: str) -> Path:
    """Absolute path of a search space, given as a file or as the name of a built-in one.

    Raises:
        InputError: There is neither.
    """
    return _built_in_or_file(name, spaces_folder(), "search space")


def objectives_file(name: str) -> Path:
    """Absolute path of an objectives file, given as a file or as the name of a built-in one.

    Raises:
        InputError: There is neither.
    """
    return _built_in_or_file(name, objectives_folder(), "objectives file")
