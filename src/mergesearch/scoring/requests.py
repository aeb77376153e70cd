"""lm-eval's requests as chunks of tokens for the engine, and the engine's results as responses.

Written against the shape of lm-eval's `Instance` (request_type, args, task_name, doc_id), without
importing it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mergesearch.scoring.chunks import (
    DoesNotFit,
    Tokens,
    cut_chunks,
    fit_pair,
    fit_prompt,
    rolling_windows,
)
from mergesearch.scoring.sampling import Sampling, item_seed, sampling_options
from mergesearch.scoring.sequences import Generated, GenRequest, Likelihood

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

    @property
    def args(self) -> tuple[Any, ...]:
        """What the request type takes: texts, and options of a generation."""


class Vocabulary(Protocol):
    """What turning texts into requests needs from the engine."""

    n_ctx: int

    @property
    def bos(self) -> int | None:
        """Token that begins a text."""

    @property
    def eos(self) -> int | None:
        """Token that ends a text."""

    def tokenize(self, text: str, *, add_special: bool = True) -> Tokens:
        """Return the tokens of a text."""


@dataclass
class Outcome:
    """The response to one request, or why there is none.

    Attributes:
        value: text, (log-probability, is greedy), or a log-probability, by request type.
        failure: reason, None where there is a value.
        tokens_in: tokens read; of a context shared between requests each counts it.
        tokens_out: tokens generated.
        tokens_predicted: tokens of the continuation, whose log-probability was asked for.
        cut: tokens cut from the left of the prompt because it exceeded the context.
        seconds: the request's part of its chunk's time.
        copies: further sampled answers to the same request.
    """

    value: Any = None
    failure: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_predicted: int = 0
    cut: int = 0
    seconds: float = 0.0
    copies: list[Outcome] = field(default_factory=list)

    def all(self) -> list[Outcome]:
        """Return this and its copies."""
        return [self, *self.copies]


@dataclass(frozen=True)
class Job:
    """One chunk for the engine: requests to generate, or (context, continuation) pairs."""

    requests: tuple[Any, ...]
    generates: bool

    @property
    def weight(self) -> int:
        """Tokens it may take, a rough measure of its time."""
        return sum(
            len(one.tokens) + one.max_tokens if self.generates else len(one[0]) + len(one[1])
            for one in self.requests
        )


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


def copies(request: Instance) -> int:
    """Return how many answers a request needs: its repeats, where they differ."""
    if request.request_type != "generate_until" or sampling_options(request.args[1]) is None:
        return 1
    return request.repeats or 1


class Prepared:
    """Requests of one type, cut into chunks; takes the engine's results and gives outcomes."""

    def __init__(
        self, instances: Sequence[Instance], vocabulary: Vocabulary, chunk_items: int
    ) -> None:
        self._vocabulary = vocabulary
        self._contexts: dict[str, Tokens] = {}
        self._asked: Counter[tuple[str, int | None, int]] = Counter()
        self.outcomes = [Outcome() for _ in instances]
        self.jobs: list[Job] = []
        self.members: list[range] = []
        self._slots: list[list[int]] = []  # for each job: which outcome each request belongs to
        owners = [(str(one.task_name), one.doc_id) for one in instances]
        for chunk in cut_chunks(owners, chunk_items):
            self._prepare(chunk, instances)

    def _prepare(self, chunk: range, instances: Sequence[Instance]) -> None:
        requests: list[Any] = []
        slots: list[int] = []
        kind = instances[chunk[0]].request_type
        for index in chunk:
            try:
                made, cut = _MAKERS[kind](self, instances[index])
            except DoesNotFit as reason:
                self.outcomes[index].failure = str(reason)
                continue
            self.outcomes[index].cut = cut
            requests += made
            slots += [index] * len(made)
        self.jobs.append(Job(tuple(requests), kind == "generate_until"))
        self.members.append(chunk)
        self._slots.append(slots)

    # -- requests of each type -------------------------------------------------------------------

    def _generation(self, asked: Instance) -> tuple[list[Any], int]:
        prompt, options = asked.args
        max_tokens, until, sampling = generation_options(options)
        tokens = self._vocabulary.tokenize(prompt)
        kept, cut = fit_prompt(tokens, max_tokens, self._vocabulary.n_ctx)
        if sampling is not None:
            owner = str(asked.task_name), asked.doc_id, asked.idx
            sampling = replace(sampling, seed=item_seed(*owner, self._asked[owner]))
            self._asked[owner] += 1
        return [GenRequest(kept, max_tokens, until, sampling)], cut

    def _pair(self, asked: Instance) -> tuple[list[Any], int]:
        context, continuation = self._encode_pair(asked.args[0], asked.args[1])
        first, second, cut = fit_pair(context, continuation, self._vocabulary.n_ctx)
        return [(first, second)], cut

    def _rolling(self, asked: Instance) -> tuple[list[Any], int]:
        tokens = self._vocabulary.tokenize(asked.args[0], add_special=False)
        windows = rolling_windows(tokens, self._prefix_token(), self._vocabulary.n_ctx)
        if not windows:
            raise DoesNotFit("the text has no tokens")
        return list(windows), 0

    def _encode_pair(self, context: str, continuation: str) -> tuple[Tokens, Tokens]:
        """Tokenize both together and cut at the context's length (lm_eval/api/model.py)."""
        tokenize = self._vocabulary.tokenize
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
        for token in (self._vocabulary.bos, self._vocabulary.eos):
            if token is not None:
                return token
        raise DoesNotFit("a text without context needs a token that begins or ends a text")

    # -- results ---------------------------------------------------------------------------------

    def take(self, job: int, results: Sequence[Generated | Likelihood], seconds: float) -> None:
        """Enter the engine's results for a job."""
        weights = [_tokens(one) for one in self.jobs[job].requests]
        total = sum(map(sum, weights)) + sum(
            len(one.tokens) for one in results if isinstance(one, Generated)
        )
        for slot, (context, more), result in zip(self._slots[job], weights, results, strict=True):
            outcome = self.outcomes[slot]
            read = context + more
            if isinstance(result, Generated):
                outcome.value = result.text
                outcome.tokens_out += len(result.tokens)
                read += len(result.tokens)
            elif outcome.value is None:
                outcome.value = (result.logprob, result.is_greedy)
            else:  # a further window of a rolling text
                outcome.value = (outcome.value[0] + result.logprob, False)
            outcome.tokens_in += context + more
            outcome.tokens_predicted += more
            outcome.seconds += seconds * read / max(1, total)


def _tokens(request: GenRequest | tuple[Tokens, Tokens]) -> tuple[int, int]:
    if isinstance(request, GenRequest):
        return len(request.tokens), 0
    return len(request[0]), len(request[1])


_MAKERS: dict[str, Callable[[Prepared, Instance], tuple[list[Any], int]]] = {
    "generate_until": Prepared._generation,
    "loglikelihood": Prepared._pair,
    "loglikelihood_rolling": Prepared._rolling,
}
