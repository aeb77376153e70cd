"""What is decided before llama.cpp runs: chunks, truncation, windows, shared prefixes, packs.

Pure functions of the requests and the runtime settings. llama.cpp's results depend on what shares
a batch, so nothing here may look at a clock, at the machine, or at what was scored before.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import kernels

Tokens = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)


class DoesNotFit(Exception):
    """A request cannot be made to fit the context; the message is the item's reason."""


@dataclass(frozen=True)
class Job:
    """What the engine takes: prompts to continue, or (context, continuation) pairs."""

    requests: tuple[Any, ...]
    generates: bool

    @property
    def read(self) -> int:
        """Number of tokens of the prompts, or of the contexts and continuations."""
        if self.generates:
            return sum(len(prompt.tokens) for prompt in self.requests)
        return sum(len(context) + len(continuation) for context, continuation in self.requests)

    @property
    def written(self) -> int:
        """Number of tokens that the answers may have at most."""
        return sum(prompt.most_tokens for prompt in self.requests) if self.generates else 0

    @property
    def weight(self) -> int:
        """Number of tokens it may take, a rough measure of its time."""
        return self.read + self.written


def cut_chunks(owners: Sequence[tuple[str, Key]], chunk_items: int) -> list[range]:
    """Cut requests, whose owners are (task, item), into chunks of at most `chunk_items` items.

    A chunk never spans two tasks, so that a task's chunks do not depend on its neighbours;
    requests of one item that stand together stay together.

    Returns:
        Ranges of request indices, in order, that cover all requests.
    """
    chunks: list[range] = []
    start = 0
    for _, of_task in groupby(owners, key=lambda owner: owner[0]):
        sizes = [len(list(of_item)) for _, of_item in groupby(of_task)]
        for first in range(0, len(sizes), chunk_items):
            stop = start + sum(sizes[first : first + chunk_items])
            chunks.append(range(start, stop))
            start = stop
    return chunks


def fit_prompt(tokens: Sequence[int], max_tokens: int, n_ctx: int) -> tuple[Tokens, int]:
    """Cut a prompt on the left until it and `max_tokens` new tokens fit in `n_ctx`.

    Returns:
        The tokens kept, and how many were cut.

    Raises:
        DoesNotFit: The new tokens alone leave no room, or the prompt is empty.
    """
    room = n_ctx - max_tokens
    if room < 1:
        raise DoesNotFit(f"{max_tokens} new tokens leave no room for a prompt in n_ctx {n_ctx}")
    if not tokens:
        raise DoesNotFit("the prompt has no tokens")
    cut = max(0, len(tokens) - room)
    return tuple(tokens[cut:]), cut


def fit_pair(
    context: Sequence[int], continuation: Sequence[int], n_ctx: int
) -> tuple[Tokens, Tokens, int]:
    """Cut a context on the left until it and its continuation fit in `n_ctx`.

    The last token of the continuation is only predicted, never read; it takes no room
    (lm_eval/models/huggingface.py, `_loglikelihood_tokens`).

    Returns:
        Context, continuation, and how many tokens were cut.

    Raises:
        DoesNotFit: The continuation alone is too long, or one of both is empty.
    """
    if not context or not continuation:
        raise DoesNotFit("the context or the continuation has no tokens")
    cut = max(0, len(context) + len(continuation) - 1 - n_ctx)
    if cut >= len(context):
        raise DoesNotFit(f"a continuation of {len(continuation)} tokens exceeds n_ctx {n_ctx}")
    return tuple(context[cut:]), tuple(continuation), cut


def rolling_windows(tokens: Sequence[int], prefix: int, n_ctx: int) -> list[tuple[Tokens, Tokens]]:
    """Cut a text into (context, continuation) windows that predict each token exactly once.

    The first window starts from the prefix token; the last one sees as much context as fits
    (lm_eval/utils.py, `get_rolling_token_windows` with a context of one token).
    """
    if not tokens:
        return []
    first = min(n_ctx, len(tokens))
    windows: list[tuple[Tokens, Tokens]] = [((prefix,), tuple(tokens[:first]))]
    done = first
    while done < len(tokens):
        stop = min(done + n_ctx, len(tokens))
        start = stop - n_ctx - 1
        windows.append((tuple(tokens[start:done]), tuple(tokens[done:stop])))
        done = stop
    return windows


# -- prefixes and packs ----------------------------------------------------------------------------


