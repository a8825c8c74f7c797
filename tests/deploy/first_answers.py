#!/usr/bin/python3
"""The README's five lines on real vectors, and how good their answers are:

    first_answers.py README VECTORS [QUERIES]

VECTORS and QUERIES are .npy, or images of Fashion-MNIST (.gz); without QUERIES the first 1,000 vectors are asked. Nothing is changed in the five
lines but the number of dims. Recall is counted against exact cosine over the floats, with what the server reranks by itself; once at once, when the
server may still be fitting a binarizer, and once when it has. Exits 1 where the second is below 0.99.
"""

import gzip
import re
import sys
import time
from typing import Any, Dict, Sequence

import numpy as np


def read(path: str) -> np.ndarray:
    if path.endswith(".gz"):
        with gzip.open(path) as file:
            return np.frombuffer(file.read()[16:], dtype=np.uint8).reshape(-1, 784).astype("f4")
    return np.load(path).astype("f4")


def neighbours(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    parts = [np.argsort(-(part @ unit.T), axis=1, kind="stable")[:, :10] for part in np.array_split(queries, max(1, len(queries) // 100))]
    return np.concatenate(parts)


def recall(papers: Any, queries: np.ndarray, exact: np.ndarray) -> float:
    parts = [papers.search_batch(part, k=10, with_attributes=False) for part in np.array_split(queries, max(1, len(queries) // 100))]
    found = [{int(id[6:]) for id in hits.ids} for part in parts for hits in part]
    return float(np.mean([len(ids & set(row)) / 10 for ids, row in zip(found, exact.tolist())]))


def fitted(papers: Any) -> str:
    """Waits until the server has made its binarizer; what it says of it."""
    for _ in range(600):
        auto = papers.stats().auto
        if auto is not None and auto.state == "fitted":
            return str(auto.state)
        time.sleep(0.2)
    raise SystemExit(f"first_answers: no binarizer was fitted in two minutes: {papers.stats().auto}")


def main(readme: str, vectors_path: str, queries_path: str = "") -> int:
    begin = time.monotonic()
    with open(readme, encoding="utf-8") as file:
        code = re.search(r"^```python\n(import bebr, numpy.*?)^```", file.read(), flags=re.DOTALL | re.MULTILINE)
    assert code is not None and len(code.group(1).splitlines()) == 5, "the five lines are not in the README"
    vectors = read(vectors_path)
    queries = read(queries_path)[:1000] if queries_path else vectors[:1000]
    names: Dict[str, Any] = {"ids": [f"paper-{i}" for i in range(len(vectors))], "vectors": vectors,
                             "attributes": [{"year": 2000 + i % 26} for i in range(len(vectors))]}
    loaded = time.monotonic()
    exec(re.sub(r"dims=\d+", f"dims={vectors.shape[1]}", code.group(1)), names)
    answered = time.monotonic()
    print(f"{len(vectors)} vectors of {vectors.shape[1]} floats: read in {loaded - begin:.1f} s, five lines in {answered - loaded:.1f} s")
    hits, papers = names["hits"], names["papers"]
    assert len(hits) == 10 and all(hit.attributes["year"] >= 2020 for hit in hits), hits
    exact = neighbours(queries, vectors)
    print(f"recall@10 at once: {recall(papers, queries, exact):.4f}")
    begin = time.monotonic()
    state = fitted(papers)
    last = recall(papers, queries, exact)
    print(f"recall@10 {time.monotonic() - begin:.1f} s later, binarizer {state}: {last:.4f}")
    return 0 if last >= 0.99 else 1


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*arguments))
