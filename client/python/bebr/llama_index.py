"""A vector store for LlamaIndex (llama-index-core 0.10 and later; `pip install bebr[llama-index]`).

    store = BebrVectorStore(client.create("papers", dims=384))
    index = VectorStoreIndex.from_documents(documents, storage_context=StorageContext.from_defaults(vector_store=store))

Nodes are stored as attributes, so a node has 1 MiB with its metadata: split longer ones.

Tested against stand-ins of the published interface, not against the package itself, which Debian does not have.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from bebr import filters
from bebr.client import Collection
from bebr.types import Hits

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery, VectorStoreQueryResult
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise ImportError("bebr.llama_index needs llama-index-core: pip install llama-index-core") from error

_COMPARISONS = {"==": "=", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<="}
# Documents that one search finds at most.
_MOST_HITS = 10_000


class BebrVectorStore(BasePydanticVectorStore):
    """A collection as LlamaIndex's vector store. Queries take bebr's options as keyword arguments: rerank, min_score, version, timeout."""

    stores_text: bool = True
    flat_metadata: bool = True

    _collection: Any = PrivateAttr()

    def __init__(self, collection: Collection) -> None:
        super().__init__(stores_text=True)
        self._collection = collection

    @classmethod
    def class_name(cls) -> str:
        """Its name in LlamaIndex's own files."""
        return "BebrVectorStore"

    @property
    def client(self) -> Collection:
        """The collection."""
        collection: Collection = self._collection
        return collection

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> List[str]:
        """Writes nodes that have embeddings; their ids."""
        if not nodes:
            return []
        ids = [node.node_id for node in nodes]
        attributes = [node_to_metadata_dict(node, remove_text=False, flat_metadata=self.flat_metadata) for node in nodes]
        self.client.upsert(ids, np.array([node.get_embedding() for node in nodes], np.float32), attributes, **kwargs)
        return ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes all nodes of a document."""
        self._delete_where(filters.text({"ref_doc_id": ref_doc_id}))

    def delete_nodes(self, node_ids: Optional[List[str]] = None, filters: Any = None, **delete_kwargs: Any) -> None:
        """Deletes nodes by id, or those that filters find."""
        self.client.delete(node_ids or [])
        if filters is not None:
            self._delete_where(filter_text(filters))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nearest nodes."""
        if query.query_embedding is None:
            raise ValueError("bebr searches by embeddings alone; the query has none")
        conditions = [filter_text(query.filters)] if query.filters is not None else []
        if query.node_ids:
            raise ValueError("bebr has no filter by node_ids; use doc_ids or filters")
        if query.doc_ids:
            conditions.append(filters.text({"doc_id": list(query.doc_ids)}))
        hits: Hits = self.client.search(np.asarray(query.query_embedding, np.float32), query.similarity_top_k,
                                        filter=" AND ".join(f"({one})" for one in conditions if one), **kwargs)
        return VectorStoreQueryResult(nodes=[_node(hit.attributes) for hit in hits], similarities=[hit.score for hit in hits],
                                      ids=[hit.id for hit in hits])

    def _delete_where(self, condition: str) -> None:
        if not condition:
            raise ValueError("an empty filter would delete every node; drop the collection instead")
        self.client.delete(filter=condition)


def _node(attributes: Any) -> Any:
    return metadata_dict_to_node(dict(attributes))


def _condition(one: Any) -> str:
    operator = getattr(one.operator, "value", one.operator)
    name = filters.name(one.key)
    if operator in _COMPARISONS:
        return f"{name} {_COMPARISONS[operator]} {filters.literal(one.value)}"
    if operator in ("in", "nin"):
        found = filters.text({one.key: list(one.value)})
        return found if operator == "in" else f"NOT ({found})"
    if operator == "is_empty":
        return f"NOT {name} EXISTS"
    raise ValueError(f"bebr has no filter {operator!r}; it has {', '.join(_COMPARISONS)}, in, nin and is_empty")


def filter_text(wanted: Any) -> str:
    """LlamaIndex's MetadataFilters, which may hold others, in bebr's language."""
    parts = [filter_text(one) if hasattr(one, "filters") else _condition(one) for one in wanted.filters]
    condition: Dict[str, str] = {"and": " AND ", "or": " OR "}
    joined = str(getattr(wanted.condition, "value", wanted.condition) or "and").lower()
    if joined == "not":
        return " AND ".join(f"NOT ({part})" for part in parts if part)
    return condition[joined].join(f"({part})" for part in parts if part)
