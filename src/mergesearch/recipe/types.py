"""What a recipe is made of: merges, their slices, and the parents in them.

Which base and inputs a slice has, how a parameter is looked up (input, then slice, then global) and
what the depth of a gradient is match mergekit 0.1.5 (`config.py`, `plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergesearch.methods import Base, Method, Parameter, Settings
from mergesearch.recipe.tokenizer import TokenizerChoice
from mergesearch.recipe.values import ParameterValue, Scalar, as_filters, evaluate


@dataclass(frozen=True)
class MergeInput:
    """One parent's place in a merge.

    Attributes:
        model: Id of the parent, or name of the earlier merge.
        parameters: Parameters of this parent alone.
        layer_range: First layer and the one after the last; None for the whole model.
    """

    model: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    layer_range: tuple[int, int] | None = None

    def layer(self, offset: int) -> int:
        """Return the parent's layer at a place in the slice."""
        return offset if self.layer_range is None else self.layer_range[0] + offset


@dataclass(frozen=True)
class Slice:
    """A run of output layers and the parents' layers that make it.

    Attributes:
        sources: Parents with their layers, the base among them where it is named.
        parameters: Parameters of this slice alone.
        base_model: Base of this slice alone; None for the merge's.
    """

    sources: tuple[MergeInput, ...]
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    base_model: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds whole models."""
        return self.sources[0].layer_range is None

    @property
    def length(self) -> int | None:
        """Number of layers, None for whole models; 0 where it gives embedding or head alone."""
        span = self.sources[0].layer_range
        return None if span is None else span[1] - span[0]


@dataclass(frozen=True)
class OutputLayer:
    """Where a layer of a merge's result comes from.

    Attributes:
        slice: Slice that it is in.
        offset: Place in the slice.
        depth: Relative depth in the slice, 0 to 1.
    """

    slice: Slice
    offset: int
    depth: float


@dataclass(frozen=True)
class Merge:
    """One merge: parents and results of earlier merges become one model.

    Attributes:
        method: Merge method.
        slices: Slices of the result, from the first layer to the last; a merge of whole models has
            one.
        base_model: Id of the base, None where none is named.
        parameters: Parameters of the whole merge.
        dtype: Type of the safetensors output; merging itself is always float32.
        tokenizer: Choice of the result's tokens; None: all parents share one vocabulary.
        chat_template: Template, `auto` or the name of a built-in one; None: the tokenizer's own.
        context_source: `base` or id of the parent whose long-context settings the result has; None
            for the base's, else the first parent's.
        name: Name by which other merges take the result; empty where it has none.
        notes: What a person should know of its document, one sentence each by its subject.
    """

    method: Method
    slices: tuple[Slice, ...]
    base_model: str | None = None
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    dtype: str = "bfloat16"
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None
    context_source: str | None = None
    name: str = ""
    notes: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def whole(self) -> bool:
        """Whether whole models are merged."""
        return self.slices[0].whole

    @property
    def inputs(self) -> tuple[MergeInput, ...]:
        """Every input of every slice, in order, the base among them where it is named."""
        return tuple(source for part in self.slices for source in part.sources)

    @property
    def refs(self) -> tuple[str, ...]:
        """The distinct parents and earlier merges that it takes, the base first."""
        refs = [source.model for source in self.inputs]
        refs += [part.base_model for part in self.slices if part.base_model is not None]
        return tuple(dict.fromkeys(refs if self.base_model is None else [self.base_model, *refs]))

    @property
    def donor(self) -> str:
        """The base, else the first input: it gives what is not merged."""
        return self.refs[0]

    def base_and_inputs(self, part: Slice) -> tuple[MergeInput | None, tuple[MergeInput, ...]]:
        """Return a slice's base where it is apart from the inputs, else None; and the inputs."""
        base = part.base_model or self.base_model
        others = tuple(source for source in part.sources if source.model != base)
        if base is not None and self.method.merges_onto(base):
            own = next((source for source in part.sources if source.model == base), None)
            return own or MergeInput(base), others
        if base is not None and part.whole and self.method.base is Base.COUNTED:
            named = len(others) < len(part.sources)
            return None, part.sources if named else (*part.sources, MergeInput(base))
        return None, part.sources

    def layers(self, n_layers: int) -> list[OutputLayer]:
        """Return every layer of the result.

        Args:
            n_layers: Number of layers of a whole input.
        """
        layers = []
        for part in self.slices:
            first, last = part.sources[0].layer_range or (0, n_layers)
            count = last - first
            layers += [
                OutputLayer(part, offset, offset / (count - 1) if count > 1 else 1.0)
                for offset in range(count)
            ]
        return layers

    def value(
        self,
        parameter: Parameter,
        source: MergeInput | None,
        part: Slice,
        tensor_name: str,
        depth: float,
    ) -> Scalar | None:
        """Return a parameter for one tensor: the input's, else the slice's, else the merge's.

        Args:
            source: Input whose own value comes first; None for a shared parameter.
            part: Slice of the tensor.
            tensor_name: Hugging Face name that filters are matched against.
            depth: Relative depth of the tensor's layer in its slice, 0 to 1.
        """
        for holder in (source, part, self):
            if holder is not None and parameter.name in holder.parameters:
                found = evaluate(holder.parameters[parameter.name], tensor_name, depth)
                if found is not None:
                    return found
        return parameter.default

    def settings(
        self,
        part: Slice,
        inputs: Sequence[tuple[MergeInput, str]],
        tensor_name: str,
        depth: float,
    ) -> Settings:
        """Return the method's parameters for one tensor.

        Args:
            part: Slice of the tensor.
            inputs: Inputs, each with the Hugging Face name of its tensor.
            tensor_name: Hugging Face name of the merged tensor.
            depth: Relative depth of the tensor's layer in its slice, 0 to 1.
        """

        def value(parameter: Parameter, index: int | None) -> Scalar | None:
            source, name = (None, tensor_name) if index is None else inputs[index]
            return self.value(parameter, source, part, name, depth)

        return self.method.settings(value, len(inputs))

    def filters(self) -> list[str]:
        """Return the texts that values for some tensors only look for in their names."""
        holders = [self.parameters]
        holders += [part.parameters for part in self.slices]
        holders += [source.parameters for source in self.inputs]
        values = (value for parameters in holders for value in parameters.values())
        entries = [entry for value in values for entry in as_filters(value)]
        return [entry.filter for entry in entries if entry.filter and entry.filter != "*"]


def parents_of(merges: Sequence[Merge]) -> tuple[str, ...]:
    """Return the distinct ids of the parents of merges that feed the last one, bases included."""
    names = {merge.name for merge in merges[:-1]}
    refs = dict.fromkeys(ref for merge in merges for ref in merge.refs)
    return tuple(ref for ref in refs if ref not in names)
