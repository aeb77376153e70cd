"""The machine, and what the package carries: cores, memory, bundled files."""
