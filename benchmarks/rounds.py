"""The recipe of search_spaces/zyh-v4.yaml, two rounds of merging, against mergekit and llama.cpp.

The recipe is the one that the space tries first: three mixtures by slerp, then their weighted sum
with an instruction model. Parents are made up in the shape of Qwen2.5-1.5B; they have one
vocabulary, so that nothing is asked of the tokenizer. The peers' way is `mergekit-multi` at its
fastest settings, which stores every mixture, a F16 GGUF of the result, and `llama_model_quantize`
(benchmarks/candidate.py says which stands for what). Ours is `search build` to Q4_K_M.

Usage: python benchmarks/rounds.py [--quick] [--runs N] [--peer-runs N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from candidate import step
from made_up import (
    BIN,
    QUICK,
    QWEN_1_5B,
    copy_tokenizer,
    machine,
    mergekit,
    seconds,
    set_cache,
    write_parent,
)

from mergesearch._system.resources import space_file
from mergesearch.recipe import Recipe
from mergesearch.space import Space

AT_LEAST = 10
"""How many times faster than the peers the build has to be."""


def told_recipe() -> Recipe:
    """The recipe that the space tries first."""
    space = Space.from_yaml(space_file("zyh-v4").read_text(encoding="utf-8"))
    return space.recipe(space.starts()[0])


def documents(recipe: Recipe) -> list[dict[str, Any]]:
    """The documents that both tools read, with nothing about tokenizers and contexts.

    The last merge is linear: its base would give the tokenizer alone, and mergekit would merge it.
    """
    last = recipe.to_dict()
    stages = last.pop("stages")
    del last["base_model"]
    left_out = ("tokenizer_source", "tokenizer", "context_source", "quantize", "seed")
    return [
        {key: value for key, value in document.items() if key not in left_out}
        for document in [*stages, last]
    ]


def peers(folder: Path, recipe: Path, donor: Path) -> list[float]:
    """Seconds of merging, converting and quantizing with the peers."""
    merged, stages = folder / "merged", folder / "stages"
    whole, small = folder / "f16.gguf", folder / "q4.gguf"
    options = mergekit(recipe, merged)[3:]
    command = [str(BIN / "mergekit-multi"), str(recipe), "--out-path", str(merged)]
    taken = [seconds([*command, "--intermediate-dir", str(stages), *options])]
    shutil.rmtree(stages)
    copy_tokenizer(donor, merged)
    taken.append(seconds(step("convert", merged, whole)))
    shutil.rmtree(merged)
    taken.append(seconds(step("quantize", whole, small)))
    whole.unlink()
    small.unlink()
    return taken


def build(folder: Path, recipe: Path) -> float:
    """Seconds of our build, the start of Python included."""
    result = folder / "ours.gguf"
    command = [str(BIN / "search"), "build", str(recipe), "--quant", "Q4_K_M"]
    taken = seconds([*command, "-o", str(result)])
    result.unlink()
    return taken


def print_table(folder: Path, config: dict[str, Any], runs: int, peer_runs: int) -> None:
    """Write the parents and the recipe, and print what both ways take."""
    recipe = told_recipe()
    names = {ref: str(folder / f"p{number}") for number, ref in enumerate(recipe.parents())}
    text = yaml.safe_dump_all(documents(recipe.renamed(names)), sort_keys=False)
    path = folder / "recipe.yaml"
    path.write_text(text)
    places = [Path(ref) for ref in Recipe.from_yaml(text, path).parents()]
    size = [write_parent(place, config, seed) for seed, place in enumerate(places)][-1]
    print(f"{len(places)} parents of {size / 2e9:.2f} B parameters\n")
    files = [place / "model.safetensors" for place in places]
    slow: list[Sequence[float]] = []
    for _ in range(peer_runs):
        set_cache(files, True)
        slow.append(peers(folder, path, places[0]))
    set_cache(files, True)
    fast = [build(folder, path) for _ in range(runs)]
    parts = [statistics.median(part) for part in zip(*slow, strict=True)]
    cells = " | ".join(f"{part:.1f} s" for part in [*parts, sum(parts)])
    own = statistics.median(fast)
    print("| mergekit-multi | to F16 | to Q4_K_M | peers in all | mergesearch | ratio |")
    print("|---|---|---|---|---|---|")
    print(f"| {cells} | {own:.2f} s | {sum(parts) / own:.1f} of {AT_LEAST} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where 40 GB fit; default: a temporary one")
    arguments = parser.parse_args()
    print(machine())
    config = QWEN_1_5B | (QUICK if arguments.quick else {})
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print_table(Path(folder), config, arguments.runs, arguments.peer_runs)


if __name__ == "__main__":
    main()
