"""Search spaces: recipes with holes."""

from mergesearch.space.holes import Dimension, Value
from mergesearch.space.relevance import Mass
from mergesearch.space.space import Space

__all__ = ["Dimension", "Mass", "Space", "Value"]
