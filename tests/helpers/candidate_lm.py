"""A loaded candidate as lm-eval's `simple_evaluate` sees a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from mergesearch.errors import ScoringError
from mergesearch.objectives import Objectives
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.requests import Outcome, Question, make_chunks
from mergesearch.scoring.scorer import run_chunks
from mergesearch.scoring.template import ChatTemplate


class CandidateLM(LM):
    """Cuts requests into chunks by (task, document), in the order given, as a scorer does."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return self._values(requests)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        return [logprob for logprob, _ in self._values(requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return self._values(requests)

    def _values(self, requests: Sequence[Instance]) -> list[Any]:
        """lm-eval repeats a request as often as it wants answers."""
        questions = [
            Question(repeats[0], tuple(Outcome() for _ in repeats))
            for repeats in (list(group) for _, group in groupby(requests, key=id))
        ]
        chunks = make_chunks("", questions, self.engine, self.engine.runtime.chunk_items)
        run_chunks(self.engine, chunks, None, lambda chunk: None)
        outcomes = [outcome for question in questions for outcome in question.outcomes]
        for outcome in outcomes:
            if outcome.failure is not None:
                raise ScoringError(outcome.failure)
        return [outcome.value for outcome in outcomes]

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        template = ChatTemplate.of(self.engine, Objectives(()))
        return template.render(chat_history, add_generation_prompt=add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return self.engine.chat_template if chat_template else None

    @property
    def tokenizer_name(self) -> str:
        return "gguf"
