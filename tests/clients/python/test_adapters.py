"""The stores for LangChain and LlamaIndex, with the packages where they are installed and else with stand_ins/."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

import bebr

for package in ("langchain_core", "llama_index"):
    if importlib.util.find_spec(package) is None:
        sys.path.append(str(Path(__file__).parent / "stand_ins"))
        break

from langchain_core.documents import Document  # noqa: E402
from langchain_core.embeddings import Embeddings  # noqa: E402
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery  # noqa: E402

from bebr.langchain import BebrVectorStore as LangChainStore  # noqa: E402
from bebr.llama_index import BebrVectorStore as LlamaIndexStore  # noqa: E402
from bebr.llama_index import filter_text  # noqa: E402

TEXTS = ["cats purr and sleep", "dogs bark and run", "a cat and a dog sleep", "ships sail at sea", "boats sail on lakes"]
YEARS = [2018, 2019, 2020, 2021, 2022]


class Words(Embeddings):
    """Sums of hashed words, 256 floats."""

    def embed_documents(self, texts: List[str]) -> List[List[float]]:
        vectors = []
        for text in texts:
            seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little") for word in re.findall(r"\w+", text)]
            vectors.append(np.sum([np.random.default_rng(seed).normal(size=256) for seed in seeds], axis=0).tolist())
        return vectors

    def embed_query(self, text: str) -> List[float]:
        return self.embed_documents([text])[0]


def test_langchain(client: bebr.Client, models: Dict[str, str]) -> None:
    store = LangChainStore.from_texts(TEXTS, Words(), [{"year": year} for year in YEARS], ids=list("abcde"), client=client,
                                      collection_name="texts", model=models["d256"])
    found = store.similarity_search("cats sleep", k=2)
    assert [document.page_content for document in found][0] == TEXTS[0] and found[0].metadata == {"year": 2018} and found[0].id == "a"
    assert [document.id for document in store.similarity_search("sail", k=5, filter="year >= 2021")] in (["d", "e"], ["e", "d"])
    assert [document.id for document in store.similarity_search("sail", filter={"year": 2022})] == ["e"]
    document, score = store.similarity_search_with_score("dogs bark and run", k=1, rerank=10)[0]
    assert document.id == "b" and score == pytest.approx(1.0, abs=1e-2)
    assert store.similarity_search_with_relevance_scores("dogs bark and run", k=1, rerank=10)[0][1] == pytest.approx(1.0, abs=1e-2)
    assert store.similarity_search_by_vector(Words().embed_query("ships at sea"), k=1)[0].id == "d"
    spread = store.max_marginal_relevance_search("sail", k=2, fetch_k=5, lambda_mult=0.1)
    assert len(spread) == 2 and {document.id for document in spread} != {"d", "e"}
    store.collection.versions.add("again", model=models["d256"], same_embeddings_as="v1")
    store.collection.versions.backfill("again")
    end = time.monotonic() + 60
    while store.collection.stats().version("again").state != "ready":
        assert time.monotonic() < end
        time.sleep(0.05)
    store.collection.versions.promote("again")  # as a fit does; the floats stay v1's
    assert set(store.collection.get("a", with_embeddings=True)[0].embeddings) == {"v1"}
    again = store.max_marginal_relevance_search("sail", k=2, fetch_k=5, lambda_mult=0.1)
    assert [document.id for document in again] == [document.id for document in spread]
    assert store.add_documents([Document(page_content="a new text", metadata={"year": 2030}, id="f")]) == ["f"]
    assert len(store.add_texts(["no id"])) == 1
    assert [document.id for document in store.get_by_ids(["f", "no", "a"])] == ["f", "a"]
    assert store.delete(["f"]) and store.get_by_ids(["f"]) == []
    metadata = {"id": "a", "a": 1, "a.b": 2, "file.name": "f", "AND": True, "list": ["x", 1]}
    assert store.add_texts(["as it was"], [metadata], ids=["m"]) == ["m"]
    assert store.get_by_ids(["m"])[0].metadata == metadata
    assert [document.id for document in store.similarity_search("x", filter={"id": "a", "a.b": 2, "AND": True})] == ["m"]
    wrongs: List[Tuple[Dict[str, Any], str]] = [
        ({"text": "own"}, "row 1: metadata has 'text'"), ({"e": {}}, r"row 1: attributes\['e'\].* is of dict"),
        ({"l": [{}]}, r"row 1: attributes\['l'\].*\[0\] is of dict")]
    for wrong, message in wrongs:
        with pytest.raises(bebr.InvalidArgument, match=message):
            store.add_texts(["x", "y"], [{}, wrong])
    assert store.delete(["m"])
    more = LangChainStore.from_texts(["one more"], Words(), client=client, collection_name="texts")
    assert more.collection.count() == 7


def test_llama_index(client: bebr.Client, models: Dict[str, str]) -> None:
    from llama_index.core.schema import BaseNode

    nodes = [BaseNode(text=text, id_=f"n{i}", metadata={"year": YEARS[i]}, embedding=Words().embed_query(text), ref_doc_id=f"doc{i % 2}")
             for i, text in enumerate(TEXTS)]
    store = LlamaIndexStore(client.create("nodes", model=models["d256"]))
    assert store.add(nodes) == ["n0", "n1", "n2", "n3", "n4"]

    def query(*filters: MetadataFilter, doc_ids: List[str] | None = None, k: int = 5) -> List[str]:
        found = store.query(VectorStoreQuery(query_embedding=Words().embed_query("cats sleep"), similarity_top_k=k, doc_ids=doc_ids,
                                             filters=MetadataFilters(filters=list(filters)) if filters else None))
        assert [node.node_id for node in found.nodes or []] == found.ids and len(found.similarities or []) == len(found.ids or [])
        return list(found.ids or [])

    assert query(k=1) == ["n0"]
    assert set(query(MetadataFilter(key="year", value=2020, operator=FilterOperator.GTE))) == {"n2", "n3", "n4"}
    assert set(query(MetadataFilter(key="year", value=[2018, 2022], operator=FilterOperator.IN), doc_ids=["doc0"])) == {"n0", "n4"}
    assert set(query(MetadataFilter(key="year", value=[2018, 2022], operator=FilterOperator.NIN))) == {"n1", "n2", "n3"}
    assert query(MetadataFilter(key="other", value=None, operator=FilterOperator.IS_EMPTY), k=1) == ["n0"]
    either = MetadataFilters(filters=[MetadataFilter(key="year", value=2018), MetadataFilter(key="a b", value='"')],
                             condition=FilterCondition.OR)
    assert filter_text(MetadataFilters(filters=[either])) == '((year = 2018) OR (`a b` = "\\""))'
    assert filter_text(MetadataFilters(filters=[either], condition=FilterCondition.NOT)) == 'NOT ((year = 2018) OR (`a b` = "\\""))'
    with pytest.raises(ValueError, match="text_match"):
        query(MetadataFilter(key="year", value="x", operator=FilterOperator.TEXT_MATCH))
    store.delete("doc0")
    assert set(query()) == {"n1", "n3"}
    store.delete_nodes(["n1"])
    assert query() == ["n3"]
