"""Servers and data for the tests. BEBR_PROGRAMS is where bebr-server and bebr-train are."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

import numpy as np
import numpy.typing as npt
import pytest

import bebr

PROGRAMS = Path(os.environ["BEBR_PROGRAMS"])
DIMS = 32

Matrix = npt.NDArray[np.float32]


class Server:
    """A bebr-server with a directory of its own; it can be stopped, killed and started again, at the same address."""

    def __init__(self, directory: Path, flags: List[str], address: str = "127.0.0.1:0") -> None:
        self.directory = directory
        self.flags = flags
        self.address = address
        self.http: Optional[str] = None
        self.process: Optional[subprocess.Popen[bytes]] = None
        self.start()

    def start(self) -> None:
        log = self.directory / "server.log"
        with open(log, "wb") as output:
            self.process = subprocess.Popen([PROGRAMS / "bebr-server", "--listen", self.address, "--metrics_listen", "", "--data_dir",
                                             self.directory / "data", *self.flags], stdout=output, stderr=subprocess.STDOUT)
        while True:
            found = re.search(r"grpc=(127\.0\.0\.1:\d+)(?:.* http=(127\.0\.0\.1:\d+))?", log.read_text())
            if found:
                self.address, self.http = found.groups()
                return
            assert self.process.poll() is None, log.read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait()

    def pause(self) -> None:
        """Returns once every thread of it stands still: a signal alone lets them go on for a while on a busy machine."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="session")
def docs() -> Matrix:
    """Rows of a few directions, as embeddings have them."""
    random = np.random.default_rng(7)
    rows: Matrix = (random.normal(size=(3000, 8)) @ random.normal(size=(8, DIMS)) + 0.1 * random.normal(size=(3000, DIMS))).astype("f4")
    return rows


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, docs: Matrix) -> Dict[str, str]:
    """Files: v1, v2 (of another embedding model, compatible with v1), d256 for examples/rag.py; and the embeddings docs_v1, docs_v2."""
    directory = tmp_path_factory.mktemp("models")
    random = np.random.default_rng(8)
    files = {name: str(directory / name) for name in ("v1", "v2", "d256")}
    for name, rows in {"docs_v1": docs, "docs_v2": (docs @ random.normal(size=(DIMS, 24))).astype("f4"),
                       "docs_256": random.normal(size=(500, 256)).astype("f4")}.items():
        files[name] = str(directory / f"{name}.npy")
        np.save(files[name], rows)

    def train(output: str, *flags: str) -> None:
        subprocess.run([PROGRAMS / "bebr-train", "--steps", "0", "--output", files[output], *flags], check=True, capture_output=True)

    train("v1", "--input", files["docs_v1"], "--dims", str(DIMS), "--levels", "4")  # as other versions of its space can be
    train("v2", "--input", files["docs_v2"], "--compatible-with", files["v1"], "--paired", files["docs_v1"])
    train("d256", "--input", files["docs_256"], "--bits", "256")
    return files


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts a server with flags; all end with the tests."""
    servers: List[Server] = []

    def start(*flags: str) -> Server:
        servers.append(Server(tmp_path_factory.mktemp("server"), list(flags)))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[List[Server]]:
    """Two nodes that share documents, and their gateway."""
    places = [socket.create_server(("127.0.0.1", 0)) for _ in "ab"]
    addresses = ["%s:%d" % place.getsockname() for place in places]
    for place in places:
        place.close()
    nodes = ["--cluster_nodes", ",".join(f"{name}={address}" for name, address in zip("ab", addresses))]
    flags = {"a": [*nodes, "--cluster_self", "a"], "b": [*nodes, "--cluster_self", "b"], "gateway": nodes}
    servers = []
    for name, address in zip(flags, [*addresses, "127.0.0.1:0"]):
        (tmp_path / name).mkdir()
        servers.append(Server(tmp_path / name, flags[name], address))
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Server]) -> Server:
    """One that the tests share."""
    return start_server()


@pytest.fixture
def client(server: Server) -> Iterator[bebr.Client]:
    with bebr.Client(server.address) as client:
        for collection in client.collections():
            client.drop(collection.name)
        yield client


@pytest.fixture
def papers(client: bebr.Client, models: Dict[str, str], docs: Matrix) -> bebr.Collection:
    """1,000 documents with a year and a language; ids are p0, p1, ..."""
    papers = client.create("papers", model=models["v1"])
    papers.upsert([f"p{i}" for i in range(1000)], docs[:1000],
                  {"year": [2000 + i % 25 for i in range(1000)], "lang": ["en" if i % 3 else "de" for i in range(1000)]})
    return papers
