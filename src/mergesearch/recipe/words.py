"""A recipe in words: in what ratio parents are mixed, and what is scaled rather than mixed.

All numbers are means of the coefficients by which parents go into the result, through all stages,
over its layers and its attention and MLP. A base that only gives deltas is not a parent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from mergesearch.methods.shares import half_shares, t_shares
from mergesearch.recipe.shares import layer_shares, short_names
from mergesearch.recipe.types import Merge, parents_of

Parts = Mapping[str, float]
"""Coefficient of each parent."""
_Span = list[tuple[str, int, int]]
"""Parents that are merged with each other, each with its first layer and the one after its last."""

ABSENT = 0.01
"""Size of a mean coefficient below which a parent is not in the result."""
WHOLE = 0.05
"""Distance from 1 up to which what parents make up together is not called scaled."""
APART = 4 / 3
"""Factor from which two values are told apart: more than a third."""


def in_words(merges: Sequence[Merge], n_layers: int) -> list[str]:
    """Return what a person should know of a recipe, one line for each thing.

    Args:
        merges: Merges that feed each other, the last one the result.
        n_layers: Number of layers of the parents.
    """
    words = _Words(merges, n_layers)
    stacked = all(len(part.sources) == 1 for part in merges[-1].slices) and not merges[-1].whole
    over_depth = [] if stacked else words.over_depth()  # the layers say it
    return [words.mixture(), *words.layers(), *words.scaling(), *over_depth]


class _Words:
    """The coefficients of a recipe, and what is said of them."""

    def __init__(self, merges: Sequence[Merge], n_layers: int) -> None:
        refs = parents_of(merges)
        self._names = dict(zip(refs, short_names(refs), strict=True))
        self._bases = _bases(merges)
        self._parents = [ref for ref in refs if ref not in self._bases]
        self._merges, self._n_layers = merges, n_layers
        layers = layer_shares(merges, n_layers)
        self._all = [shares for layer in layers for shares in layer]
        self._by_group = {
            "attention": [layer.attention for layer in layers],
            "MLP": [layer.mlp for layer in layers],
        }
        self._whole = self._mean(self._all)
        self._groups = {group: self._mean(shares) for group, shares in self._by_group.items()}

    def _mean(self, shares: Sequence[Parts]) -> Parts:
        """The mean coefficient of each parent."""
        return {
            ref: sum(share.get(ref, 0.0) for share in shares) / len(shares) for ref in self._parents
        }

    @property
    def _present(self) -> list[str]:
        """Parents that are in the result, the largest first."""
        found = [ref for ref in self._parents if self._is_anywhere(ref)]
        return sorted(found, key=lambda ref: -self._whole[ref])

    def _is_anywhere(self, ref: str) -> bool:
        return any(abs(share.get(ref, 0.0)) >= ABSENT for share in self._all)

    def mixture(self) -> str:
        """Return the ratio of the parents, and which of them are not in the result."""
        mixed = [ref for ref in self._present if self._whole[ref] >= ABSENT]
        besides = "".join(self._beside(ref) for ref in self._parents if ref not in mixed)
        if not self._present:
            return "the base as it is"
        if not mixed:
            return f"the base{besides}"
        if len(mixed) == 1:
            return f"{self._names[mixed[0]]} alone{besides}"
        called = " : ".join(self._names[ref] for ref in mixed)
        ratio = _ratio(mixed, self._whole) + self._apart_in_groups(mixed)
        return f"{called} = {ratio}{besides}"

    def _beside(self, ref: str) -> str:
        """What is said of a parent that is not mixed in."""
        name, share = self._names[ref], self._whole[ref]
        if share <= -ABSENT:
            return f", {name} taken away ({share:.2f})"
        return f", {'hardly any' if ref in self._present else 'no'} {name} in it"

    def _apart_in_groups(self, mixed: Sequence[str]) -> str:
        """The ratio apart for attention and MLP where one differs by more than a third."""
        attention, mlp = self._groups.values()
        pairs = combinations(mixed, 2)
        if not any(
            _apart(attention[left] * mlp[right], mlp[left] * attention[right], 0.01)
            for left, right in pairs
        ):
            return ""
        said = (f"{group} {_ratio(mixed, parts)}" for group, parts in self._groups.items())
        return f" ({', '.join(said)})"

    def layers(self) -> list[str]:
        """Return which layers follow each other, of each merge that does not have all in order."""
        lines = []
        for merge in self._merges:
            spans = _spans(merge)
            if spans and spans != [[(ref, 0, self._n_layers) for ref, _, _ in spans[0]]]:
                of_stage = f" of {merge.name}" if merge.name else ""
                lines.append(f"layers{of_stage}: " + ", then ".join(map(self._span, spans)))
        return lines

    def _span(self, span: _Span) -> str:
        """Layers of one parent, or of several that are merged with each other."""
        by_range: dict[str, list[str]] = {}
        for ref, start, stop in span:
            to = f"{start} to {stop - 1}" if stop - start > 1 else f"{start}"
            named = by_range.setdefault("head and norm" if start == stop else to, [])
            named.append(self._names.get(ref, ref))
        return " with ".join(f"{layers} of {_listed(refs)}" for layers, refs in by_range.items())

    def scaling(self) -> list[str]:
        """Return by how much the parents' deltas together are scaled, where that is not by 1."""
        present = self._present
        total = sum(self._whole.values())
        sums = {group: sum(parts.values()) for group, parts in self._groups.items()}
        if not present or all(abs(share - 1) <= WHOLE for share in (total, *sums.values())):
            return []
        groups = list(sums.values())
        apart = ", ".join(f"{group} {share:.2f}" for group, share in sums.items())
        bases = " and ".join(self._names[base] for base in self._bases)
        what = f"deltas from {bases}" if bases else "weights"
        line = f"{'its' if len(present) == 1 else 'their'} {what} are scaled to {total:.2f}"
        return [line + (f" ({apart})" if _apart(*groups) else "")]

    def over_depth(self) -> list[str]:
        """Return how parents go over the depth where that is by more than a third."""
        return [line for ref in self._present for line in self._course(ref)]

    def _course(self, ref: str) -> list[str]:
        """How one parent goes over the depth; apart for attention and MLP where only one does."""
        ends = {group: self._ends(shares, ref) for group, shares in self._by_group.items()}
        courses = [end - start for start, end in ends.values() if _apart(start, end)]
        if len(courses) == len(ends) and len({course > 0 for course in courses}) == 1:
            start, end = (sum(side) / len(side) for side in zip(*ends.values(), strict=True))
            return [_from_to(self._names[ref], start, end)]
        return [
            _from_to(f"{self._names[ref]} in {group}", start, end)
            for group, (start, end) in ends.items()
            if _apart(start, end)
        ]

    def _ends(self, shares: Sequence[Parts], ref: str) -> tuple[float, float]:
        """The mean coefficient of a parent in the first and in the last third of the layers."""
        third = -(-len(shares) // 3)
        return self._mean(shares[:third])[ref], self._mean(shares[-third:])[ref]


def _bases(merges: Sequence[Merge]) -> list[str]:
    """Parents that only give what deltas are taken from."""
    bases: dict[str, None] = {}
    inputs = {merge.name for merge in merges[:-1]}
    for merge in merges:
        for part in merge.slices:
            base, others = merge.base_and_inputs(part)
            inputs |= {source.model for source in others}
            if base is not None and merge.method.shares in (t_shares, half_shares):
                inputs.add(base.model)
            elif base is not None:
                bases[base.model] = None
    return [base for base in bases if base not in inputs]


def _spans(merge: Merge) -> list[_Span]:
    """The slices of a merge, those joined that continue where the one before ends."""
    spans: list[_Span] = []
    for part in merge.slices:
        own = [(source.model, *source.layer_range) for source in part.sources if source.layer_range]
        before = spans[-1] if spans else []
        if before and [(ref, stop) for ref, _, stop in before] == [(ref, at) for ref, at, _ in own]:
            ends = [stop for _, _, stop in own]
            spans[-1] = [(ref, at, end) for (ref, at, _), end in zip(before, ends, strict=True)]
        elif own:
            spans.append(own)
    return spans


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _from_to(name: str, start: float, end: float) -> str:
    verb = "falls" if end < start else "rises"
    return (
        f"{name} {verb} from {start:.2f} in the first third of the layers to {end:.2f} in the last"
    )


def _ratio(parents: Sequence[str], parts: Parts) -> str:
    """Parts as a ratio in which the smallest that is in the result is 1."""
    least = min((parts[ref] for ref in parents if parts[ref] >= ABSENT), default=1.0)
    return " : ".join(f"{max(parts[ref], 0.0) / least:.2g}" for ref in parents)


def _apart(first: float, second: float, least: float = 0.1) -> bool:
    """Whether two values differ by more than a third, and by `least`."""
    low, high = sorted((first, second))
    return high - low >= least and (low <= 0 or high / low > APART)
