"""Good files with something wrong: seeded mutations of bytes and documents, and what reads them.

Run as a script it tries many: `KIND FIRST COUNT`. A case is named by its kind and its number.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from mergesearch.errors import MergeSearchError

LIMIT_SECONDS = 5.0
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

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 64, 1 << 31, 1 << 63, -(1 << 63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "x", "0", "a b", "\u0000", "\u202e", "../x", "/dev/zero", "x" * 5000, "{{", "(a+)+$"),
    *([], {}, [[]], [{}], {"": 1}, {"a": {"a": {"a": 1}}}, [None], [1, 2, 3], ["x"] * 50),
)
_YAML = (
    *("!!int x", "!!float x", "!!timestamp x", "!!bool maybe", "!!binary ':'", "2026-13-45"),
    *("!!python/object:os.system x", "&a [*a]", "*nothing", "- ", ".nan", ".inf", "-.inf", "~"),
    *("<<: 3", "? [a]: b", "{a: 1, a: 2}", "[" * 200, "{a: " * 100, "\t", "---", "...", "%YAML 9"),
)


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


# -- changing --------------------------------------------------------------------------------------


def mutated_document(document: Any, numbers: random.Random) -> Any:
    """A copy of a document with one to three places changed."""
    changed = {"": copy.deepcopy(document)}
    for _ in range(numbers.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        holder, key = numbers.choice(places)
        match numbers.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other, place = numbers.choice(places)
                holder[key] = copy.deepcopy(other[place])
            case 2 if isinstance(holder, dict) and key:
                holder[numbers.choice(("", "x", key.upper(), key + " ", "9"))] = holder.pop(key)
            case _:
                holder[key] = copy.deepcopy(numbers.choice(_VALUES))
        if not changed:
            return None
    return changed.get("")


def _places(node: Any, deep: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every holder of a value with its key; of a long list only some."""
    keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
    for key in keys if len(keys) < 40 else keys[:5] + keys[-5:]:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key], deep + 1)


def mutated_bytes(data: bytes, numbers: random.Random, region: int | None = None) -> bytes:
    """Bytes with one to four changes, most of them in the first `region` bytes."""
    changed = bytearray(data)
    for _ in range(numbers.choice((1, 1, 2, 4))):
        end = min(region or len(changed), len(changed)) if numbers.random() < 0.9 else len(changed)
        place = numbers.randrange(max(1, end))
        length = numbers.choice((1, 1, 2, 4, 8, 8, 16, 64))
        match numbers.randrange(7):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << numbers.randrange(8)
            case 1:
                changed[place : place + length] = numbers.randbytes(length)
            case 2:
                number = numbers.choice(
                    (0, 1, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 62, (1 << 64) - 1)
                )
                changed[place : place + 8] = number.to_bytes(8, "little")
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = numbers.randbytes(length)
            case 5 if numbers.random() < 0.3:
                del changed[numbers.randrange(len(changed) + 1) :]
            case _:
                source = numbers.randrange(max(1, end))
                changed[place : place + length] = changed[source : source + length]
    return bytes(changed)


def mutated_yaml(text: str, numbers: random.Random) -> str:
    """A YAML text with its document or its lines changed."""
    if numbers.random() < 0.5:
        documents = list(yaml.safe_load_all(text))
        place = numbers.randrange(len(documents))
        documents[place] = mutated_document(documents[place], numbers)
        return str(yaml.safe_dump_all(documents, default_flow_style=numbers.choice((None, True))))
    lines = text.splitlines()
    for _ in range(numbers.choice((1, 1, 2, 4))):
        place = numbers.randrange(len(lines))
        line = lines[place]
        match numbers.randrange(7):
            case 0:
                lines.insert(place, line)
            case 1 if len(lines) > 1:
                del lines[place]
            case 2:
                lines[place] = " " * numbers.randrange(6) + line.strip()
            case 3:
                head, colon, _ = line.partition(":")
                lines[place] = f"{head}{colon or ':'} {numbers.choice(_YAML)}"
            case 4:
                lines[place] = line[: numbers.randrange(len(line) + 1)]
            case 5:
                cut = numbers.randrange(len(line) + 1)
                lines[place] = (
                    line[:cut] + numbers.choice("{}[],:#&*!|>'\"%@`- \t\x00\x85") + line[cut:]
                )
            case _:
                lines[place] = line + numbers.choice(_YAML)
    return "\n".join(lines)


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


def _build(folder: Path, ref: str) -> None:
    from mergesearch.build import Workshop
    from mergesearch.recipe import Recipe

    recipe = Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": ref, "parameters": {"weight": 1.0}}]}
    )
    workshop = Workshop.for_recipe(recipe, threads=1)
    workshop.notes(recipe)
    workshop.candidate(recipe).close()
    workshop.safetensors(recipe, folder / "built")


def _read_recipe(folder: Path) -> None:
    from mergesearch.build import Workshop
    from mergesearch.recipe import Recipe

    recipe = Recipe.from_yaml((folder / "x.yaml").read_text(), folder / "x.yaml")
    assert Recipe.from_yaml(recipe.to_yaml(), "again").digest() == recipe.digest()
    Workshop.for_recipe(recipe, threads=1).candidate(recipe).close()


def _read_space(folder: Path) -> None:
    from mergesearch.space import Space

    space = Space.from_yaml((folder / "x.yaml").read_text(), folder / "x.yaml")
    for recipe in (*space.examples("low"), *space.examples("high")):
        recipe.digest()
    for start in space.starts():
        space.recipe(start).shares(6)


