"""Made-up rows in the schemas of the data sets that the objectives packs read."""

from __future__ import annotations

from typing import Any

Rows = list[dict[str, Any]]
_NUMBERS = range(5)

IFEVAL: Rows = [
    {
        "key": 1000 + n,
        "prompt": f"Write about topic {n} without any commas. Mention the word tea {n + 1} times.",
        "instruction_id_list": ["punctuation:no_comma", "keywords:frequency"],
        "kwargs": [{}, {"keyword": "tea", "frequency": n + 1, "relation": "at least"}],
    }
    for n in _NUMBERS
]
MUSR: Rows = [
    {
        "narrative": f"Ann and Bob met at {n} o'clock. Bob left with the knife.",
        "question": "Who did it?",
        "choices": "['Ann', 'Bob']",
        "answer_index": n % 2,
        "answer_choice": ("Ann", "Bob")[n % 2],
    }
    for n in _NUMBERS
]
MATH: Rows = [
    {
        "problem": f"What is ${n} + {n}$?",
        "level": "Level 5",
        "type": "Algebra",
        "solution": f"Adding gives $\\boxed{{{2 * n}}}$.",
    }
    for n in _NUMBERS
] + [{"problem": "Easy?", "level": "Level 1", "type": "Algebra", "solution": "$\\boxed{1}$"}]
GPQA: Rows = [
    {
        "Question": f"Which particle has charge {n}?",
        "Correct Answer": f"right {n}",
        "Incorrect Answer 1": f"wrong {n} a",
        "Incorrect Answer 2": f"wrong {n} b",
        "Incorrect Answer 3": f"wrong {n} c [1]",
    }
    for n in _NUMBERS
]
MMLU_PRO: Rows = [
    {
        "question_id": n,
        "question": f"What is {n} squared?",
        "options": [str((n + k) ** 2) for k in range(10)],
        "answer": "A",
        "answer_index": 0,
        "cot_content": f"A: Let's think step by step. {n} times {n}. The answer is (A).",
        "category": "math",
        "src": "made up",
    }
    for n in range(12)
]


def bbh(subtask: str) -> Rows:
    """Rows of a BIG-Bench Hard subtask, with answers that it can have."""
    answers = {
        "boolean_expressions": ("True", "False"),
        "causal_judgement": ("Yes", "No"),
        "navigate": ("Yes", "No"),
        "web_of_lies": ("Yes", "No"),
        "sports_understanding": ("yes", "no"),
        "formal_fallacies": ("valid", "invalid"),
        "object_counting": ("3", "11"),
    }.get(subtask, ("(A)", "(B)"))
    return [{"input": f"{subtask} question {n}", "target": answers[n % 2]} for n in _NUMBERS]


def splits(path: str, name: str | None) -> dict[str, Rows]:
    """Return the splits that a data set has, by its address and configuration."""
    if path == "SaylorTwift/bbh":
        return {"test": bbh(str(name))}
    return {
        "wis-k/instruction-following-eval": {"train": IFEVAL},
        "TAUR-Lab/MuSR": dict.fromkeys(
            ("murder_mysteries", "object_placements", "team_allocation"), MUSR
        ),
        "DigitalLearningGmbH/MATH-lighteval": {"train": MATH, "test": MATH},
        "Idavidrein/gpqa": {"train": GPQA},
        "TIGER-Lab/MMLU-Pro": {"test": MMLU_PRO[:5], "validation": MMLU_PRO[5:]},
    }[path]
