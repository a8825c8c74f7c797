"""FAISS from Python (Debian's python3-faiss): a flat index, a graph, and an inverted file of 4-bit product codes (fast scan) with a rerank."""
import faiss
import numpy

import peer


class Faiss:
    def load(self, docs, metric, request):
        faiss.omp_set_num_threads(peer.THREADS)
        docs = numpy.ascontiguousarray(docs, dtype=numpy.float32)
        rows, dims = docs.shape
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        lists = 1 << max(4, round(numpy.log2(numpy.sqrt(rows))))
        probes = [n for n in (4, 16, 64, 128) if n <= lists]
        plans = [
            ("Flat", "Flat", [("exact", {})]),
            ("HNSW32", "HNSW32,Flat", [(f"efSearch {ef}", {"ef": ef}) for ef in (16, 32, 64, 128, 256)]),
            (f"IVF{lists},PQ{dims // 2}x4fs", f"IVF{lists},PQ{dims // 2}x4fs,RFlat",
             [(f"nprobe {n}, refine {k}", {"nprobe": n, "refine": k}) for n in probes for k in (5, 20)]),
        ]
        self.indexes, self._found = [], []
        for name, factory, settings in plans:
            with peer.Growth() as growth:
                index = faiss.index_factory(dims, factory, kind)
                if "HNSW" in factory:
                    index.hnsw.efConstruction = 200
                index.train(docs)
                index.add(docs)
            self._found.append((index, [options for _, options in settings]))
            self.indexes.append({"index": name, "build_s": growth.seconds, "memory_bytes": growth.bytes, "disk_bytes": 0,
                                 "settings": [setting for setting, _ in settings]})

    def search(self, index, setting, queries, k):
        found, settings = self._found[index]
        options = settings[setting]
        if "ef" in options:
            found.hnsw.efSearch = options["ef"]
        if "nprobe" in options:
            faiss.extract_index_ivf(found.base_index).nprobe = options["nprobe"]
            found.k_factor = options["refine"]
        return found.search(queries, k)[1]


peer.serve(Faiss())
