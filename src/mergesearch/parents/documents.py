"""What files beside weights, and headers, may say: types and ranges of the keys in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic cannot use that of `typing` in Python 3.11

from mergesearch._system.documents import one_or_several, refused
from mergesearch._system.patterns import check_pattern
from mergesearch.gguf.documents import Switch, Text

_MOST_PATTERNS = 2048  # each is compared with the name of each module
_LONGEST_NAME = 255  # bytes of a file's name that all systems take


def _file_name(text: str) -> str:
    if Path(text).name != text or not text or "\0" in text or len(text.encode()) > _LONGEST_NAME:
        raise refused("is not the name of a file in the folder")
    return text


def _pattern(text: str) -> str:
    try:
        check_pattern(text)
    except ValueError as error:
        raise refused(f"is {error}") from error
    return text


def _few(patterns: Any) -> Any:
    if isinstance(patterns, dict) and len(patterns) > _MOST_PATTERNS:
        raise refused(f"of {len(patterns)} patterns: {_MOST_PATTERNS} at most")
    return patterns


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_layer(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)


FileName = Annotated[Text, AfterValidator(_file_name)]
Pattern = Annotated[Text, AfterValidator(_pattern)]
Rank = Annotated[int, Field(strict=True, ge=1, lt=1 << 31)]
Alpha = Annotated[float, Field(strict=True, gt=0, le=1e9)]
Modules = Annotated[Any, one_or_several(_is_name, "the name of a module")]
"""Which modules an adapter has is what its tensors say; here they only have to be names."""
Layers = Annotated[Any, one_or_several(_is_layer, "the number of a layer")]


class _Shards(TypedDict):
    weight_map: dict[Text, FileName]


class _Settings(TypedDict, total=False):
    """The settings of an adapter that are followed, and those that its tensors answer to."""

    r: Required[Rank]
    lora_alpha: Required[Alpha]
    rank_pattern: Annotated[dict[Pattern, Rank] | None, BeforeValidator(_few)]
    alpha_pattern: Annotated[dict[Pattern, Alpha] | None, BeforeValidator(_few)]
    use_rslora: Switch | None
    use_dora: Switch | None
    bias: Literal["none", "all", "lora_only"] | None
    fan_in_fan_out: Switch | None
    target_modules: Modules
    exclude_modules: Modules
    modules_to_save: Modules
    layers_to_transform: Layers
    layers_pattern: Modules
    base_model_name_or_path: Text | None
    revision: Text | None


METADATA: TypeAdapter[Any] = TypeAdapter(dict[Text, Text] | None)
"""What a safetensors header may say beside its tensors."""
SHARDS: TypeAdapter[Any] = TypeAdapter(_Shards)
ADAPTER_SETTINGS: TypeAdapter[Any] = TypeAdapter(_Settings)
