"""Good files with something wrong, and what reads them as far as a command would.

Run as a script it tries many: `KIND FIRST COUNT`. A case is named by its kind and its number.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from helpers.adapters import make_tensors, write_adapter
from helpers.mutations import mutated_bytes, mutated_document, mutated_yaml
from helpers.parents import make_config, make_family, make_parent
from mergesearch.build import Workshop
from mergesearch.errors import MergeSearchError
from mergesearch.objectives import Objectives
from mergesearch.recipe import Recipe
from mergesearch.space import Space

LIMIT_SECONDS = 5.0
BUSY = 12  # times as long a machine may take that has much else to do
LIMIT_BYTES = 1 << 30

RECIPE = """
name: first
merge_method: ties
base_model: {base}
models:
  - {{model: {a}, parameters: {{weight: [0.2, 0.8], density: 0.5}}}}
  - {{model: {b}, parameters: {{weight: {{filter: mlp, value: 0.3}}}}}}
parameters: {{lambda: 0.9, normalize: true}}
---
merge_method: slerp
base_model: {a}
slices:
  - sources:
      - {{model: first, layer_range: [0, 2]}}
      - {{model: {a}, layer_range: [0, 2]}}
    parameters: {{t: [0, 0.5, 1]}}
tokenizer_source: {a}
dtype: bfloat16
quantize: {{mix: Q4_K_M, tensors: {{attn_v: Q8_0}}}}
"""
SPACE = """
merge_method: {search: [task_arithmetic, ties]}
base_model: base
models:
  - {model: a, parameters: {weight: {search: [0, 1.5]}, density: {search: [0.2, 1]}}}
  - {model: b, parameters: {weight: {search: [0, 2], curve: 3, per: [attn]}}}
parameters: {lambda: {search: [0.5, 1]}, normalize: false}
start_from: [parents, {ratio: {a: 3, b: 1}}]
"""
OBJECTIVES = """
objectives:
  instruction:
    tasks: [{task: words, metric: exact_match, search_items: 24, validate_items: 24}]
  reasoning:
    reference: 0.25
    direction: maximize
    proxy: likelihood
    specialist: demo:reason
    tasks: [{task: choice, metric: acc, weight: 2, num_fewshot: 3, chance: 0.25}]
runtime: {n_ctx: 512, n_parallel: 8, threads: 2, flash_attention: true, kv_type: f16}
thinking: {end: </think>, budget: 20}
split_seed: 3
max_unscored: 0.1
date: 2026-01-02
"""


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        prepare: Writes good files into a folder.
        mutate: Changes them, by random numbers.
        read: Reads what is there, as far as a command would before it starts.
    """

    prepare: Callable[[Path], None]
    mutate: Callable[[Path, random.Random], None]
    read: Callable[[Path], None]


def _change_json(*names: str) -> Callable[[Path, random.Random], None]:
    def change(folder: Path, numbers: random.Random) -> None:
        path = folder / numbers.choice(names)
        if numbers.random() < 0.15:
            path.write_bytes(mutated_bytes(path.read_bytes(), numbers))
        else:
            document = mutated_document(json.loads(path.read_text()), numbers)
            path.write_text(json.dumps(document))

    return change


def _change_safetensors(name: str) -> Callable[[Path, random.Random], None]:
    def change(folder: Path, numbers: random.Random) -> None:
        path = folder / name
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        if numbers.random() < 0.5:
            header = json.dumps(mutated_document(json.loads(data[8:end]), numbers)).encode()
            length = len(header) if numbers.random() < 0.9 else numbers.randrange(1 << 20)
            path.write_bytes(length.to_bytes(8, "little") + header + data[end:])
        else:
            path.write_bytes(mutated_bytes(data, numbers, end))

    return change


def _change_gguf(folder: Path, numbers: random.Random) -> None:
    path = folder / "p.gguf"
    data = path.read_bytes()
    region = numbers.choice((24, 700, 30_000))
    path.write_bytes(mutated_bytes(data, numbers, region))


def _change_yaml(folder: Path, numbers: random.Random) -> None:
    path = folder / "x.yaml"
    path.write_text(mutated_yaml(path.read_text(), numbers))


# -- reading ---------------------------------------------------------------------------------------


def _build(ref: str) -> Callable[[Path], None]:
    """Build a parent of a folder in every form; `ref` has `{}` for the folder."""

    def build(folder: Path) -> None:
        recipe = _alone(ref.replace("{}", str(folder)))
        workshop = Workshop.for_recipe(recipe, threads=1)
        workshop.notes(recipe)
        workshop.candidate(recipe).close()
        workshop.safetensors(recipe, folder / "built")

    return build


