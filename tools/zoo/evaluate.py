"""Score parents, and the straight line between two of them, with transformers (no quantizing).

`python -m tools.zoo.evaluate [--line]` prints one row per model: the share of held-out
items solved in each of the three tasks.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

from mergesearch.tasks.checks import answer_results, instruct_results
from tools.zoo.tasks import build_tasks
from tools.zoo.train import BOT_ID, END_ID, PARENTS, USER_ID

NEW_TOKENS: Final = 64
BATCH: Final = 125
Item = Mapping[str, Any]


def prompt_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """Return the ids of a question under the chat template."""
    return [USER_ID, *tokenizer.encode(f" {question}").ids, BOT_ID]


def generate(
    model: Qwen2ForCausalLM, tokenizer: Tokenizer, questions: Sequence[str], new_tokens: int
) -> list[str]:
    """Answer each question greedily."""
    answers: list[str] = []
    for at in range(0, len(questions), BATCH):
        prompts = [prompt_ids(tokenizer, question) for question in questions[at : at + BATCH]]
        length = max(map(len, prompts))
        ids = torch.tensor([[END_ID] * (length - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts])
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens, do_sample=False
        )
        answers += [tokenizer.decode(row[length:].tolist()).strip() for row in out]
    return answers


def log_likelihoods(
    model: Qwen2ForCausalLM, tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]
) -> list[float]:
    """Return the sum of the log-probabilities of each continuation after its question."""
    totals: list[float] = []
    for at in range(0, len(pairs), BATCH):
        rows, starts = [], []
        for question, ending in pairs[at : at + BATCH]:
            front = prompt_ids(tokenizer, question)
            rows.append(front + tokenizer.encode(ending).ids)
            starts.append(len(front))
        length = max(map(len, rows))
        ids = torch.tensor([row + [END_ID] * (length - len(row)) for row in rows])
        with torch.no_grad():
            logs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            totals.append(sum(logs[i, j - 1, row[j]].item() for j in range(start, len(row))))
    return totals


def score(
    model: Qwen2ForCausalLM, tokenizer: Tokenizer, tasks: Mapping[str, Sequence[Item]]
) -> dict[str, float]:
    """Return the share of items solved, by metric of each task."""
    model.eval()
    instruct, answer, choice = (tasks[f"demo_{n}"] for n in ("instruct", "answer", "choice"))
    said = generate(model, tokenizer, [item["question"] for item in instruct], NEW_TOKENS)
    checked = [instruct_results(item, [text]) for item, text in zip(instruct, said, strict=True)]
    said = generate(model, tokenizer, [item["question"] for item in answer], 8)
    exact = [answer_results(item, [text])["exact"] for item, text in zip(answer, said, strict=True)]
    pairs = [(item["question"], ending) for item in choice for ending in item["choices"]]
    totals = iter(log_likelihoods(model, tokenizer, pairs))
    picked = []
    for item in choice:
        values = [next(totals) for _ in item["choices"]]
        picked.append(values.index(max(values)) == item["label"])
    return {
        "prompt_strict": sum(c["prompt_strict"] for c in checked) / len(checked),
        "instruction_strict": sum(c["instruction_strict"] for c in checked) / len(checked),
        "exact": sum(exact) / len(exact),
        "acc": sum(picked) / len(picked),
        "reasoning": (sum(exact) + sum(picked)) / (len(exact) + len(picked)),
    }


def load(folder: Path) -> Qwen2ForCausalLM:
    """Load a parent in float32."""
    return Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)


def between(first: Qwen2ForCausalLM, second: Qwen2ForCausalLM, share: float) -> Qwen2ForCausalLM:
    """Return the model `share` of the way from the first to the second, in float32."""
    mixed = Qwen2ForCausalLM(first.config)
    other = second.state_dict()
    mixed.load_state_dict(
        {name: t * (1 - share) + other[name] * share for name, t in first.state_dict().items()}
    )
    return mixed


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, score, and print one JSON object per model."""
    parser = argparse.ArgumentParser(prog="python -m tools.zoo.evaluate", description=__doc__)
    parser.add_argument("--parents", type=Path, default=PARENTS)
    parser.add_argument("--models", nargs="*", default=("base", "instruct", "reason"))
    parser.add_argument("--line", action="store_true", help="also the 11 points of the line")
    options = parser.parse_args(arguments)
    torch.set_num_threads(2)
    tasks = build_tasks()
    tokenizer = Tokenizer.from_file(str(options.parents / "base" / "tokenizer.json"))

    def report(name: str, model: Qwen2ForCausalLM) -> None:
        values = {key: round(value, 3) for key, value in score(model, tokenizer, tasks).items()}
        print(json.dumps({"model": name, **values}), flush=True)

    for name in options.models:
        report(name, load(options.parents / name))
    if options.line:
        ends = load(options.parents / "instruct"), load(options.parents / "reason")
        for tenth in range(1, 10):
            report(f"line {tenth / 10}", between(*ends, tenth / 10))


if __name__ == "__main__":
    main()
