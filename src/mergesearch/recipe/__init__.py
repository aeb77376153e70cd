"""Recipes: one model, fully written down, in mergekit's YAML."""

from mergesearch.recipe.documents import load_document
from mergesearch.recipe.quantization import Quantization
from mergesearch.recipe.recipe import Recipe
from mergesearch.recipe.tokenizer import TokenizerChoice, TokenSource
from mergesearch.recipe.types import Merge, MergeInput, OutputLayer, Slice
from mergesearch.recipe.values import Filtered, ParameterValue
from mergesearch.recipe.write import to_yaml

__all__ = [
    "Filtered",
    "Merge",
    "MergeInput",
    "OutputLayer",
    "ParameterValue",
    "Quantization",
    "Recipe",
    "Slice",
    "TokenSource",
    "TokenizerChoice",
    "load_document",
    "to_yaml",
]
