"""Words and phrasings of the demo's items."""

from tools.zoo.vocabulary import joined, phrasings


def test_phrasings_are_literal() -> None:
    """The fourth diagonal of the grid is held out."""
    assert phrasings(("x _", "y _"), ("a", "b", "c", "d"), True) == ("x d", "y c")


def test_joined() -> None:
    """English lists."""
    assert joined(("a", "b", "c"), "and") == "a, b and c"
    assert joined(("a", "b"), "or") == "a or b"
