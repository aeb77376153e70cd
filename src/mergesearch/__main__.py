"""`python -m mergesearch` is the command `search`."""

from mergesearch.cli import main

main()
