"""This server, a process of its own, through its Python client: a model of bebr-train, floats kept as f16."""
import concurrent.futures
import os

import numpy
import peer
import python_client as common

RERANKS = (0, 20, 50, 100, 200)
CALLS = 4  # at once


class Bebr:
    def load(self, docs, metric, request):
        programs, work = request["programs"], request["work"]
        self._pool = concurrent.futures.ThreadPoolExecutor(CALLS)
        docs = numpy.ascontiguousarray(docs, dtype=numpy.float32)
        self.server, client = common.start_server(programs, os.path.join(work, "data"))
        before = peer.anonymous_bytes(self.server.pid)
        self.indexes, self._collections = [], []
        for bits in request["bits"]:
            model = os.path.join(work, f"{bits}.safetensors")
            with peer.Growth() as growth:
                common.fit_model(programs, request["docs"], model, "--bits", str(bits), "--groups", "64", "--metric", metric)
                collection = client.create(f"bits-{bits}", model=model)
                collection.upsert(range(len(docs)), docs)
            after = peer.anonymous_bytes(self.server.pid)
            self._collections.append(collection)
            self.indexes.append({"index": f"{bits} bits", "build_s": growth.seconds, "memory_bytes": max(0, after - before),
                                 "formula_bytes": collection.stats().memory.total, "disk_bytes": peer.disk_bytes(os.path.join(work, "data")),
                                 "settings": [f"rerank {n}" if n else "no rerank" for n in RERANKS]})
            before = after

    def search(self, index, setting, queries, k):
        part = -(-len(queries) // CALLS)
        ask = lambda some: self._collections[index].search_batch(some, k, rerank=RERANKS[setting], with_attributes=False)
        parts = [queries[i:i + part] for i in range(0, len(queries), part)]
        answers = map(ask, parts) if len(parts) == 1 else self._pool.map(ask, parts)
        return [hits.ids for answer in answers for hits in answer]


peer.serve(Bebr())
