"""lm-eval's requests as chunks of tokens for the engine, and the engine's results as responses.

Written against the shape of lm-eval's `Instance` (request_type, args, task_name, doc_id), without
importing it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from mergesearch.objectives import Thinking
from mergesearch.scoring.answers import (
    Generated,
    GenRequest,
    Sampling,
    Thought,
    item_seed,
    sampling_options,
)
from mergesearch.scoring.chunks import (
    DoesNotFit,
    Job,
    Likelihood,
    Tokens,
    cut_chunks,
    fit_pair,
    fit_prompt,
    rolling_windows,
)

if TYPE_CHECKING:
    from mergesearch.scoring.engine import Engine

DEFAULT_MAX_TOKENS = 256
"""New tokens where a task sets no limit (lm_eval/models/huggingface.py, `max_gen_toks`)."""
_MAX_TOKENS_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


class Instance(Protocol):
    """The part of lm-eval's `Instance` that is used."""

    request_type: str
    idx: int
    task_name: str | None
    doc_id: int | None
    repeats: int | None
    resps: list[Any]

    @property
    def args(self) -> tuple[Any, ...]:
        """What the request type takes: texts, and options of a generation."""


@dataclass
class Outcome:
    """One answer to a request, or the reason why there is none.

    Attributes:
        value: Text, (log-probability, is greedy), or a log-probability, by request type.
        failure: Reason why there is no value.
        tokens_in: Number of tokens read; a context that requests share counts for each of them.
        tokens_out: Number of tokens generated, those of a thought included.
        tokens_thought: Number of tokens generated before the answer.
        tokens_predicted: Number of tokens whose log-probability was asked for.
        cut: Number of tokens cut from the left of the prompt because it exceeded the context.
        seconds: The answer's part of its chunk's time.
    """

    value: Any = None
    failure: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_thought: int = 0
    tokens_predicted: int = 0
    cut: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether there is a value, or will be none."""
        return self.value is not None or self.failure is not None


@dataclass(frozen=True)
class Question:
    """A request and a candidate's answers to it: one, or several where they are sampled."""

    request: Instance
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, request: Instance) -> Question:
        """Return a request without answers so far."""
        sampled = request.request_type == "generate_until" and sampling_options(request.args[1])
        count = request.repeats or 1 if sampled else 1
        return cls(request, tuple(Outcome() for _ in range(count)))

    def responses(self) -> list[Any]:
        """Return the answers as lm-eval has them; where repeats do not differ, the same again."""
        values = [outcome.value for outcome in self.outcomes]
        if self.request.request_type == "loglikelihood_rolling":
            values = [value and value[0] for value in values]
        return values * (self.request.repeats or 1) if len(values) == 1 else values


@dataclass(frozen=True)
class Chunk:
    """Requests of one type and task that go through llama.cpp together, from an empty KV cache.

    Attributes:
        task: Name of the task, as the objectives file has it.
        kind: Type of the requests, as lm-eval names it.
        job: Tokens for the engine.
        outcomes: Where the result of each of the job's requests is entered; the windows of a
            rolling text have one together.
    """

    task: str
    kind: str
    job: Job
    outcomes: tuple[Outcome, ...]

    def take(self, results: Sequence[Generated | Likelihood], seconds: float) -> None:
        """Enter the engine's results for the job, which took so many seconds."""
        sizes = [_tokens(request) for request in self.job.requests]
        written = [len(result.tokens) if isinstance(result, Generated) else 0 for result in results]
        total = max(1, sum(map(sum, sizes)) + sum(written))
        for outcome, (context, predicted), new, result in zip(
            self.outcomes, sizes, written, results, strict=True
        ):
            if isinstance(result, Generated):
                outcome.value = result.text
                outcome.tokens_thought += result.n_thought
            elif outcome.value is None:
                outcome.value = (result.logprob, result.is_greedy)
            else:  # a further window of a rolling text
                outcome.value = (outcome.value[0] + result.logprob, False)
            outcome.tokens_in += context + predicted
            outcome.tokens_out += new
            outcome.tokens_predicted += predicted
            outcome.seconds += seconds * (context + predicted + new) / total


def _tokens(request: GenRequest | tuple[Tokens, Tokens]) -> tuple[int, int]:
    """Number of tokens before those that are predicted, and of those whose value is asked for."""
    if isinstance(request, GenRequest):
        return len(request.tokens), 0
    context, continuation = request
    return len(context), len(continuation)


