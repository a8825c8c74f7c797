"""What calls return: plain values, which stay as they are."""

from __future__ import annotations

import html
from collections.abc import Sequence as SequenceBase
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union, overload

import numpy as np
import numpy.typing as npt

Scalar = Union[str, int, float, bool, datetime, np.datetime64]
Attribute = Union[Scalar, List[Scalar]]
"""Value of an attribute. Whole numbers have 64 bits with sign; floats are finite. Times are of whole
microseconds: a datetime has a zone, a numpy.datetime64 is in UTC, NaT is no value; they come back as datetime in UTC, those of the year 0, which
Python has not, as datetime64."""

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ScoreBand:
    """What a band of a code adds to an estimated score."""

    dims: int
    dot: int
    """Exact integer dot product of the codes."""
    weight: float
    distances: Tuple[int, ...]
    """Hamming distances by level."""


@dataclass(frozen=True)
class Explanation:
    """Where an estimated score comes from; the formula is that of Explanation in proto/bebr/v1/search.proto."""

    estimate: float
    """Before any rerank."""
    bands: Tuple[ScoreBand, ...]
    scale: float
    offset: float
    query_offset: float
    query_factor: float
    shard: int
    segment: int
    row: int
    group: int
    """Of the document, in a space in groups."""
    nearer_share: float = 0.0
    """Of the documents, those in groups nearer to the query: a probe of more than this share finds the hit."""


class Hit(NamedTuple):
    """A document that a search found."""

    id: str
    score: float
    """Of the collection's metric: exact, or the estimate from the codes; of a fusion, what that makes of several lists."""
    exact: bool
    """Whether the score was computed from the stored floats (rerank); not of a fusion."""
    its: float
    """Information-theoretic score of the codes, 0 to 1."""
    version: str
    """The version that wrote the document's code."""
    attributes: Mapping[str, Attribute]
    explanation: Optional[Explanation] = None
    """With explain=True."""
    group: Optional[Scalar] = None
    """With group_by: the value whose hit this is."""
    its_label: str = ""
    """Of its, by the search's its_cuts: close_match, very_high, high, medium, low, very_low or irrelevant; empty where only a list from
    elsewhere has the document."""


@dataclass(frozen=True)
class Coverage:
    """What an answer of a gateway over several nodes is of."""

    nodes: int
    """Of the cluster; replicas of the same documents count as one."""
    answered: int
    """Of these."""
    documents: int
    """That the nodes have which answered."""


@dataclass(frozen=True)
class Timings:
    """Microseconds of a search by stage."""

    queue_us: int
    encode_us: int
    scan_us: int
    rerank_us: int
    queries_in_scan: int
    """Queries that shared the scan."""


def _brief(value: Attribute) -> str:
    """A value in a table: of long texts the beginning."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _shown(id: str) -> str:
    """In one line, and nothing that a terminal obeys."""
    return id if id.isprintable() else repr(id)


@dataclass(frozen=True)
class Hits(SequenceBase[Hit]):
    """The answer to a query, best first: a sequence of Hit. Prints as a table, in a notebook too."""

    hits: Tuple[Hit, ...]
    documents_scanned: int
    timings: Timings
    warnings: Tuple[str, ...] = ()
    """What the filter names and no document has, mostly a slip; with strict=True that is an error instead."""
    view: str = ""
    """With keep_view: the token by which further searches see the same."""
    scanned_share: float = 0.0
    """With probe or probe_recall: the share of the documents that were scored, in the mean over the queries of the call."""
    may_be_stale: bool = False
    """Of a gateway over replicas: the newest writes may be missing, since an answer with them was not to be had in time."""
    coverage: Optional[Coverage] = None
    """With allow_partial, of a gateway."""

    @property
    def ids(self) -> List[str]:
        """Ids, best first."""
        return [hit.id for hit in self.hits]

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """Scores, best first."""
        return np.array([hit.score for hit in self.hits], dtype=np.float32)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> Tuple[Hit, ...]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Hit, Tuple[Hit, ...]]:
        return self.hits[index]

    def _rows(self) -> List[Tuple[str, str, str]]:
        return [(f"{hit.score:.4f}{'' if hit.exact else ' ~'}", _shown(hit.id), ", ".join(f"{k}={_brief(v)}" for k, v in sorted(hit.attributes.items())))
                for hit in self.hits]

    def __repr__(self) -> str:
        if not self.hits:
            return "\n".join([f"no hits; documents scored: {self.documents_scanned}", *self._warning_lines()])
        rows = [("score", "id", "attributes"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{score:>{widths[0]}}  {id:<{widths[1]}}  {rest}".rstrip() for score, id, rest in rows]
        return "\n".join([*lines, *self._warning_lines()])

    def _warning_lines(self) -> List[str]:
        return [f"warning: {text}" for text in self.warnings]

    def _repr_html_(self) -> str:
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows())
        warnings = "".join(f"<p>{html.escape(line)}</p>" for line in self._warning_lines())
        return f"<table><tr><th>score</th><th>id</th><th>attributes</th></tr>{rows}</table>{warnings}"


@dataclass(frozen=True)
class Document:
    """A stored document, or one to write."""

    id: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    embeddings: Mapping[str, Floats] = field(default_factory=dict)
    """By version; to write, "" stands for the collection's default."""

    @property
    def vector(self) -> Floats:
        """The embedding, where there is just one."""
        if len(self.embeddings) != 1:
            raise LookupError(f"document {self.id!r} has embeddings of {list(self.embeddings) or 'no version'}; take one from .embeddings"
                              " (get() brings them with_embeddings=True)")
        return next(iter(self.embeddings.values()))


