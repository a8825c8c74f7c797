"""A stand-in of llama_index.core.vector_stores.types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, List, Optional, Sequence, Union

from llama_index.core.schema import BaseNode


class FilterOperator(str, Enum):
    EQ = "=="
    GTE = ">="
    IN = "in"
    NIN = "nin"
    IS_EMPTY = "is_empty"
    TEXT_MATCH = "text_match"


class FilterCondition(str, Enum):
    AND = "and"
    OR = "or"
    NOT = "not"


@dataclass
class MetadataFilter:
    key: str
    value: Any
    operator: FilterOperator = FilterOperator.EQ


@dataclass
class MetadataFilters:
    filters: List[Union[MetadataFilter, MetadataFilters]]
    condition: Optional[FilterCondition] = FilterCondition.AND


@dataclass
class VectorStoreQuery:
    query_embedding: Optional[List[float]] = None
    similarity_top_k: int = 1
    doc_ids: Optional[List[str]] = None
    node_ids: Optional[List[str]] = None
    filters: Optional[MetadataFilters] = None


@dataclass
class VectorStoreQueryResult:
    nodes: Optional[Sequence[BaseNode]] = None
    similarities: Optional[List[float]] = None
    ids: Optional[List[str]] = None


class BasePydanticVectorStore:
    def __init__(self, **data: Any) -> None:
        for name, value in data.items():
            setattr(self, name, value)
