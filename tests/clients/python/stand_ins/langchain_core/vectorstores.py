"""A stand-in of langchain_core.vectorstores: what a store inherits that the tests call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, List, Sequence, Tuple

from langchain_core.documents import Document


class VectorStore(ABC):
    def add_documents(self, documents: List[Document], **kwargs: Any) -> List[str]:
        if "ids" not in kwargs and any(document.id for document in documents):
            kwargs["ids"] = [document.id for document in documents]
        return self.add_texts([document.page_content for document in documents], [document.metadata for document in documents], **kwargs)

    @abstractmethod
    def add_texts(self, texts: Any, metadatas: Any = None, *, ids: Any = None, **kwargs: Any) -> List[str]: ...

    @abstractmethod
    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> List[Document]: ...

    @abstractmethod
    def similarity_search_with_score(self, *args: Any, **kwargs: Any) -> List[Tuple[Document, float]]: ...

    @abstractmethod
    def get_by_ids(self, ids: Sequence[str], /) -> List[Document]: ...

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        raise NotImplementedError

    def similarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> List[Tuple[Document, float]]:
        relevance = self._select_relevance_score_fn()
        return [(document, relevance(score)) for document, score in self.similarity_search_with_score(query, k, **kwargs)]
