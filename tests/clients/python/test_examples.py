"""The examples as they are run, and the README's five lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import bebr
from conftest import Server

EXAMPLES = Path(os.environ["BEBR_EXAMPLES"])


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
