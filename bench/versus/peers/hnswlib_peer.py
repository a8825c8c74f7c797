"""hnswlib from Python (Debian's python3-hnswlib)."""
import hnswlib

import peer

M, EF_CONSTRUCTION = 16, 200
EFS = (10, 20, 40, 80, 160, 320)


class Hnswlib:
    def load(self, docs, metric, request):
        rows, dims = docs.shape
        with peer.Growth() as growth:
            self._index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=dims)  # vectors of length 1
            self._index.init_index(max_elements=rows, M=M, ef_construction=EF_CONSTRUCTION)
            self._index.add_items(docs, num_threads=peer.THREADS)
        self.indexes = [{"index": f"M {M}, ef_construction {EF_CONSTRUCTION}", "build_s": growth.seconds,
                         "memory_bytes": growth.bytes, "disk_bytes": 0, "settings": [f"ef {ef}" for ef in EFS]}]

    def search(self, index, setting, queries, k):
        self._index.set_ef(EFS[setting])
        return self._index.knn_query(queries, k=k, num_threads=peer.THREADS)[0]


peer.serve(Hnswlib())
