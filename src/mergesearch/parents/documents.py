"""What an adapter's settings and an index of shards may say: types and ranges of keys in use."""

from __future__ import annotations

from typing import Annotated, Any, Required

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic cannot use that of `typing` in Python 3.11

from mergesearch._system.patterns import check_pattern
from mergesearch.gguf.documents import Text


class _Shards(TypedDict):
    """An index of shards."""

    weight_map: dict[Text, Annotated[Text, Field(max_length=255)]]


def _pattern(text: str) -> str:
    try:
        check_pattern(text)
    except ValueError as error:
        raise PydanticCustomError("pattern", "{reason}", {"reason": str(error)}) from error
    return text


Rank = Annotated[int, Field(strict=True, ge=1, lt=1 << 31)]
Alpha = Annotated[float, Field(strict=True, gt=0, le=1e9)]
Pattern = Annotated[str, Field(strict=True), AfterValidator(_pattern)]


class _Settings(TypedDict, total=False):
    """The settings that are followed; what else may be set is checked by name."""

    r: Required[Rank]
    lora_alpha: Required[Alpha]
    rank_pattern: dict[Pattern, Rank] | None
    alpha_pattern: dict[Pattern, Alpha] | None
    use_rslora: Annotated[bool, Field(strict=True)] | None


SHARDS: TypeAdapter[Any] = TypeAdapter(_Shards)
ADAPTER_SETTINGS: TypeAdapter[Any] = TypeAdapter(_Settings)
