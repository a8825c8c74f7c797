"""What the peers have in common: a program that is told by lines of JSON on its standard input what to do, and answers each with one.

    {"op": "load", "docs": FILE.npy, "metric": "cosine" or "l2", "work": DIRECTORY, ...}
        -> {"indexes": [{"index": NAME, "build_s": S, "memory_bytes": B, "disk_bytes": B, "settings": [NAME, ...]}, ...]}
    {"op": "search", "index": I, "setting": J, "queries": FILE.npy, "k": K, "at_once": N, "most_seconds": S}
        -> {"found": [[ROW, ...], ...], "seconds": S, "processor_s": S, "p50_ms": MS}     until all are done or the time is up

A system is a class with load(docs, metric, request), which fills `indexes`, and search(index, setting, queries, k), which returns the rows
found for each query and may use all processors where there are several. `server`, if it has one, is the process that works for it.
"""
import ctypes
import gc
import json
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "support"))
import numpy  # noqa: E402
from python_client import anonymous_bytes, disk_bytes  # noqa: E402, F401

THREADS = len(os.sched_getaffinity(0))


class Growth:
    """Seconds and bytes of memory between its beginning and its end."""

    def __enter__(self):
        self._bytes, self._start = self._settled(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._start
        self.bytes = max(0, self._settled() - self._bytes)

    @staticmethod
    def _settled():
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return anonymous_bytes()


def processor_seconds(system):
    """Of this process, all its threads, and of the system's server."""
    seconds = time.process_time()
    if hasattr(system, "server"):
        with open(f"/proc/{system.server.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def search(system, request):
    queries = numpy.load(request["queries"])
    at_once, found, each_ms = request["at_once"], [], []
    arguments = request["index"], request["setting"]
    system.search(*arguments, queries[:at_once], request["k"])  # not timed
    start, processors = time.monotonic(), processor_seconds(system)
    for begin in range(0, len(queries), at_once):
        before = time.monotonic()
        found += [[int(row) for row in rows] for rows in system.search(*arguments, queries[begin:begin + at_once], request["k"])]
        each_ms.append(1e3 * (time.monotonic() - before))
        if time.monotonic() - start > request["most_seconds"]:
            break
    return {"found": found, "seconds": sum(each_ms) / 1e3, "processor_s": processor_seconds(system) - processors, "p50_ms": statistics.median(each_ms)}


def serve(system):
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "load":
            system.load(numpy.load(request["docs"], mmap_mode="r"), request["metric"], request)
            answer = {"indexes": system.indexes}
        else:
            answer = search(system, request)
        print(json.dumps(answer), flush=True)
