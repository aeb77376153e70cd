"""Build a merge: a recipe in mergekit's YAML becomes a GGUF and a Hugging Face folder.

python examples/build_a_merge.py [FOLDER]
"""

import sys
from pathlib import Path

import mergesearch

RECIPE = """
merge_method: task_arithmetic
base_model: demo:base
models:
  - {model: demo:instruct, parameters: {weight: 0.7}}
  - {model: demo:reason, parameters: {weight: 0.4}}
quantize: Q4_K_M
"""


def main(folder: Path) -> None:
    """Build the recipe three ways."""
    recipe = mergesearch.Recipe.from_yaml(RECIPE)
    workshop = mergesearch.open_workshop(recipe)
    with workshop.candidate(recipe) as candidate:
        print(f"in memory: {candidate.size} bytes, SHA-256 {candidate.digest}")
        digest = workshop.gguf(recipe, folder / "merge.gguf")
        assert digest == candidate.digest, "the file holds the same bytes"
    print(f"as a file: {folder / 'merge.gguf'}")
    workshop.safetensors(recipe, folder / "merge")
    print(f"as a folder: {folder / 'merge'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
