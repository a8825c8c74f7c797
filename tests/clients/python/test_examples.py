"""The examples as they are run, and the README's five lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest

import bebr
from conftest import Server

EXAMPLES = Path(os.environ["BEBR_EXAMPLES"])
SOURCES = Path(os.environ["BEBR_SOURCES"])


def run(name: str, *arguments: str, server: Server) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], env={**os.environ, "BEBR_SERVER": server.address}, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_index_npy(client: bebr.Client, server: Server, models: Dict[str, str]) -> None:
    lines = run("index_npy.py", models["docs_v1"], models["v1"], server=server).splitlines()
    assert lines[0] == "3000 new documents, 3000 in all"
    assert lines[2].split()[:2] == ["1.0000", "7"] and len(lines) == 5


def test_hybrid_upgrade(client: bebr.Client, server: Server, models: Dict[str, str]) -> None:
    lines = run("hybrid_upgrade.py", models["docs_v1"], models["v1"], models["docs_v2"], models["v2"], server=server).splitlines()
    assert lines[0] == "nothing written anew: 10 by v1"
    assert "by v1" in lines[1] and "by v2" in lines[1]
    assert lines[2].startswith("recall of its own exact neighbours: v2 ")
    assert lines[3] == "all: 10 by v2 - default version v2"


def test_rag(client: bebr.Client, server: Server, models: Dict[str, str]) -> None:
    prompt = run("rag.py", "Does a filter lose results of a scan?", models["d256"], server=server)
    assert "[passage-3, 2026] A filter makes a scan faster" in prompt and "passage-0" not in prompt


@pytest.mark.parametrize("paper", ["README.md", "client/python/README.md"])
def test_the_five_lines(client: bebr.Client, server: Server, paper: str) -> None:
    """As they are printed. Whether a binarizer is fitted meanwhile, no answer tells; how good that becomes is for the server's own tests."""
    code = re.search(r"^```python\n(import bebr, numpy.*?)^```", (SOURCES / paper).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert code is not None and len(code.group(1).splitlines()) == 5
    random = np.random.default_rng(9)
    vectors = (random.normal(size=(4000, 24)) @ random.normal(size=(24, 384)) + 0.3 * random.normal(size=(4000, 384))).astype("f4")
    names: Dict[str, Any] = {"ids": [f"paper-{i}" for i in range(len(vectors))], "vectors": vectors,
                             "attributes": [{"year": 2020 + i % 5, "title": f"title {i}"} for i in range(len(vectors))]}
    exec(code.group(1).replace("127.0.0.1:7700", server.address), names)
    hits: bebr.Hits = names["hits"]
    assert len(hits) == 10 and hits[0].id == "paper-0" and hits[0].exact and hits[0].attributes == {"year": 2020, "title": "title 0"}

    papers: bebr.Collection = names["papers"]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = np.argsort(-(unit[:200] @ unit.T), axis=1, kind="stable")[:, :10]
    wanted = [{f"paper-{i}" for i in row} for row in exact]

    found = papers.search_batch(vectors[:200], k=10, with_attributes=False)
    assert np.mean([len(wanted[row].intersection(hits.ids)) / 10 for row, hits in enumerate(found)]) > 0.9
    auto = papers.stats().auto
    assert auto is not None and auto.error == "" and auto.state in ("collecting", "fitting", "backfilling", "checking", "fitted")


def test_examples_without_a_model(client: bebr.Client, server: Server, models: Dict[str, str]) -> None:
    lines = run("index_npy.py", models["docs_v1"], server=server).splitlines()
    assert lines[0] == "3000 new documents, 3000 in all" and lines[2].split()[:2] == ["1.0000", "7"]
    assert "[passage-3, 2026] A filter makes a scan faster" in run("rag.py", "Does a filter lose results of a scan?", server=server)
