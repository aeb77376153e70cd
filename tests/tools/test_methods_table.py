"""The table of merge methods in the documentation follows from the declarations."""

from __future__ import annotations

from tools.methods_table import DOCUMENT, with_table


def test_the_table_is_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(document) == document, "run python -m tools.methods_table"


def test_a_row_says_what_a_recipe_may_hold() -> None:
    text = (
        "before\n<!-- methods: made by tools/methods_table.py -->\nold\n<!-- end of methods -->\nx"
    )
    made = with_table(text)
    assert made.startswith("before\n<!-- methods")
    assert made.endswith("<!-- end of methods -->\nx")
    assert "| `slerp` | needed | 1 | spherical interpolation" in made
    assert "| `weight` (1), `normalize_weights` (true), `eps` (1e-8) |" in made
    assert "| `t` (none) |" in made
    assert "not in mergekit |" in made
    assert "int8_mask" not in made
