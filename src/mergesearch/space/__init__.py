"""Search spaces: recipes with holes."""

from mergesearch.space.holes import Dimension, Value
from mergesearch.space.space import Space

__all__ = ["Dimension", "Space", "Value"]
