"""Noise-aware Bayesian optimization: a Gaussian process per objective, and where to look next."""
