"""A vector store for LangChain (langchain-core 0.2 and later; `pip install bebr[langchain]`).

    store = BebrVectorStore(client.create("papers", dims=384), embedding)
    store.add_texts(["a text"], [{"year": 2021}])
    store.similarity_search("a question", k=4, filter="year >= 2020")

Texts are an attribute that takes no memory if it has more than 256 bytes; a text and its metadata have 1 MiB together. Metadata are str, int,
float, bool, datetime, or lists of these, come back as they were (None as nothing), and are filtered by under their names, "id" too; anything
else is refused with its row, and so is a name that is the text's own.

Tested against stand-ins of the published interface, not against the package itself, which Debian does not have.
"""

from __future__ import annotations

import uuid
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Type

import numpy as np

from bebr.client import Client, Collection
from bebr.errors import InvalidArgument, NotFound
from bebr.filters import Filter
from bebr.types import Document as Stored
from bebr.types import Hit, Hits

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise ImportError("bebr.langchain needs langchain-core: pip install langchain-core") from error


class BebrVectorStore(VectorStore):
    """A collection as LangChain's vector store. Searches take bebr's options: filter, rerank, min_score, version, timeout."""

    def __init__(self, collection: Collection, embedding: Embeddings, *, text_attribute: str = "text") -> None:
        self.collection = collection
        self._embedding = embedding
        self._text = text_attribute

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    def add_texts(self, texts: Iterable[str], metadatas: Optional[List[Dict[str, Any]]] = None, *, ids: Optional[List[str]] = None,
                  **kwargs: Any) -> List[str]:
        """Embeds and writes texts; their ids, which are made up where there are none."""
        written = list(texts)
        if not written:
            return []
        names = [id or str(uuid.uuid4()) for id in (ids if ids is not None else [""] * len(written))]
        attributes = [self._attributes(row, text, metadata or {})
                      for row, (text, metadata) in enumerate(zip(written, metadatas or [{}] * len(written)))]
        self.collection.upsert(names, np.asarray(self._embedding.embed_documents(written), np.float32), attributes, **kwargs)
        return names

    def delete(self, ids: Optional[List[str]] = None, **kwargs: Any) -> Optional[bool]:
        """Deletes by id."""
        if ids is None:
            raise ValueError("delete takes ids; to remove everything, drop the collection")
        self.collection.delete(ids, **kwargs)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> List[Document]:
        """Documents by id; those that do not exist are left out."""
        return [self._document(found.id, found.attributes) for found in self.collection.get(list(ids))]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> List[Document]:
        """The nearest documents."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> List[Tuple[Document, float]]:
        """The nearest documents with their scores: the higher the nearer."""
        hits = self._search(self._embedding.embed_query(query), k, **kwargs)
        return [(self._document(hit.id, hit.attributes), hit.score) for hit in hits]

    def similarity_search_by_vector(self, embedding: List[float], k: int = 4, **kwargs: Any) -> List[Document]:
        """The documents nearest to a vector."""
        return [self._document(hit.id, hit.attributes) for hit in self._search(embedding, k, **kwargs)]

    def max_marginal_relevance_search(self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
                                      **kwargs: Any) -> List[Document]:
        """As max_marginal_relevance_search_by_vector."""
        return self.max_marginal_relevance_search_by_vector(self._embedding.embed_query(query), k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(self, embedding: List[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
                                                **kwargs: Any) -> List[Document]:
        """Near documents that differ from one another. The collection must store floats."""
        hits = list(self._search(embedding, max(k, fetch_k), **kwargs))
        if not hits:
            return []
        # Floats stand under the version that they were written for; a fit since then has made another one the default.
        versions = self.collection.stats().same_embeddings(kwargs.get("version") or "")
        stored = {found.id: floats for found in self.collection.get([hit.id for hit in hits], with_embeddings=True)
                  for floats in [_floats(found, versions)] if floats is not None}
        hits = [hit for hit in hits if hit.id in stored]
        if not hits:
            raise NotFound(f"no document that was found has stored floats of version {versions[0]!r}; the collection must store floats")
        vectors = np.array([stored[hit.id] for hit in hits], np.float32)
        return [self._document(hit.id, hit.attributes) for hit in _spread(hits, vectors, np.asarray(embedding, np.float32), k, lambda_mult)]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        metric = self.collection.stats().version().metric
        if metric != "cosine":
            raise ValueError(f"relevance between 0 and 1 is of the cosine; the collection's metric is {metric}")
        return lambda score: min(1.0, max(0.0, (1.0 + score) / 2.0))

    def _search(self, vector: Any, k: int, *, filter: Optional[Filter] = None, **kwargs: Any) -> Hits:
        return self.collection.search(np.asarray(vector, np.float32), k, filter=filter or "", **kwargs)

    def _attributes(self, row: int, text: str, metadata: Dict[str, Any]) -> Dict[str, Any]:
        if self._text in metadata:
            raise InvalidArgument(f"metadata has {self._text!r}, the name of the attribute that holds the text; name another one by text_attribute, or "
                                  "rename this", field=f"metadatas[{row}]", row=row)
        return {**metadata, self._text: text}

    def _document(self, id: str, attributes: Any) -> Document:
        metadata = dict(attributes)
        return Document(page_content=str(metadata.pop(self._text, "")), metadata=metadata, id=id)

    @classmethod
    def from_texts(cls: Type[BebrVectorStore], texts: List[str], embedding: Embeddings, metadatas: Optional[List[Dict[str, Any]]] = None, *,
                   ids: Optional[List[str]] = None, collection_name: str = "langchain", client: Optional[Client] = None,
                   **kwargs: Any) -> BebrVectorStore:
        """Writes texts into a collection, which is made if it is not there; `kwargs` go to Client.create."""
        client = client or Client()
        collection = client.collection(collection_name)
        if collection_name not in {one.name for one in client.collections()} and collection_name not in client.aliases():
            if "model" not in kwargs:
                kwargs.setdefault("dims", len(embedding.embed_query("dims")))
            collection = client.create(collection_name, **kwargs)
        store = cls(collection, embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _floats(document: Stored, versions: List[str]) -> Optional[Any]:
    """Its embedding by the first of these that it has."""
    return next((document.embeddings[version] for version in versions if version in document.embeddings), None)


def _spread(hits: List[Hit], vectors: Any, query: Any, k: int, lambda_mult: float) -> List[Hit]:
    """Takes one at a time: near to the query, far from what was taken."""

    def unit(rows: Any) -> Any:
        return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)

    vectors = unit(vectors)
    relevance = vectors @ unit(query)
    taken: List[int] = []
    likeness = np.full(len(hits), -np.inf)
    while len(taken) < min(k, len(hits)):
        gain = relevance if not taken else lambda_mult * relevance - (1 - lambda_mult) * likeness
        gain = np.where(np.isin(np.arange(len(hits)), taken), -np.inf, gain)
        taken.append(int(np.argmax(gain)))
        likeness = np.maximum(likeness, vectors @ vectors[taken[-1]])
    return [hits[index] for index in taken]
