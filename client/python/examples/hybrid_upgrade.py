"""Takes a collection from one embedding model to another while its clients go on searching:

    python3 hybrid_upgrade.py docs_v1.npy MODEL_V1 docs_v2.npy MODEL_V2

Row i of both arrays is document "i", by the old and the new embedding model. MODEL_V2 was trained to be compatible:
    bebr-train --input docs_v2.npy --compatible-with MODEL_V1 --paired docs_v1.npy --output MODEL_V2
So new queries find old codes at once, and the collection is a hybrid of both until all documents are written anew.
"""

import sys

import numpy as np

import bebr


def versions_of(hits: bebr.Hits) -> str:
    names = [hit.version for hit in hits]
    return ", ".join(f"{names.count(name)} by {name}" for name in sorted(set(names)))


def main(docs_v1: str, model_v1: str, docs_v2: str, model_v2: str) -> None:
    old, new = np.load(docs_v1), np.load(docs_v2)
    client = bebr.Client()
    papers = client.create("papers", model=model_v1, version="v1")
    papers.upsert(range(len(old)), old)

    # 1. The new version writes into the space of the old one: its queries find what only the old model has seen.
    papers.versions.add("v2", model=model_v2, compatible_with="v1")
    print("nothing written anew:", versions_of(papers.search(new[0], version="v2")))

    # 2. Half of the new embeddings are merged into documents, which keep their attributes and their old embeddings.
    half = len(new) // 2
    papers.upsert(range(half), new[:half], version="v2", merge=True)
    print("half:", versions_of(papers.search(new[0], k=20, version="v2")))

    # 3. The rest; then queries that name no version are of the new model.
    papers.upsert(range(half, len(new)), new[half:], version="v2", merge=True)
    check = papers.versions.check("v2")
    print(f"recall of its own exact neighbours: v2 {check.recall:.3f}, {check.against} {check.against_recall:.3f}")
    papers.versions.promote("v2", expected_default="v1")
    print("all:", versions_of(papers.search(new[0])), "- default version", papers.stats().default_version)

    # 4. It was a mistake? papers.versions.promote("v1"). All is well? papers.versions.retire("v1").


if __name__ == "__main__":
    main(*sys.argv[1:])
