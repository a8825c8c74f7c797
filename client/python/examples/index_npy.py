"""Writes the rows of an array into a collection, and searches it with one of them:

    python3 index_npy.py docs.npy [MODEL]

Row i becomes document "i". The server ($BEBR_SERVER, or 127.0.0.1:7700) makes the binarizer, unless MODEL, a file of bebr-train, is one.
"""

import sys

import numpy as np

import bebr


def main(docs_file: str, model: str = "") -> None:
    docs = np.load(docs_file, mmap_mode="r")
    client = bebr.Client()
    papers = client.create("papers", model=model) if model else client.create("papers", dims=docs.shape[1])
    years = 2000 + np.arange(len(docs)) % 25
    written = papers.upsert(range(len(docs)), docs, {"year": years},
                            progress=lambda done: print(f"\r{done} of {len(docs)} documents", end="", file=sys.stderr))
    print(file=sys.stderr)
    print(f"{written.created} new documents, {papers.count()} in all")
    print(papers.search(docs[7], k=3, rerank=100, filter="year >= 2005"))


if __name__ == "__main__":
    main(*sys.argv[1:])
