"""The study: ask, build, score, tell, until a stop rule says so; then validate the front.

`run_study` in `loop.py` is the way in.
"""
