"""bebr: a client of the vector search server bebr.

    import bebr, numpy as np
    client = bebr.Client("127.0.0.1:7700")
    papers = client.create("papers", dims=384)
    papers.upsert(ids, vectors, attributes)
    hits = papers.search(vectors[0], k=10, filter='year >= 2020')

Client            a server; Client.create and Client.collection give a Collection
Collection        upsert, upsert_stream, update, search, search_batch, get, delete, scroll, facets, count, stats; versions, snapshots, aliases
bebr.aio.Client   the same for asyncio
Error             all that goes wrong: one class a code, with field, limit, row and retry_after

bebr.langchain and bebr.llama_index are stores for these two, where they are installed; bebr.v1 has the API's messages as they are.
"""

from importlib.metadata import PackageNotFoundError, version

from bebr import aio, filters
from bebr.client import Aliases, Client, Collection, Snapshots, Versions
from bebr.errors import (AlreadyExists, Cancelled, DataLoss, DeadlineExceeded, Error, FailedPrecondition, FilterWarning, Internal, InvalidArgument, NotFound,
                         PermissionDenied, ResourceExhausted, StaleWarning, Unauthenticated, Unavailable, Unimplemented)
from bebr.types import (Attribute, AutoEvent, AutoStatus, Backfill, Check, CollectionStats, Coverage, Document, DocumentError, Explanation, Facet, Facets, Hit, Hits,
                        MemoryUse, RecallSample, ScoreBand, ServerStats, Snapshot, Timings, Updated,
                        Upserted, Version)

try:
    __version__ = version("bebr")
except PackageNotFoundError:  # run from the tree
    __version__ = "0"
del PackageNotFoundError, version

__all__ = [
    "Client", "Collection", "Versions", "Snapshots", "Aliases", "aio", "filters",
    "Hit", "Hits", "Coverage", "Explanation", "ScoreBand", "Facet", "Facets", "Timings", "Document", "DocumentError", "Updated", "Upserted", "CollectionStats",
    "Version", "Backfill", "Check", "RecallSample", "MemoryUse",
    "AutoStatus", "AutoEvent", "Snapshot", "ServerStats", "Attribute",
    "Error", "FilterWarning", "StaleWarning", "InvalidArgument", "NotFound", "AlreadyExists", "FailedPrecondition", "ResourceExhausted", "Unauthenticated", "PermissionDenied",
    "DeadlineExceeded", "Cancelled", "Unavailable", "DataLoss", "Unimplemented", "Internal",
]
