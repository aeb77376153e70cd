"""Search with an objective of one's own: answers as brief as possible, beside solved items.

A task is an lm-eval YAML beside its data; what it calls of a Python file beside it runs because the
search is told to trust the task folder.

    python examples/custom_objective.py FOLDER
"""

import json
import sys
from pathlib import Path

import mergesearch

TASK = """
task: small_letters
dataset_path: json
dataset_kwargs: {data_files: {test: small_letters.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function measures.results
metric_list:
  - {metric: named, aggregation: mean, higher_is_better: true}
  - {metric: words, aggregation: mean, higher_is_better: false}
generation_kwargs: {until: ["<|end|>"], do_sample: false, max_gen_toks: 24}
"""
MEASURES = '''
def results(doc, results):
    """Whether the answer is named, and how many words that takes."""
    words = results[0].split()
    return {"named": float(doc["answer"] in results[0].lower()), "words": float(len(words))}
'''
OBJECTIVES = """
objectives:
  named:
    tasks: [{task: small_letters, metric: named, search_items: 16, validate_items: 8}]
    reference: 0
  brevity:
    tasks: [{task: small_letters, metric: words, search_items: 16, validate_items: 8}]
    direction: minimize
    reference: 24
task_folder: tasks
runtime: {n_ctx: 512, n_parallel: 8, chunk_items: 8}
"""
WORDS = ("cat", "dog", "sea", "sun", "fire", "rain")


def main(folder: Path) -> None:
    """Write the task, and search the demo's space with it."""
    tasks = folder / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "small_letters.yaml").write_text(TASK)
    (tasks / "measures.py").write_text(MEASURES)
    items = [
        {"question": f"Print {first.upper()} {second.upper()} in small letters.", "answer": first}
        for first in WORDS
        for second in WORDS
        if first != second
    ]
    (tasks / "small_letters.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    objectives = mergesearch.Objectives.from_yaml(OBJECTIVES, folder)
    run = mergesearch.search("demo", objectives, folder / "run", trials=4, trust_tasks=True)
    for member in run.front().members:
        print(member.trial, {name: score.value for name, score in member.values.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
