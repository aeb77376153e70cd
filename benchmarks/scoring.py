"""How fast candidates are scored: python benchmarks/scoring.py [GGUF] [--objectives demo].

Ratios are taken within one run, alternating, best of three rounds (of one that takes more than a
minute: of that one). Peers, at their fastest
settings: a bare loop over `llama_decode` with the same batches (every sequence a KV stream of its
own, flash attention as here), with one thread and by CPU time; and llama-cpp-python one at a time
(n_batch 2048, logits of the last token only), by wall time with all cores on both sides:
`Llama.generate` of each prompt, and `Llama.eval` of each question with each of its choices. That
one reads the text again for every choice, as lm-eval asks for it, and is spared the logits inside
the choice, which scoring it would need.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from mergesearch._system import resources
from mergesearch._system.machine import available_cores
from mergesearch.objectives import Objectives, Runtime
from mergesearch.scoring import ScoringProcess
from mergesearch.scoring.chunks import Job
from mergesearch.scoring.harness import environment

environment.prepare()  # before llama.cpp is loaded

import llama_cpp  # noqa: E402
import numpy as np  # noqa: E402

from mergesearch.scoring.answers import GenRequest  # noqa: E402
from mergesearch.scoring.engine import Engine, log_to  # noqa: E402
from mergesearch.scoring.engine.context import Context  # noqa: E402
from mergesearch.scoring.scorer import Scorer  # noqa: E402

ROUNDS, SLOW = 3, 60.0
CHOICES = 4
Tokens = tuple[int, ...]


def wall(work: Callable[[], Any]) -> float:
    """Wall seconds of one round."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of one round."""
    start = time.process_time()
    work()
    return time.process_time() - start


def best(clock: Callable[[Callable[[], Any]], float], *works: Callable[[], Any]) -> list[float]:
    """Smallest seconds of each work, taken in turn; a round of over `SLOW` seconds is the last."""
    rounds: list[list[float]] = []
    while len(rounds) < ROUNDS and (not rounds or sum(rounds[-1]) < SLOW):
        rounds.append([clock(work) for work in works])
    return [min(times) for times in zip(*rounds, strict=True)]


def prompts(count: int, length: int, n_vocab: int) -> list[Tokens]:
    rng = np.random.default_rng(0)
    return [tuple(rng.integers(3, n_vocab, length).tolist()) for _ in range(count)]


class BareLoop:
    """`llama_decode` on ready-made batches, nothing else: no sampling, no text, no bookkeeping."""

    def __init__(self, path: Path, sequences: int, cells: int) -> None:
        self.model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = sequences * cells
        parameters.n_batch, parameters.n_ubatch = 2048, 512
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = 1
        parameters.flash_attn_type = 0
        parameters.kv_unified = False
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        self.memory = llama_cpp.llama_get_memory(self.context)

    def batch(self, rows: Sequence[tuple[int, int, int, bool]]) -> Any:
        """Make a batch of (token, position, sequence, logits wanted)."""
        made = llama_cpp.llama_batch_init(len(rows), 0, 1)
        made.n_tokens = len(rows)
        for at, (token, position, seq, wanted) in enumerate(rows):
            made.token[at], made.pos[at], made.n_seq_id[at] = token, position, 1
            made.seq_id[at][0], made.logits[at] = seq, wanted
        return made

    def run(self, batches: Sequence[Any]) -> None:
        """Decode the batches from an empty cache."""
        llama_cpp.llama_memory_clear(self.memory, False)
        for batch in batches:
            assert llama_cpp.llama_decode(self.context, batch) == 0
            llama_cpp.llama_get_logits(self.context)


