"""The report of a run for a browser: one file that needs nothing else."""