@dataclass(frozen=True)
class PrefixGroup:
    """Requests that read what they have in common once, as a tree of sequences, branch by branch.

    Attributes:
        requests: Indices of the requests, one sequence each.
        sequences: Tokens that each sequence reads.
        shared: Number of leading tokens that a sequence shares with the one before it.
        targets: Pairs (position that it is predicted from, token) of each request.
    """

    requests: tuple[int, ...]
    sequences: tuple[Tokens, ...]
    shared: tuple[int, ...]
    targets: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def cells(self) -> int:
        """Number of KV cells the group takes, one per token read."""
        return sum(map(len, self.sequences)) - sum(self.shared)


def common_prefix(sequences: Sequence[Tokens]) -> int:
    """Return how many leading tokens all sequences share."""
    shortest, longest = min(sequences), max(sequences)
    for at, (first, last) in enumerate(zip(shortest, longest, strict=False)):
        if first != last:
            return at
    return min(len(shortest), len(longest))


MIN_HEADER = 64
"""Leading tokens that all prompts of a chunk must share for reading them once to be worth it."""


def shared_header(prompts: Sequence[Tokens]) -> int:
    """Return how many leading tokens of prompts to generate from are read once, 0 for none.

    Every prompt keeps a token of its own, which its first new token is predicted from.
    """
    if len(prompts) < 2:
        return 0
    shared = min(common_prefix(prompts), min(map(len, prompts)) - 1)
    return shared if shared >= MIN_HEADER else 0


MIN_SHARED = 32
"""Leading tokens that different contexts must share for reading them once to be worth it."""


def group_pairs(
    pairs: Sequence[tuple[Tokens, Tokens]], max_sequences: int, max_cells: int
) -> list[PrefixGroup]:
    """Put requests together that have the same context, or contexts that begin alike.

    A group has at most `max_sequences`, and at most twice `max_cells`: every further group reads
    again what its contexts (choices of a question, questions on one text, prompts after one
    few-shot header) share, but a token attends over all cells of its group.
    """
    by_context: dict[Tokens, list[int]] = {}
    for index, (context, _) in enumerate(pairs):
        by_context.setdefault(context, []).append(index)
    most = 2 * max_cells
    groups: list[PrefixGroup] = []
    for alike in _alike(list(by_context)):
        together: list[int] = []
        for context in alike:
            members = by_context[context]
            if len(alike) > 1 and _fits(pairs, [*together, *members], max_sequences, most):
                together += members
                continue
            groups += _groups_of(pairs, together, max_sequences, most)
            together = list(members)
        groups += _groups_of(pairs, together, max_sequences, most)
    return groups


def _alike(contexts: Sequence[Tokens]) -> list[list[Tokens]]:
    """Contexts in order of their tokens, cut where neighbours begin with too little in common."""
    runs: list[list[Tokens]] = []
    for context in sorted(contexts):
        if runs and common_prefix([runs[-1][-1], context]) >= MIN_SHARED:
            runs[-1].append(context)
        else:
            runs.append([context])
    return runs


def _fits(
    pairs: Sequence[tuple[Tokens, Tokens]], members: Sequence[int], sequences: int, cells: int
) -> bool:
    return len(members) <= sequences and _group(pairs, members).cells <= cells


def _groups_of(
    pairs: Sequence[tuple[Tokens, Tokens]], members: list[int], max_sequences: int, max_cells: int
) -> list[PrefixGroup]:
    """Groups of requests of one context, or the one group of several contexts that fit."""
    if len({pairs[member][0] for member in members}) > 1:
        return [_group(pairs, members)]
    return [
        group
        for first in range(0, len(members), max_sequences)
        for group in _fitting_groups(pairs, members[first : first + max_sequences], max_cells)
    ]


def _fitting_groups(
    pairs: Sequence[tuple[Tokens, Tokens]], members: Sequence[int], max_cells: int
) -> Iterator[PrefixGroup]:
    group = _group(pairs, members)
    if group.cells <= max_cells or len(members) == 1:
        yield group
        return
    half = len(members) // 2
    yield from _fitting_groups(pairs, members[:half], max_cells)
    yield from _fitting_groups(pairs, members[half:], max_cells)


