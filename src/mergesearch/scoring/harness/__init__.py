"""Tasks, prompts and metrics as lm-eval defines them.

lm-eval's objects, documents and prompts are made once. For each candidate only the requests are
run; answers go through the task's own filters, `process_results` and aggregation. Nothing is
imported here: `environment.prepare` has to come before lm-eval is loaded.
"""
