"""sqlite-vec (npm's sqlite-vec-linux-x64, the extension alone) in Python's SQLite: all floats, and signs with a rerank by the floats as its
guide to binary quantization says. A connection a thread."""
import concurrent.futures
import os
import sqlite3
import threading

import numpy

import peer

OVERSAMPLES = (4, 16, 64)
BATCH = 1000


class SqliteVec:
    def load(self, docs, metric, request):
        self._file = os.path.join(request["work"], "sqlite.db")
        self._extension = os.path.join(request["modules"], "sqlite-vec-linux-x64", "vec0")
        self._own = threading.local()
        self._pool = concurrent.futures.ThreadPoolExecutor(peer.THREADS)
        # A distance stays what it is where all is moved, and signs say more around the mean.
        self._mean = docs.mean(axis=0, dtype=numpy.float64).astype(numpy.float32) if metric == "l2" else numpy.float32(0)
        self._distance = "vec_distance_l2" if metric == "l2" else "vec_distance_cosine"
        rows, dims = docs.shape
        database = self._connection()
        with peer.Growth() as growth:
            database.execute("pragma journal_mode = wal")
            database.execute(f"create virtual table floats using vec0(embedding float[{dims}] distance_metric={metric})")
            database.execute(f"create virtual table signs using vec0(embedding bit[{dims}])")
            database.execute("create table rerank (id integer primary key, embedding blob)")
            for begin in range(0, rows, BATCH):
                batch = [(i, self._bytes(docs[i])) for i in range(begin, min(rows, begin + BATCH))]
                with database:
                    database.executemany("insert into floats(rowid, embedding) values (?, ?)", batch)
                    database.executemany("insert into signs(rowid, embedding) values (?, vec_quantize_binary(?))", batch)
                    database.executemany("insert into rerank values (?, ?)", batch)
            database.execute("pragma wal_checkpoint(truncate)")
        disk = peer.disk_bytes(request["work"])
        floats = rows * dims * 4
        self.indexes = [{"index": "float", "build_s": growth.seconds, "memory_bytes": growth.bytes, "disk_bytes": disk - floats - rows * dims // 8,
                         "settings": ["exact"]},
                        {"index": "bit", "build_s": growth.seconds, "memory_bytes": growth.bytes, "disk_bytes": disk - floats,
                         "settings": [f"rerank {10 * times}" for times in OVERSAMPLES]}]

    def _bytes(self, row):
        return (row - self._mean).astype(numpy.float32).tobytes()

    def _connection(self):
        if not hasattr(self._own, "database"):
            self._own.database = sqlite3.connect(self._file)
            self._own.database.enable_load_extension(True)
            self._own.database.load_extension(self._extension)
            self._own.database.execute("pragma mmap_size = 17179869184")
        return self._own.database

    def _one(self, index, setting, query, k):
        vector = self._bytes(query)
        if index == 0:
            sql, values = "select rowid from floats where embedding match ? and k = ? order by distance", (vector, k)
        else:
            sql = (f"with near as materialized (select rowid from signs where embedding match vec_quantize_binary(?) and k = ?) "
                   f"select id from near join rerank on id = near.rowid order by {self._distance}(embedding, ?) limit ?")
            values = vector, k * OVERSAMPLES[setting], vector, k
        return [row for row, in self._connection().execute(sql, values)]

    def search(self, index, setting, queries, k):
        if len(queries) == 1:
            return [self._one(index, setting, queries[0], k)]
        return list(self._pool.map(lambda query: self._one(index, setting, query, k), queries))


peer.serve(SqliteVec())
