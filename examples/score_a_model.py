"""Score the candidate of a recipe, and look at the items that it got wrong.

python examples/score_a_model.py
"""

from pathlib import Path

import mergesearch

RECIPE = """
merge_method: linear
models:
  - {model: demo:instruct, parameters: {weight: 0.75}}
  - {model: demo:reason, parameters: {weight: 0.25}}
"""
OBJECTIVES = Path(__file__).with_name("small.yaml")


def main() -> None:
    """Print the scores, then two items that were not solved."""
    recipe = mergesearch.Recipe.from_yaml(RECIPE)
    scored = mergesearch.score(recipe, OBJECTIVES, rung="validate")
    for objective, score in scored.scores.items():
        print(f"{objective}: {score.value:.3f} ± {score.stderr:.3f} on {score.n} items")
    wrong = [item for item in scored.items() if item.metrics.get("prompt_strict") == 0]
    for item in wrong[:2]:
        print(f"{item.task}, item {item.item}: {item.text!r}")


if __name__ == "__main__":
    main()