def against_bare_loop(path: Path, sequences: int, length: int, new: int) -> None:
    runtime = Runtime(n_ctx=512, n_parallel=sequences, threads=1)
    with Engine(path, runtime) as engine:
        texts = prompts(sequences, length, engine.n_vocab)
        # "never" stops nothing; end tokens would make the work differ: count what was decoded.
        requests = [GenRequest(text, new, ("\0never",)) for text in texts]
        answers = engine.generate(requests)
    bare = BareLoop(path, sequences, 512)
    prefill = [
        bare.batch(
            [
                (token, at, seq, at == length - 1)
                for seq in range(first, min(first + 2048 // length, sequences))
                for at, token in enumerate(texts[seq])
            ]
        )
        for first in range(0, sequences, 2048 // length)
    ]
    steps = [
        bare.batch(
            [
                (answer.tokens[step], length + step, seq, True)
                for seq, answer in enumerate(answers)
                if step + 1 < len(answer.tokens)
            ]
        )
        for step in range(max(len(answer.tokens) for answer in answers) - 1)
    ]
    with Engine(path, runtime) as engine:
        engine.generate(requests)
        short = [replace(request, max_tokens=1) for request in requests]
        mine, theirs, mine_first, theirs_first = best(
            cpu,
            lambda: engine.generate(requests),
            lambda: bare.run(prefill + steps),
            lambda: engine.generate(short),
            lambda: bare.run(prefill),
        )
    tokens = sum(len(answer.tokens) - 1 for answer in answers)
    print(f"prefill {sequences} x {length}: {sequences * length / mine_first:8.0f} tokens/s CPU")
    print(f"  against a bare llama_decode loop: {theirs_first / mine_first:.2f}")
    both = mine - mine_first, theirs - theirs_first
    print(f"generation, {sequences} at once: {tokens / both[0]:8.0f} tokens/s CPU")
    print(f"  against a bare llama_decode loop: {both[1] / both[0]:.2f}")


TOGETHER = Runtime(n_ctx=1024, n_parallel=32, chunk_items=32)


def run_in_chunks(engine: Engine, requests: Sequence[Any], generates: bool) -> list[Any]:
    """Run requests as a candidate's are: in chunks, side by side."""
    size = TOGETHER.chunk_items * (1 if generates else CHOICES)
    parts = [tuple(requests[at : at + size]) for at in range(0, len(requests), size)]
    found: dict[int, list[Any]] = {}
    engine.run(
        [Job(part, generates) for part in parts],
        lambda index, results, seconds: found.update({index: results}),
    )
    return [answer for index in range(len(parts)) for answer in found[index]]


def against_one_at_a_time(path: Path) -> None:
    cores = available_cores()
    single = llama_cpp.Llama(
        str(path), n_ctx=1024, n_batch=2048, n_threads=cores, n_threads_batch=cores, verbose=False
    )
    with Engine(path, TOGETHER) as engine:
        generations_one_at_a_time(engine, single)
        choices_one_at_a_time(engine, single)


def generations_one_at_a_time(engine: Engine, single: Any) -> None:
    counts: list[int] = []

    def alone() -> None:
        counts.clear()
        for request in requests:
            single.reset()
            for count, token in enumerate(single.generate(list(request.tokens), temp=0.0), 1):
                if count == request.max_tokens or token == single.token_eos():
                    break
            counts.append(count)

    requests = [GenRequest(prompt, 64) for prompt in prompts(64, 60, engine.n_vocab)]
    tokens = sum(len(answer.tokens) for answer in run_in_chunks(engine, requests, True))
    mine, theirs = best(wall, lambda: run_in_chunks(engine, requests, True), alone)
    print(f"64 generations of up to 64 tokens ({tokens} in all): {mine:.2f} s")
    per_token = theirs / sum(counts) / (mine / tokens)
    print(f"  against one at a time ({sum(counts)} tokens): {per_token:.2f} times faster")


def choices_one_at_a_time(engine: Engine, single: Any) -> None:
    texts = prompts(64, 600, engine.n_vocab)
    endings = prompts(64 * CHOICES, 4, engine.n_vocab)
    pairs = [(texts[at // CHOICES], ending) for at, ending in enumerate(endings)]

    def alone() -> None:
        for text, ending in pairs:
            single.reset()
            single.eval([*text, *ending[:-1]])

    mine, theirs = best(wall, lambda: run_in_chunks(engine, pairs, False), alone)
    print(f"64 questions of {CHOICES} choices over texts of 600 tokens: {mine:.2f} s")
    print(f"  against one at a time: {theirs / mine:.2f} times faster")


def scored(scorer: Scorer, path: Path, runtime: Runtime) -> None:
    """Load a candidate and score it on the search items."""
    with Engine(path, runtime) as engine:
        scorer.score(engine, "search")


def cost_of_chunks(path: Path, objectives: Objectives) -> None:
    """One endless batch is one chunk of everything, on one worker: compare CPU time."""
    times = {}
    for chunk_items in (objectives.runtime.chunk_items, 1_000_000):
        runtime = replace(objectives.runtime, threads=1, chunk_items=chunk_items)
        run = partial(scored, Scorer(replace(objectives, runtime=runtime)), path, runtime)
        times[chunk_items] = best(cpu, run)[0]
    chunks, endless = times.values()
    print(f"chunks of {objectives.runtime.chunk_items} items: {chunks:.2f} s CPU")
    print(f"  against one endless batch: {chunks / endless:.2f} times its time")


@contextmanager
def decoding() -> Iterator[list[float]]:
    """Collect the seconds of every call of llama.cpp that decodes."""
    seconds: list[float] = []
    decode = Context.decode

    def timed(context: Context) -> Any:
        start = time.perf_counter()
        logits = decode(context)
        seconds.append(time.perf_counter() - start)
        return logits

    with patch.object(Context, "decode", timed):
        yield seconds


def candidate(path: Path, objectives: Objectives) -> None:
    one_thread = replace(objectives, runtime=replace(objectives.runtime, threads=1))
    scorer = Scorer(one_thread)
    shares, taken = [], 0.0
    while len(shares) < ROUNDS and taken < SLOW:
        with Engine(path, one_thread.runtime) as engine, decoding() as seconds:
            taken = wall(lambda: scorer.score(engine, "search"))
            shares.append(1 - sum(seconds) / taken)
    (taken,) = best(cpu, lambda: scored(scorer, path, one_thread.runtime))
    print(f"a candidate, search items, 1 thread: {taken:.2f} s CPU")
    print(f"  Python's share: {min(shares):.1%}")
    start = time.perf_counter()
    with ScoringProcess(objectives) as process:
        process.start()
        print(f"the scoring process starts in {time.perf_counter() - start:.2f} s")
        opened = SimpleNamespace(path=path, digest="")
        for rung in ("search", "validate"):
            (taken,) = best(wall, lambda rung=rung: process.score(opened, rung))
            print(f"  a candidate, {rung} items, all threads: {taken:.2f} s")


def _demo_candidate(folder: Path) -> Path:
    from mergesearch.build import Workshop
    from mergesearch.recipe import Recipe

    models = [
        {"model": parent, "parameters": {"weight": 1.0}} for parent in resources.demo_parents()
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models}, "benchmark")
    Workshop.for_recipe(recipe).gguf(recipe, folder / "demo.gguf")
    return folder / "demo.gguf"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", nargs="?", type=Path, help="default: a merge of the demo parents")
    parser.add_argument("--objectives", default="demo")
    arguments = parser.parse_args()
    log_to(None)
    file = resources.objectives_file(arguments.objectives)
    objectives = Objectives.from_yaml(file.read_text(encoding="utf-8"), file.parent)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.gguf or _demo_candidate(Path(folder))
        against_bare_loop(path, 16, 60, 48)
        against_one_at_a_time(path)
        candidate(path, objectives)
        cost_of_chunks(path, objectives)


if __name__ == "__main__":
    main()