def make_chunks(
    task: str,
    questions: Sequence[Question],
    engine: Engine,
    chunk_items: int,
    thinking: Thinking | None = None,
) -> list[Chunk]:
    """Cut a task's requests into chunks, each type of request apart, in the order given.

    A request that does not fit the context takes no part; its outcomes get the reason.

    Args:
        questions: Requests, those of one item together.
        chunk_items: Number of items in a chunk.
        thinking: How thoughts are told from answers.
    """
    encoder = _Encoder(engine, thinking)
    chunks: list[Chunk] = []
    for kind in dict.fromkeys(question.request.request_type for question in questions):
        slots = [
            (question.request, repeat, outcome)
            for question in questions
            if question.request.request_type == kind
            for repeat, outcome in enumerate(question.outcomes)
        ]
        owners = [(str(request.task_name), request.doc_id) for request, _, _ in slots]
        for span in cut_chunks(owners, chunk_items):
            requests: list[Any] = []
            outcomes: list[Outcome] = []
            for request, repeat, outcome in slots[span.start : span.stop]:
                try:
                    encoded, outcome.cut = encoder.encode(request, repeat)
                except DoesNotFit as reason:
                    outcome.failure = str(reason)
                    continue
                requests += encoded
                outcomes += [outcome] * len(encoded)
            job = Job(tuple(requests), generates=kind == "generate_until")
            chunks.append(Chunk(task, kind, job, tuple(outcomes)))
    return chunks


# -- requests of each type -------------------------------------------------------------------------


class _Encoder:
    """Makes the engine's requests of lm-eval's."""

    def __init__(self, engine: Engine, thinking: Thinking | None) -> None:
        self._engine = engine
        self._thinking = thinking
        self._contexts: dict[str, Tokens] = {}

    def encode(self, request: Instance, repeat: int) -> tuple[list[Any], int]:
        """Return the engine's requests for one of lm-eval's, and how many tokens were cut.

        Args:
            repeat: Number of the answer, where several are sampled.

        Raises:
            DoesNotFit: It cannot be made to fit the context.
        """
        match request.request_type:
            case "generate_until":
                return self._generation(request, repeat)
            case "loglikelihood":
                return self._pair(*request.args)
            case _:
                return self._rolling(*request.args)

    def _generation(self, request: Instance, repeat: int) -> tuple[list[GenRequest], int]:
        prompt, options = request.args
        max_tokens, until, sampling = generation_options(options)
        thought = None if self._thinking is None else self._thought(self._thinking, prompt)
        most_tokens = max_tokens + (0 if thought is None else thought.most_tokens)
        tokens = self._engine.tokenize(prompt)
        kept, cut = fit_prompt(tokens, most_tokens, self._engine.n_ctx)
        if sampling is not None:
            seed = item_seed(str(request.task_name), request.doc_id, request.idx, repeat)
            sampling = replace(sampling, seed=seed)
        return [GenRequest(kept, max_tokens, until, sampling, thought)], cut

    def _thought(self, thinking: Thinking, prompt: str) -> Thought:
        return Thought(
            opened=opens_thought(prompt, thinking),
            start=thinking.start.encode(),
            end=thinking.end.encode(),
            closing=self._engine.tokenize(thinking.end, add_special=False),
            budget=thinking.budget,
        )

    def _pair(self, context: str, continuation: str) -> tuple[list[tuple[Tokens, Tokens]], int]:
        if self._thinking is not None and opens_thought(context, self._thinking):
            context = f"{context.rstrip()}\n\n{self._thinking.end}\n\n"  # an empty thought
        encoded = self._encode_pair(context, continuation)
        first, second, cut = fit_pair(*encoded, self._engine.n_ctx)
        return [(first, second)], cut

    def _rolling(self, text: str) -> tuple[list[tuple[Tokens, Tokens]], int]:
        tokens = self._engine.tokenize(text, add_special=False)
        windows = rolling_windows(tokens, self._prefix_token(), self._engine.n_ctx)
        if not windows:
            raise DoesNotFit("the text has no tokens")
        return windows, 0

    def _encode_pair(self, context: str, continuation: str) -> tuple[Tokens, Tokens]:
        """Tokenize both together and cut at the context's length (lm_eval/api/model.py)."""
        tokenize = self._engine.tokenize
        if not context:
            tokens = tokenize(continuation, add_special=False)
            prefix = self._prefix_token()
            if tokens[:1] == (prefix,):
                return tokens[:1], tokens[1:]
            return (prefix,), tokens
        kept = context.rstrip()
        continuation, context = context[len(kept) :] + continuation, kept
        if context not in self._contexts:
            self._contexts[context] = tokenize(context)
        first = self._contexts[context]
        return first, tokenize(context + continuation)[len(first) :]

    def _prefix_token(self) -> int:
        for token in (self._engine.bos, self._engine.eos):
            if token is not None:
                return token
        raise DoesNotFit("a text without context needs a token that begins or ends a text")


def opens_thought(prompt: str, thinking: Thinking) -> bool:
    """Whether a prompt ends inside a thought: a chat template opened it."""
    return prompt.rstrip().endswith(thinking.start)


def generation_options(
    options: Mapping[str, Any],
) -> tuple[int, tuple[str, ...], Sampling | None]:
    """Return what a task's `generation_kwargs` ask for: most new tokens, stop strings, sampling."""
    limit = next((int(options[key]) for key in _MAX_TOKENS_KEYS if options.get(key)), None)
    until = options.get("until") or ()
    return (
        DEFAULT_MAX_TOKENS if limit is None else limit,
        (until,) if isinstance(until, str) else tuple(until),
        sampling_options(options),
    )