def _group(pairs: Sequence[tuple[Tokens, Tokens]], members: Sequence[int]) -> PrefixGroup:
    contexts = [pairs[member][0] for member in members]
    continuations = [pairs[member][1] for member in members]
    both = list(zip(contexts, continuations, strict=True))
    sequences = [context + continuation[:-1] for context, continuation in both]
    targets = tuple(
        tuple(enumerate(continuation, start=len(context) - 1)) for context, continuation in both
    )
    shared: list[int] = []
    for context, run in groupby(range(len(members)), key=lambda at: contexts[at]):
        at = list(run)
        before = contexts[at[0] - 1] if at[0] else ()
        own = common_prefix([sequences[index] for index in at])
        shared += [common_prefix([before, context]), *[own] * (len(at) - 1)]
    return PrefixGroup(tuple(members), tuple(sequences), tuple(shared), targets)


def pack_groups(
    groups: Sequence[PrefixGroup], max_sequences: int, max_cells: int
) -> list[tuple[PrefixGroup, ...]]:
    """Pack groups, largest first, into batches of at most `max_sequences` and `max_cells`."""
    order = sorted(groups, key=lambda group: (-group.cells, group.requests))
    packs: list[list[PrefixGroup]] = []
    room: list[tuple[int, int]] = []  # sequences and cells left in each pack
    for group in order:
        sequences, cells = len(group.requests), group.cells
        fits = (at for at, left in enumerate(room) if sequences <= left[0] and cells <= left[1])
        at = next(fits, len(packs))
        if at == len(packs):
            packs.append([])
            room.append((max_sequences, max_cells))
        packs[at].append(group)
        room[at] = room[at][0] - sequences, room[at][1] - cells
    return [tuple(pack) for pack in packs]


class PackPlan:
    """Token arrays of a pack, and which of its rows predict which token of which request."""

    def __init__(self, pack: Sequence[PrefixGroup]) -> None:
        tokens: list[int] = []
        positions: list[int] = []
        first_seq: list[int] = []
        n_seq: list[int] = []
        want_at: list[int] = []
        want_token: list[int] = []
        self.spans: list[tuple[int, int, int]] = []
        seq = 0
        for group in pack:
            path: list[int] = []  # where the tokens of the sequence at hand are in the pack
            for request, sequence, shared, targets in zip(
                group.requests, group.sequences, group.shared, group.targets, strict=True
            ):
                path[shared:] = range(len(tokens), len(tokens) + len(sequence) - shared)
                for at in path[:shared]:
                    n_seq[at] += 1
                tokens += sequence[shared:]
                positions += range(shared, len(sequence))
                first_seq += [seq] * (len(sequence) - shared)
                n_seq += [1] * (len(sequence) - shared)
                seq += 1
                begin = len(want_at)
                want_at += [path[at] for at, _ in targets]
                want_token += [token for _, token in targets]
                self.spans.append((request, begin, len(want_at)))
        self.tokens = np.array(tokens, np.int32)
        self.positions = np.array(positions, np.int32)
        self.first_seq = np.array(first_seq, np.int32)
        self.n_seq = np.array(n_seq, np.int32)
        self.want_at = np.array(want_at, np.int64)
        self.want_token = np.array(want_token, np.int64)
        self.wanted = np.zeros(len(tokens), np.int8)
        self.wanted[self.want_at] = 1
        self._output = np.flatnonzero(self.wanted)
        self.rows = np.searchsorted(self._output, self.want_at)

    def parts(self, max_tokens: int, max_rows: int) -> Iterator[tuple[slice, int]]:
        """Cut the pack into calls of llama.cpp; yields the tokens and the first output row."""
        start = row = 0
        while start < len(self.tokens):
            stop = min(start + max_tokens, len(self.tokens))
            if row + max_rows < len(self._output):
                stop = min(stop, int(self._output[row + max_rows]))
            yield slice(start, stop), row
            start, row = stop, int(np.searchsorted(self._output, stop))


# -- what the logits of a pack say -----------------------------------------------------------------


@dataclass(frozen=True)
class Likelihood:
    """Sum of log-probabilities (nat) of a continuation; whether greedy decoding would give it."""

    logprob: float
    is_greedy: bool


def log_chances(
    logits: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return log-probability and greediness of `tokens[i]` under row `rows[i]` of the logits.

    Sums are the kernels': in float64, in an order that no processor changes. Of equal logits the
    first is the greedy one.

    Args:
        logits: Logits, `(n, n_vocab)`.
        rows: Number of a row for each token, `(tokens,)`.
        tokens: Tokens, `(tokens,)`.
    """
    best, total = np.empty(len(logits), np.int64), np.empty(len(logits), np.float64)
    kernels().log_sums(logits, best, total)
    chosen = logits[rows, tokens].astype(np.float64)
    return chosen - total[rows], best[rows] == tokens
