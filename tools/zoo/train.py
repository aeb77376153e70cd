"""Train the demo zoo, a base and two fine-tunes, from a seed with a fixed number of steps.

`python -m tools.zoo.train` writes `base`, `instruct` and `reason` in Hugging Face
layout. The same machine with the same number of threads gives the same bytes.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import mergesearch
from tools.zoo.instructions import make_instruction
from tools.zoo.reasoning import make_reasoning
from tools.zoo.stories import make_story

PARENTS: Final = Path(mergesearch.__file__).parent / "zoo" / "parents"
"""The folder of the bundled parents."""
END, USER, BOT = "<|end|>", "<|user|>", "<|bot|>"
END_ID, USER_ID, BOT_ID = 0, 1, 2
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|bot|> ' + message['content'] + '<|end|>' }}"
    "{% else %}{{ '<|user|> ' + message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|bot|>' }}{% endif %}"
)
# Qwen2's own pre-tokenizer. Merges are learned inside the pieces of both it and the byte-level one
# (llama.cpp's `gpt-2`), so a text has the same ids under either: transformers applies the former
# to any model of type qwen2, whatever tokenizer.json says.
QWEN2_PATTERN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
VOCABULARY_SIZE: Final = 1024
CONTEXT: Final = 1024
BATCH: Final = 32
# Batches are cut from a pool sorted by length, so that little of them is padding.
POOL: Final = 32
# Prompts are mostly chance, but who may give what is not: a little of their loss teaches it.
PROMPT_WEIGHT: Final = 0.02
STORY_WEIGHT: Final = 0.05


@dataclass(frozen=True)
class Stage:
    """One training run: steps of 32 examples, peak learning rate, seed, shares of each kind."""

    steps: int
    learning_rate: float
    warmup: int
    seed: int
    instruction: float
    reasoning: float  # what remains are stories


# The base's second run starts with a high learning rate again: copying words in order and tracking
# holders, which everything else is built on, come suddenly and late.
STAGES: Final[Mapping[str, tuple[Stage, ...]]] = {
    "base": (
        Stage(2800, 1.5e-3, 100, 1, 0.45, 0.47),
        Stage(1400, 1e-3, 100, 2, 0.45, 0.47),
    ),
    "instruct": (Stage(800, 6e-4, 30, 7, 1.0, 0.0),),
    # A few instructions among the reasoning: without any, it forgets them altogether.
    "reason": (Stage(1000, 7e-4, 30, 8, 0.04, 0.96),),
}


@dataclass(frozen=True)
class Example:
    """Token ids and the weight of predicting each of them (the first weight is unused)."""

    ids: list[int]
    weights: list[float]


def draw(rng: random.Random, stage: Stage) -> tuple[str | None, str]:
    """Draw one (prompt, answer) pair of a stage's mixture; a story has no prompt."""
    kind = rng.random()
    if kind < stage.instruction:
        instruction = make_instruction(rng, held_out=False)
        return instruction.question, instruction.answer
    if kind < stage.instruction + stage.reasoning:
        reasoning = make_reasoning(rng, held_out=False)
        return reasoning.question, reasoning.answer
    return None, make_story(rng)


@cache
def train_tokenizer(seed: int = 0) -> Tokenizer:
    """Train the byte-level BPE tokenizer (llama.cpp's pre-tokenizer `gpt-2`) on the task text."""
    rng = random.Random(seed)
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    pairs = [draw(rng, Stage(0, 0, 0, 0, 0.45, 0.40)) for _ in range(20_000)]
    texts = [" " + text for pair in pairs for text in pair if text]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END, USER, BOT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = byte_level
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Wrap the tokenizer for transformers, with its special tokens and chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[USER, BOT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def model_config(vocabulary_size: int) -> Qwen2Config:
    """Return the configuration of all parents: Qwen2, 3.8 M parameters, every row K-quantizable."""
    return Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=END_ID,
    )


def encode(
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str | None, str]],
    prompt_weight: float = PROMPT_WEIGHT,
) -> list[Example]:
    """Turn (prompt, answer) pairs into token ids and weights.

    The weights of an answer fall with the root of its length, so that a name of one token counts
    beside a list of twenty.
    """
    prompts = tokenizer.encode_batch([f" {prompt}" for prompt, _ in pairs])
    answers = tokenizer.encode_batch([f" {answer}" for _, answer in pairs])
    examples = []
    for (prompt, _), front, back in zip(pairs, prompts, answers, strict=True):
        head = [] if prompt is None else [USER_ID, *front.ids, BOT_ID]
        tail = [*back.ids, END_ID]
        weight = STORY_WEIGHT if prompt is None else len(tail) ** -0.5
        examples.append(Example(head + tail, [prompt_weight] * len(head) + [weight] * len(tail)))
    return examples