@dataclass(frozen=True)
class Facet:
    """A value of an attribute, and the documents that have it."""

    value: Attribute
    documents: int


@dataclass(frozen=True)
class Facets(SequenceBase[Facet]):
    """The values of an attribute, the most frequent first: a sequence of Facet."""

    facets: Tuple[Facet, ...]
    values: int
    """Different ones in all; a whole number and a float are different."""
    documents: int
    """That satisfy the filter."""
    with_attribute: int
    """Of these, the ones that have the attribute."""
    warnings: Tuple[str, ...] = ()
    """As of Hits; and if no document has the attribute."""
    may_be_stale: bool = False
    """As of Hits."""

    def __len__(self) -> int:
        return len(self.facets)

    @overload
    def __getitem__(self, index: int) -> Facet: ...

    @overload
    def __getitem__(self, index: slice) -> Tuple[Facet, ...]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Facet, Tuple[Facet, ...]]:
        return self.facets[index]


@dataclass(frozen=True)
class DocumentError:
    """Why a document of a partial upsert was left out."""

    row: int
    """Of your arrays, or its number in a stream."""
    id: str
    code: str
    """The canonical name of the error, "INVALID_ARGUMENT"."""
    message: str


@dataclass(frozen=True)
class Upserted:
    """What an upsert has written."""

    documents: int
    """Written, all of them synced to the server's disk."""
    created: int
    """Of these, documents that did not exist before."""
    unknown_ids: Tuple[str, ...] = ()
    """Of a merge: documents that do not exist; nothing was written for them."""
    skipped_ids: Tuple[str, ...] = ()
    """Documents that a condition kept from being written."""
    errors: Tuple[DocumentError, ...] = ()
    """With partial=True: documents that were wrong and are not written, in the order of your rows."""


@dataclass(frozen=True)
class Updated:
    """What a change of attributes has done."""

    documents: int
    """Changed, all of them synced to the server's disk."""
    unknown_ids: Tuple[str, ...] = ()
    """Of the ids, those of documents that do not exist."""
    warnings: Tuple[str, ...] = ()
    """What the filter names and no document has, mostly a slip."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes held in memory."""

    codes: int
    ids: int
    attributes: int
    models: int
    total: int


@dataclass(frozen=True)
class RecallSample:
    """Recall of the codes on sampled documents, without rerank."""

    measured: datetime
    recall: float
    queries: int
    k: int
    score_error: float = 0.0
    """How far estimated scores were from exact ones, over the exact neighbours: in the mean, and in one of a hundred."""
    score_error_p99: float = 0.0
    probe: Tuple[Tuple[float, float], ...] = ()
    """Of probes: the share of the documents, and the recall of what scoring all of them finds. Empty: no groups, or too few queries."""


@dataclass(frozen=True)
class Backfill:
    """The re-encoding of stored floats in the background."""

    running: bool
    limit_documents_per_s: int
    written: int
    documents_per_s: float
    error: str


@dataclass(frozen=True)
class Check:
    """How a version does beside another; shares are of the k nearest documents."""

    checked: datetime
    against: str
    queries: int
    k: int
    recall: float
    """Exact neighbours by the version's floats that its codes find, without rerank."""
    against_recall: float
    """The same of the other version."""
    overlap: float
    """Answers of the other version that are also answers of this one."""
    documents: int
    against_documents: int
    score_error: float = 0.0
    """Of the version, as of RecallSample."""
    score_error_p99: float = 0.0