def _read_objectives(folder: Path) -> None:
    from mergesearch.objectives import Objectives

    objectives = Objectives.from_yaml((folder / "x.yaml").read_text(), folder)
    again = Objectives.from_yaml(objectives.to_yaml(), folder)
    assert again.fingerprint() == objectives.fingerprint()


def _write_llama(folder: Path) -> None:
    from helpers.parents import make_parent

    make_parent(folder / "p", 1, arch="llama", rope_scaling={"rope_type": "llama3", "factor": 8.0})
    generation = {"top_k": 20, "top_p": 0.8, "temperature": 0.7, "eos_token_id": [0]}
    (folder / "p" / "generation_config.json").write_text(json.dumps(generation))


def _write_other(arch: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from helpers.parents import make_parent

        make_parent(folder / "p", 1, arch=arch)

    return write


def _write_shards(folder: Path) -> None:
    from helpers.parents import make_parent

    make_parent(folder / "p", 1, shards=3)


def _write_adapter(folder: Path) -> None:
    from helpers.adapters import make_tensors, write_adapter
    from helpers.parents import make_config, make_parent

    make_parent(folder / "p", 1, arch="llama")
    patterns = {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {r"layers\.0\..*": 2}}
    write_adapter(folder / "l", make_tensors(make_config("llama")), **patterns)


def _write_gguf(folder: Path) -> None:
    from helpers.parents import make_parent

    from mergesearch.build import Workshop
    from mergesearch.recipe import Recipe

    ref = str(make_parent(folder / "from", 1, arch="llama"))
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": ref, "parameters": {"weight": 1.0}}]}
    )
    Workshop.for_recipe(recipe, threads=1).gguf(recipe, folder / "p.gguf", "Q8_0")


def _write_recipe(folder: Path) -> None:
    from helpers.parents import make_family

    family = make_family(folder / "family")
    (folder / "x.yaml").write_text(RECIPE.format(**family))


def _write_text(text: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / "x.yaml").write_text(text)][0] and None


_DOCUMENTS = _change_json(
    *("p/config.json", "p/config.json", "p/generation_config.json"),
    *("p/tokenizer.json", "p/tokenizer_config.json"),
)
KINDS = {
    "config": Kind(_write_llama, _DOCUMENTS, lambda folder: _build(folder, f"{folder}/p")),
    "gemma": Kind(
        _write_other("gemma3_text"),
        _change_json("p/config.json"),
        lambda folder: _build(folder, f"{folder}/p"),
    ),
    "moe": Kind(
        _write_other("qwen3_moe"),
        _change_json("p/config.json"),
        lambda folder: _build(folder, f"{folder}/p"),
    ),
    "phi": Kind(
        _write_other("phi3"),
        _change_json("p/config.json"),
        lambda folder: _build(folder, f"{folder}/p"),
    ),
    "index": Kind(
        _write_shards,
        _change_json("p/model.safetensors.index.json"),
        lambda folder: _build(folder, f"{folder}/p"),
    ),
    "safetensors": Kind(
        _write_llama,
        _change_safetensors("p/model.safetensors"),
        lambda folder: _build(folder, f"{folder}/p"),
    ),
    "adapter": Kind(
        _write_adapter,
        lambda folder, numbers: numbers.choice(
            (
                _change_json("l/adapter_config.json"),
                _change_safetensors("l/adapter_model.safetensors"),
            )
        )(folder, numbers),
        lambda folder: _build(folder, f"{folder}/p+{folder}/l"),
    ),
    "gguf": Kind(_write_gguf, _change_gguf, lambda folder: _build(folder, f"{folder}/p.gguf")),
    "recipe": Kind(_write_recipe, _change_yaml, _read_recipe),
    "space": Kind(_write_text(SPACE), _change_yaml, _read_space),
    "objectives": Kind(_write_text(OBJECTIVES), _change_yaml, _read_objectives),
}


# -- trying ----------------------------------------------------------------------------------------


class Hang(Exception):
    """A case took longer than it may."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempts(
    kind: str, cases: range, seconds: float = LIMIT_SECONDS
) -> Iterator[tuple[int, BaseException | None]]:
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
            yield case, _outcome(mutations, folder, seconds)
            shutil.rmtree(folder)


def _rename(folder: Path, good: Path) -> None:
    """Let a recipe name the parents of its own folder."""
    recipe = folder / "x.yaml"
    if recipe.exists():
        recipe.write_text(recipe.read_text().replace(str(good), str(folder)))


def _outcome(mutations: Kind, folder: Path, seconds: float) -> BaseException | None:
    try:
        with _limited(seconds):
            mutations.read(folder)
    except MergeSearchError as error:
        text = str(error)
        return None if text and len(text) < 5000 else AssertionError(f"a message of {len(text)}")
    except Exception as error:  # whatever it is, it is the finding
        return error
    return None


def main(kind: str, first: str, count: str) -> None:
    """Try cases, print every finding, and end with an error where there is one."""
    import traceback

    found = 0
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case, error in attempts(kind, range(int(first), int(first) + int(count))):
        if error is not None:
            found += 1
            print(f"{kind} {case}: {type(error).__name__}: {str(error)[:300]}")
            for frame in traceback.extract_tb(error.__traceback__)[-3:]:
                print(
                    f"    {frame.filename.rpartition('mergesearch/')[2]}:{frame.lineno} {frame.line}"
                )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"{kind}: {count} cases, {found} findings, {grown / 1e6:.0f} MB more at most,"
        f" {time.perf_counter() - started:.0f} s"
    )
    sys.exit(found > 0 or grown > LIMIT_BYTES)


if __name__ == "__main__":
    main(*sys.argv[1:])
