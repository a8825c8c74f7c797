"""Retrieval for a language model: passages with attributes, a question, and the prompt that it becomes.

    python3 rag.py "a question" [MODEL]

Embeddings here are sums of hashed words, so that the example needs no model: put your own into embed(). The server ($BEBR_SERVER, or
127.0.0.1:7700) makes the binarizer, unless MODEL, a file of bebr-train for 256 floats, is one.
"""

import hashlib
import re
import sys
from typing import List

import numpy as np
import numpy.typing as npt

import bebr

DIMS = 256
PASSAGES = [
    ("The log of a shard is synced to disk before a write is acknowledged.", "storage", 2024),
    ("A snapshot is a copy of a collection that is made while it is in use.", "storage", 2025),
    ("Queries that wait at the same time share one scan over all codes.", "search", 2025),
    ("A filter makes a scan faster and never loses results.", "search", 2026),
    ("An alias is another name of a collection, switched at once for all clients.", "operation", 2024),
    ("A key has a role and may be held to some collections.", "operation", 2026),
]


def embed(texts: List[str]) -> npt.NDArray[np.float32]:
    vectors = np.zeros((len(texts), DIMS), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z]+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            vectors[row] += np.random.default_rng(seed).normal(size=DIMS)
    return vectors


def main(question: str, model: str = "") -> None:
    client = bebr.Client()
    passages = client.create("passages", model=model) if model else client.create("passages", dims=DIMS)
    texts, topics, years = zip(*PASSAGES)
    passages.upsert([f"passage-{i}" for i in range(len(texts))], embed(list(texts)), {"text": texts, "topic": topics, "year": years})

    found = passages.search(embed([question])[0], k=2, rerank=10, filter="year >= 2025 AND topic IN ('storage', 'search')")
    print("Answer by these passages alone.\n")
    for hit in found:
        print(f"[{hit.id}, {hit.attributes['year']}] {hit.attributes['text']}")
    print(f"\nQuestion: {question}")


if __name__ == "__main__":
    main(*sys.argv[1:])