def batches(tokenizer: Tokenizer, stage: Stage, steps: int) -> Iterator[list[Example]]:
    """Yield `steps` batches of examples of similar length."""
    rng = random.Random(stage.seed)
    done = 0
    while done < steps:
        pool = encode(tokenizer, [draw(rng, stage) for _ in range(BATCH * POOL)])
        pool.sort(key=lambda example: len(example.ids))
        cuts = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
        rng.shuffle(cuts)
        yield from cuts[: steps - done]
        done += len(cuts)


def collate(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad a batch on the right: ids (batch, length) int64, weights (batch, length) float32."""
    length = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), length), END_ID)
    weights = torch.zeros(len(examples), length)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        weights[row, : len(example.ids)] = torch.tensor(example.weights)
    return ids, weights


def batch_loss(model: Qwen2ForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean cross-entropy of predicting each next token."""
    with torch.autocast("cpu", torch.bfloat16):
        # Padding is on the right and attention causal, so no mask is needed.
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    flat = weights[:, 1:].flatten()
    return (losses * flat).sum() / flat.sum()


def probe(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> str:
    """Return the loss of the answers alone on a fixed batch of each kind, for the log."""
    report = []
    for name, share in (("instruction", 1.0), ("reasoning", 0.0)):
        rng, stage = random.Random(99), Stage(0, 0, 0, 0, share, 1.0 - share)
        examples = encode(tokenizer, [draw(rng, stage) for _ in range(64)], prompt_weight=0.0)
        with torch.no_grad():
            loss = batch_loss(model, *collate(examples)).item()
        report.append(f"{name} {loss:.3f}")
    return ", ".join(report)


def train_stage(
    model: Qwen2ForCausalLM, tokenizer: Tokenizer, name: str, stage: Stage, steps: int
) -> None:
    """Train all parameters in place: AdamW, warm-up, then linear decay to a twentieth."""
    torch.manual_seed(stage.seed)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=stage.learning_rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True
    )
    began, total = time.monotonic(), 0.0
    for step, examples in enumerate(batches(tokenizer, stage, steps), start=1):
        scale = min(1.0, step / stage.warmup) * (1 - 0.95 * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * scale
        loss = batch_loss(model, *collate(examples))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        if step % 100 == 0 or step == steps:
            answers = probe(model, tokenizer)
            mean, seconds = total / (step % 100 or 100), time.monotonic() - began
            line = f"{name} {step}/{steps} loss {mean:.3f}; answers: {answers}; {seconds:.0f} s"
            print(line, flush=True)
            total = 0.0


def save(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a parent in Hugging Face layout, its tensors in bf16."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = Qwen2ForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    copy.save_pretrained(folder)
    wrap_tokenizer(tokenizer).save_pretrained(folder)
    # safetensors writes for the owner alone, but a wheel's files are for everyone.
    (folder / "model.safetensors").chmod(0o644)
    _tidy_configs(folder)


def _tidy_configs(folder: Path) -> None:
    """Drop the library's version, and name `rope_theta` where older readers look for it."""
    for path in (folder / "config.json", folder / "generation_config.json"):
        content: dict[str, Any] = json.loads(path.read_text())
        content.pop("transformers_version", None)
        if "rope_parameters" in content:
            content["rope_theta"] = content["rope_parameters"]["rope_theta"]
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def train(out: Path, only: Sequence[str] = (), steps_scale: float = 1.0, threads: int = 1) -> None:
    """Train the stages named by `only` (all by default) and write each to `out/<name>`.

    A fine-tune starts from the base as it was saved, in bf16, whether or not it was trained now.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    tokenizer = train_tokenizer()
    for name in only or STAGES:
        if name == "base":
            torch.manual_seed(STAGES[name][0].seed)
            model = Qwen2ForCausalLM(model_config(tokenizer.get_vocab_size()))
        else:
            model = Qwen2ForCausalLM.from_pretrained(out / "base", dtype=torch.float32)
        for stage in STAGES[name]:
            train_stage(model, tokenizer, name, stage, max(1, round(stage.steps * steps_scale)))
            # Every run ends as a saved parent would, so that any can be repeated from a file.
            for parameter in model.parameters():
                parameter.data = parameter.data.to(torch.bfloat16).to(torch.float32)
        save(model, tokenizer, out / name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m tools.zoo.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=PARENTS)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps-scale", type=float, default=1.0)
    options = parser.parse_args(arguments)
    train(options.out, options.only, options.steps_scale, options.threads)


if __name__ == "__main__":
    main()
