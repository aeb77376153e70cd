"""Yardsticks of the quantizing kernels: NumPy step by step, and ggml itself."""
