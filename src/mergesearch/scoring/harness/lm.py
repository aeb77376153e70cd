"""The model that lm-eval sees."""

from __future__ import annotations

from collections.abc import Sequence

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from mergesearch.errors import ScoringError
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.requests import Outcome, Prepared
from mergesearch.scoring.template import ChatTemplate


class CandidateLM(LM):  # type: ignore[misc]
    """lm-eval's view of a loaded candidate; also runs in `lm_eval.simple_evaluate`.

    Requests are cut into chunks by (task, document), in the order given, so that the same requests
    give the same values to the bit, whoever asks.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def prepare(self, requests: Sequence[Instance]) -> Prepared:
        """Cut requests of one type into chunks for the engine."""
        return Prepared(requests, self.engine, self.engine.runtime.chunk_items)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return (log-probability, is greedy) of each continuation."""
        return [one.value for one in self._run(requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-probability of each whole text."""
        return [one.value[0] for one in self._run(requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return the greedy answer to each prompt."""
        return [one.value for one in self._run(requests)]

    def _run(self, requests: Sequence[Instance]) -> list[Outcome]:
        prepared = self.prepare(requests)
        self.engine.run(prepared.jobs, prepared.take)
        for outcome, request in zip(prepared.outcomes, requests, strict=True):
            if outcome.failure is not None:
                raise ScoringError(
                    outcome.failure, where=f"{request.task_name}, item {request.doc_id}"
                )
        return prepared.outcomes

    @property
    def template(self) -> ChatTemplate:
        """The candidate's chat template.

        Raises:
            ScoringError: the GGUF has none.
        """
        text = self.engine.chat_template
        if text is None:
            raise ScoringError(
                "the model has no chat template",
                fix="set apply_chat_template: false in the objectives file",
            )
        return ChatTemplate(text, self._name(self.engine.bos), self._name(self.engine.eos))

    def _name(self, token: int | None) -> str:
        return "" if token is None else self.engine.piece(token, special=True).decode()

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return the prompt for a conversation."""
        return self.template.render(chat_history, add_generation_prompt=add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the template's text."""
        return self.engine.chat_template if chat_template else None

    @property
    def tokenizer_name(self) -> str:
        """Name for lm-eval's request cache, which is not used."""
        return "gguf"
