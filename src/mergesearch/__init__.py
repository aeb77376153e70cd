"""Searches for the best merges of language models, each scored as the Q4 GGUF that would ship."""

__version__ = "0.3.0.dev0"
