"""What runs chunks: two llama.cpp contexts of one model, and the bookkeeping of their sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mergesearch.objectives import Runtime
from mergesearch.scoring.answers import Answer, Generated, GenRequest, Pieces
from mergesearch.scoring.chunks import (
    Job,
    Likelihood,
    PackPlan,
    PrefixGroup,
    Tokens,
    group_pairs,
    log_chances,
    pack_groups,
    shared_header,
)
from mergesearch.scoring.engine.context import Context
from mergesearch.scoring.memory import LIKELIHOOD_CELLS, LOGITS_BYTES, rounded_cells

Pair = tuple[Tokens, Tokens]

_LIKELIHOOD_SEQUENCES = 64  # sequences of one pack; llama.cpp allows 256


def generation_cells(requests: Sequence[GenRequest]) -> int:
    """Return the KV cells that each sequence of a chunk is given."""
    return rounded_cells(
        max((len(request.tokens) + request.most_tokens for request in requests), default=0)
    )


class Decoder:
    """Two llama.cpp contexts of one model, each made when it is first needed.

    Generation gives every sequence a KV stream of its own, so that a token attends over its own
    sequence's cells only. Log-likelihoods use one unified cache, where the tokens of a common
    prefix carry the ids of all sequences that share it.
    """

    def __init__(
        self, model: Any, vocabulary: Pieces, n_vocab: int, runtime: Runtime, threads: int
    ) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._runtime = runtime
        self._threads = threads
        self._contexts: dict[bool, Context] = {}
        self._rows = max(1, LOGITS_BYTES // (4 * n_vocab))

    def run(self, job: Job) -> list[Any]:
        """Run a chunk."""
        return [*(self.generate if job.generates else self.loglikelihood)(job.requests)]

    def close(self) -> None:
        """Free the contexts."""
        for context in self._contexts.values():
            context.close()
        self._contexts.clear()

    def _context(self, unified: bool, cells: int, sequences: int) -> Context:
        """Return an empty context; made again, larger, where the one at hand is too small.

        Its size does not change results: llama.cpp attends over the cells in use, rounded up.
        """
        cells = rounded_cells(cells)
        have = self._contexts.get(unified)
        if have is None or have.cells < cells:
            if have is not None:
                have.close()
            have = Context(
                self._model,
                self._runtime,
                unified=unified,
                cells=cells,
                sequences=sequences,
                threads=self._threads,
            )
            self._contexts[unified] = have
        have.clear()
        return have

    # -- generation ------------------------------------------------------------------------------

    def generate(self, requests: Sequence[GenRequest]) -> list[Generated]:
        """Longest prompts start first; a finished sequence's place is taken by the next prompt.

        What all prompts of the chunk begin with is read once, in a sequence of its own.
        """
        if not requests:
            return []
        places = self._runtime.n_parallel
        context = self._context(False, generation_cells(requests), places + 1)
        header = shared_header([request.tokens for request in requests])
        self._read(context, requests[0].tokens[:header], 0, places)
        waiting = sorted(range(len(requests)), key=lambda at: (len(requests[at].tokens), -at))
        free = list(range(places))[::-1]
        active: dict[int, Answer] = {}
        done: dict[int, Generated] = {}
        while waiting or active:
            while waiting and free:
                index, slot = waiting.pop(), free.pop()
                active[slot] = Answer(index, requests[index], self._vocabulary, header)
                if header:
                    context.copy(places, slot)
            for slot in self._step(context, active):
                answer = active.pop(slot)
                done[answer.index] = answer.result()
                context.forget(slot)
                free.append(slot)
        return [done[index] for index in range(len(requests))]

    def _read(self, context: Context, tokens: Sequence[int], start: int, seq: int) -> None:
        """Read tokens that nothing is predicted from."""
        for first in range(0, len(tokens), context.n_batch):
            part = tokens[first : first + context.n_batch]
            context.batch.add(part, start + first, seq, False)
            context.decode()

    def _step(self, context: Context, active: Mapping[int, Answer]) -> list[int]:
        """Give every active sequence one more token; returns the slots that are done."""
        finished: list[int] = []
        members: list[int] = []
        for slot in sorted(active):
            reading = active[slot].unread()
            if members and context.batch.size + len(reading) > context.n_batch:
                finished += self._advance(context, active, members)
                members = []
            if len(reading) > context.n_batch:
                whole = len(reading) // context.n_batch * context.n_batch
                whole -= context.n_batch * (whole == len(reading))  # the last token predicts
                self._read(context, reading[:whole], active[slot].n_read, slot)
                active[slot].n_read += whole
                reading = reading[whole:]
            context.batch.add(reading, active[slot].n_read, slot, True)
            active[slot].n_read += len(reading)
            members.append(slot)
        return finished + self._advance(context, active, members)

    def _advance(
        self, context: Context, active: Mapping[int, Answer], members: Sequence[int]
    ) -> list[int]:
        logits = context.decode()
        best = logits.argmax(axis=1).tolist()
        return [
            slot
            for slot, row, token in zip(members, logits, best, strict=True)
            if active[slot].take(active[slot].next_token(row, token))
        ]

    # -- log-likelihoods -------------------------------------------------------------------------

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Score packs of groups, each pack in an empty cache."""
        if not pairs:
            return []
        longest = max(len(context) + len(continuation) - 1 for context, continuation in pairs)
        cells = max(LIKELIHOOD_CELLS, longest)
        groups = group_pairs(pairs, _LIKELIHOOD_SEQUENCES, cells)
        packs = pack_groups(groups, _LIKELIHOOD_SEQUENCES, cells)
        largest = max(sum(group.cells for group in pack) for pack in packs)
        results: dict[int, Likelihood] = {}
        for pack in packs:
            results.update(self._score_pack(pack, max(cells, largest)))
        return [results[index] for index in range(len(pairs))]

    def _score_pack(self, pack: Sequence[PrefixGroup], cells: int) -> dict[int, Likelihood]:
        context = self._context(True, cells, _LIKELIHOOD_SEQUENCES)
        plan = PackPlan(pack)
        logprobs = np.empty(len(plan.want_at), np.float64)
        greedy = np.empty(len(plan.want_at), bool)
        for part, first_row in plan.parts(context.n_batch, self._rows):
            context.batch.add_arrays(
                plan.tokens[part],
                plan.positions[part],
                plan.first_seq[part],
                plan.n_seq[part],
                plan.wanted[part],
            )
            logits = context.decode()
            mine = np.flatnonzero((plan.want_at >= part.start) & (plan.want_at < part.stop))
            rows = plan.rows[mine] - first_row
            logprobs[mine], greedy[mine] = log_chances(logits, rows, plan.want_token[mine])
        return {
            request: Likelihood(math.fsum(logprobs[begin:end]), bool(greedy[begin:end].all()))
            for request, begin, end in plan.spans
        }