@dataclass(frozen=True)
class Version:
    """An embedding version of a collection."""

    name: str
    state: str
    """"added", "backfilling", "ready", "default" or "retired"."""
    input_dims: int
    """Floats an embedding has."""
    code: str
    """Shape of the codes, dims x levels by band."""
    bits: int
    query_levels: int
    metric: str
    """"cosine", "inner_product" or "l2"."""
    space: int
    """Versions with one number can be searched together."""
    documents: int
    """Whose code it wrote."""
    embeddings: int
    """Documents with stored floats that it takes."""
    same_embeddings_as: str
    model: str
    """The binarizer in a line."""
    model_checksum: int
    """Of the binarizer's file: what model_checksum= of searches and upserts compares with."""
    backfill: Optional[Backfill]
    check: Optional[Check]
    recall: Optional[RecallSample]


@dataclass(frozen=True)
class AutoEvent:
    """Something the server did with the binarizers of a collection, and why."""

    time: datetime
    text: str


@dataclass(frozen=True)
class AutoStatus:
    """How far the server has come with the binarizers that it makes."""

    state: str
    """"collecting" documents for the first fit, "fitting", "backfilling", "checking", "fitted" or "final"."""
    fitted_documents: int
    """There at the last fit; 0: none was made yet."""
    next_fit_documents: int
    recall: float
    """recall@10 of the codes without rerank, as measured last; 0: not yet."""
    recall_goal: float
    fits: int
    promotions: int
    """Fits whose version became the default."""
    events: Tuple[AutoEvent, ...]
    """The last 32, oldest first."""
    error: str
    """Why the last attempt failed, if it did; it is tried again."""


@dataclass(frozen=True)
class CollectionStats:
    """A collection as the server sees it now."""

    name: str
    documents: int
    default_version: str
    previous_default: str
    store_floats: str
    """"none", "f16" or "f32"."""
    shards: int
    created: datetime
    versions: Tuple[Version, ...]
    deleted_rows: int
    """Replaced or deleted rows whose memory is not yet reclaimed."""
    sequence: int
    memory: MemoryUse
    disk_bytes: int
    expected_documents: int
    default_rerank: int
    """Candidates that a search reranks which does not say itself; 0: none."""
    problem: str
    """Why it takes no writes at present, a fault of the disk; empty: it takes them."""
    attributes: Mapping[str, str]
    """What it was created to say of attributes, by name: "timestamp", "string stored"."""
    auto: Optional[AutoStatus]
    """Set if the server makes the binarizers."""

    def version(self, name: str = "") -> Version:
        """The version of that name, or the default."""
        wanted = name or self.default_version
        for version in self.versions:
            if version.name == wanted:
                return version
        raise LookupError(f"collection {self.name!r} has no version {wanted!r}; it has {[version.name for version in self.versions]}")

    def same_embeddings(self, name: str = "") -> List[str]:
        """That version, or the default, and all others that take the same embeddings: a document has its floats under one of these names."""
        found = [self.version(name).name]
        for known in found:
            found.extend(other.name for other in self.versions if other.name not in found and (
                other.same_embeddings_as == known or other.name == self.version(known).same_embeddings_as))
        return found


@dataclass(frozen=True)
class Snapshot:
    """A copy of a collection on the server's disk."""

    collection: str
    name: str
    created: datetime
    documents: int
    bytes: int
    position: int = 0
    """Of a cluster with a log: after which position of the log the collection was so."""
    problem: str = ""
    """Likewise: why it cannot be restored now; empty: it can."""


@dataclass(frozen=True)
class ServerStats:
    """Counters of a server since its start."""

    build_version: str
    simd: str
    threads: int
    uptime_seconds: int
    counters: Mapping[str, int]
    """All others, by their names in proto/bebr/v1/admin.proto."""


Vectors = Union[npt.ArrayLike, Mapping[str, npt.ArrayLike]]
"""A row a document; or several versions' rows by their names."""

Attributes = Union[Sequence[Optional[Mapping[str, object]]], Mapping[str, Union[Sequence[object], npt.NDArray[Any]]]]
"""A mapping a document, or a column an attribute, as a data frame has them. None stands for no value."""

RankedList = Union[Sequence[str], Mapping[str, float]]
"""Documents from elsewhere, best first: ids, or their scores by id."""
Ids = Union[Sequence[str], Sequence[int], npt.NDArray[np.generic]]
"""Strings, or whole numbers, which become strings."""

Examples = Union[str, npt.ArrayLike, Sequence[Union[str, int, npt.ArrayLike]]]
"""Documents by id, and vectors: "a", ["a", "b"], an array of rows, ["a", vector]. A vector alone goes into a list."""

Record = Union[Document, Tuple[str, npt.ArrayLike], Tuple[str, npt.ArrayLike, Mapping[str, object]]]
"""A document of a stream: Document, (id, vector) or (id, vector, attributes)."""