def _alone(ref: str) -> Recipe:
    models = [{"model": ref, "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def _read_recipe(folder: Path) -> None:
    recipe = Recipe.from_yaml((folder / "x.yaml").read_text(), folder / "x.yaml")
    assert Recipe.from_yaml(recipe.to_yaml(), "again").digest() == recipe.digest()
    Workshop.for_recipe(recipe, threads=1).candidate(recipe).close()


def _read_space(folder: Path) -> None:
    space = Space.from_yaml((folder / "x.yaml").read_text(), folder / "x.yaml")
    for recipe in (*space.examples("low"), *space.examples("high")):
        recipe.digest()
    for start in space.starts():
        space.recipe(start).shares(6)


def _read_objectives(folder: Path) -> None:
    objectives = Objectives.from_yaml((folder / "x.yaml").read_text(), folder)
    again = Objectives.from_yaml(objectives.to_yaml(), folder)
    assert again.fingerprint() == objectives.fingerprint()


# -- good files ------------------------------------------------------------------------------------


def _write_parent(**options: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        make_parent(folder / "p", 1, **options)
        generation = {"top_k": 20, "top_p": 0.8, "temperature": 0.7, "eos_token_id": [0]}
        (folder / "p" / "generation_config.json").write_text(json.dumps(generation))

    return write


def _write_adapter(folder: Path) -> None:
    make_parent(folder / "p", 1, arch="llama")
    patterns = {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {r"layers\.0\..*": 2}}
    write_adapter(folder / "l", make_tensors(make_config("llama")), **patterns)


def _write_gguf(folder: Path) -> None:
    recipe = _alone(str(make_parent(folder / "from", 1, arch="llama")))
    Workshop.for_recipe(recipe, threads=1).gguf(recipe, folder / "p.gguf", "Q8_0")


def _write_recipe(folder: Path) -> None:
    (folder / "x.yaml").write_text(RECIPE.format(**make_family(folder / "family")))


def _write_text(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "x.yaml").write_text(text)

    return write


_LLAMA = _write_parent(arch="llama", rope_scaling={"rope_type": "llama3", "factor": 8.0})
_CONFIG = _change_json("p/config.json")
_DOCUMENTS = _change_json(
    *("p/config.json", "p/config.json", "p/generation_config.json"),
    *("p/tokenizer.json", "p/tokenizer_config.json"),
)
_ADAPTER = _change_json("l/adapter_config.json")
_FACTORS = _change_safetensors("l/adapter_model.safetensors")
_INDEX = _change_json("p/model.safetensors.index.json")

KINDS = {
    "config": Kind(_LLAMA, _DOCUMENTS, _build("{}/p")),
    "gemma": Kind(_write_parent(arch="gemma3_text"), _CONFIG, _build("{}/p")),
    "moe": Kind(_write_parent(arch="qwen3_moe"), _CONFIG, _build("{}/p")),
    "phi": Kind(_write_parent(arch="phi3"), _CONFIG, _build("{}/p")),
    "index": Kind(_write_parent(shards=3), _INDEX, _build("{}/p")),
    "safetensors": Kind(_LLAMA, _change_safetensors("p/model.safetensors"), _build("{}/p")),
    "adapter": Kind(_write_adapter, _ADAPTER, _build("{}/p+{}/l")),
    "factors": Kind(_write_adapter, _FACTORS, _build("{}/p+{}/l")),
    "gguf": Kind(_write_gguf, _change_gguf, _build("{}/p.gguf")),
    "recipe": Kind(_write_recipe, _change_yaml, _read_recipe),
    "space": Kind(_write_text(SPACE), _change_yaml, _read_space),
    "objectives": Kind(_write_text(OBJECTIVES), _change_yaml, _read_objectives),
}


# -- trying ----------------------------------------------------------------------------------------


class Hang(Exception):
    """A case took longer than it may."""


@contextmanager
def _limited() -> Iterator[None]:
    """Limit the processor's time; the clock may go on for longer where others work too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {LIMIT_SECONDS * BUSY} s by the clock")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS * BUSY)
    start = time.process_time()
    try:
        yield
        if time.process_time() - start > LIMIT_SECONDS:
            raise Hang(f"more than {LIMIT_SECONDS} s of processor time")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempts(kind: str, cases: range) -> Iterator[tuple[int, BaseException | None]]:
    """Try cases of a kind; yields each number with what was raised that is not an error of ours."""
    mutations = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        good = Path(name, "good")
        good.mkdir()
        mutations.prepare(good)
        for case in cases:
            folder = Path(name, "case")
            shutil.copytree(good, folder)
            _rename(folder, good)
            mutations.mutate(folder, random.Random(f"{kind} {case}"))
            yield case, _outcome(mutations, folder)
            shutil.rmtree(folder)


def _rename(folder: Path, good: Path) -> None:
    """Let a recipe name the parents of its own folder."""
    recipe = folder / "x.yaml"
    if recipe.exists():
        recipe.write_text(recipe.read_text().replace(str(good), str(folder)))


def _outcome(mutations: Kind, folder: Path) -> BaseException | None:
    try:
        with _limited():
            mutations.read(folder)
    except MergeSearchError as error:
        text = str(error)
        return None if text and len(text) < 5000 else AssertionError(f"a message of {len(text)}")
    except Exception as error:  # whatever it is, it is the finding
        return error
    return None


def main(kind: str, first: str, count: str) -> None:
    """Try cases, print every finding, and end with an error where there is one."""

    found = 0
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case, error in attempts(kind, range(int(first), int(first) + int(count))):
        if error is not None:
            found += 1
            print(f"{kind} {case}: {type(error).__name__}: {str(error)[:300]}")
            traceback.print_tb(error.__traceback__, limit=-3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"{kind}: {count} cases, {found} findings, {grown / 1e6:.0f} MB more at most,"
        f" {time.perf_counter() - started:.0f} s"
    )
    sys.exit(found > 0 or grown > LIMIT_BYTES)


if __name__ == "__main__":
    main(*sys.argv[1:])
