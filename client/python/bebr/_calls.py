"""Every call as a value: its method, its request, and how its answer is read. The clients only carry them."""

from __future__ import annotations

import inspect
import os
import warnings
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Generic, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union, cast

import numpy as np
import numpy.typing as npt

from bebr import _values, filters, v1
from bebr import types as t
from bebr._values import made
from bebr.errors import AlreadyExists, FilterWarning, InvalidArgument, StaleWarning, code_name, file_bytes

T = TypeVar("T")

_PACKAGE = os.path.join(os.path.dirname(__file__), "")

Model = Union[str, "os.PathLike[str]", bytes]
"""A binarizer: the path of its safetensors file, or the bytes of one."""

MODEL_CHUNK_BYTES = 1 << 20
MOST_IDS = 10_000
FLOAT_STORAGE = {"none": v1.FLOAT_STORAGE_NONE, "f16": v1.FLOAT_STORAGE_F16, "f32": v1.FLOAT_STORAGE_F32}
KINDS = {"string": v1.ATTRIBUTE_KIND_STRING, "int": v1.ATTRIBUTE_KIND_INT, "double": v1.ATTRIBUTE_KIND_DOUBLE, "bool": v1.ATTRIBUTE_KIND_BOOL,
         "timestamp": v1.ATTRIBUTE_KIND_TIMESTAMP}
STORAGES = {"indexed": v1.ATTRIBUTE_STORAGE_INDEXED, "stored": v1.ATTRIBUTE_STORAGE_STORED}
METRICS = {v1.METRIC_COSINE: "cosine", v1.METRIC_INNER_PRODUCT: "inner_product", v1.METRIC_L2: "l2"}
STATES = {v1.VERSION_STATE_ADDED: "added", v1.VERSION_STATE_RETIRED: "retired", v1.VERSION_STATE_BACKFILLING: "backfilling",
          v1.VERSION_STATE_READY: "ready", v1.VERSION_STATE_DEFAULT: "default"}
FUSIONS = {"max": v1.FUSION_MAX, "mean": v1.FUSION_MEAN, "reciprocal_rank": v1.FUSION_RECIPROCAL_RANK,
           "rrf": v1.FUSION_RECIPROCAL_RANK}  # as the command calls it
AUTO_STATES = {v1.AUTO_STATE_COLLECTING: "collecting", v1.AUTO_STATE_FITTING: "fitting", v1.AUTO_STATE_BACKFILLING: "backfilling",
               v1.AUTO_STATE_CHECKING: "checking", v1.AUTO_STATE_FITTED: "fitted", v1.AUTO_STATE_FINAL: "final"}


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call. `again`: whether it may be sent again when nobody knows whether it took effect."""

    service: str
    method: str
    request: Any
    read: Callable[[Any], T]
    again: bool = True
    first_row: int = 0
    parts: Optional[Callable[[], Iterator[Any]]] = None
    """Of a call whose request is a stream: makes its messages."""
    answer: str = ""
    """Its message, where that is not named after the method."""
    pieces: bool = False
    """Its answer is a stream: `read` takes the messages."""

    @property
    def path(self) -> str:
        return f"/bebr.v1.{self.service}/{self.method}"

    @property
    def response_class(self) -> Any:
        return getattr(v1, self.answer or f"{self.method}Response")


def nothing(response: Any) -> None:
    return None


# Values.


def time_of(unix_us: int) -> datetime:
    return datetime.fromtimestamp(unix_us / 1e6, tz=timezone.utc)


def fields_of(message: Any, *names: str) -> Dict[str, Any]:
    return {name: getattr(message, name) for name in names}


def check_of(check: v1.VersionCheck) -> t.Check:
    return t.Check(checked=time_of(check.checked_unix_us), **fields_of(check, "against", "queries", "k", "recall", "against_recall", "overlap",
                                                                      "documents", "against_documents", "score_error", "score_error_p99"))


def version_of(version: v1.Version) -> t.Version:
    backfill = recall = check = None
    if version.HasField("backfill"):
        backfill = t.Backfill(**fields_of(version.backfill, "running", "limit_documents_per_s", "written", "documents_per_s", "error"))
    if version.HasField("check"):
        check = check_of(version.check)
    if version.HasField("recall"):
        recall = t.RecallSample(measured=time_of(version.recall.measured_unix_us), **fields_of(version.recall, "recall", "queries", "k", "score_error", "score_error_p99"),
                                probe=tuple((probe.share, probe.recall) for probe in version.recall.probe))
    return t.Version(state=STATES.get(version.state, "unknown"), metric=METRICS.get(version.metric, "unknown"), backfill=backfill,
                     check=check, recall=recall, **fields_of(version, "name", "input_dims", "code", "bits", "query_levels", "space",
                                                             "documents", "embeddings", "same_embeddings_as", "model", "model_checksum"))


def auto_of(status: v1.AutoStatus) -> t.AutoStatus:
    events = tuple(t.AutoEvent(time=time_of(event.unix_us), text=event.text) for event in status.events)
    return t.AutoStatus(state=AUTO_STATES.get(status.state, "unknown"), events=events,
                        **fields_of(status, "fitted_documents", "next_fit_documents", "recall", "recall_goal", "fits", "promotions", "error"))


def stats_of(collection: v1.Collection) -> t.CollectionStats:
    storage = {number: name for name, number in FLOAT_STORAGE.items()}.get(collection.store_floats, "none")
    memory = t.MemoryUse(**fields_of(collection.memory, "codes", "ids", "attributes", "models", "total"))
    auto = auto_of(collection.auto_status) if collection.HasField("auto_status") else None
    attributes = {rule.name: _rule_text(rule) for rule in collection.attributes}
    return t.CollectionStats(auto=auto, attributes=attributes, store_floats=storage, created=time_of(collection.created_unix_us),
                             versions=tuple(version_of(version) for version in collection.versions), memory=memory,
                             **fields_of(collection, "name", "documents", "default_version", "previous_default", "shards", "deleted_rows",
                                         "sequence", "disk_bytes", "expected_documents", "default_rerank", "problem"))


def _rule_text(rule: v1.AttributeRule) -> str:
    kinds = [word for word, kind in KINDS.items() if kind == rule.kind]
    return " ".join(kinds + [word for word, storage in STORAGES.items() if storage == rule.storage])


def snapshot_of(snapshot: v1.Snapshot) -> t.Snapshot:
    return t.Snapshot(created=time_of(snapshot.created_unix_us),
                      **fields_of(snapshot, "collection", "name", "documents", "bytes", "position", "problem"))


def model_bytes(model: Model) -> bytes:
    if isinstance(model, bytes):
        return model
    return file_bytes(model, "model")


def uploaded(request_class: Any, config: Any, model: Optional[Model]) -> Callable[[], Iterator[Any]]:
    data = model_bytes(model) if model is not None else b""

    def parts() -> Iterator[Any]:
        yield request_class(config=config)
        for first in range(0, len(data), MODEL_CHUNK_BYTES):
            yield request_class(model_chunk=data[first:first + MODEL_CHUNK_BYTES])

    return parts


def one_of(what: str, value: str, known: Mapping[str, int]) -> int:
    if value not in known:
        raise InvalidArgument(f"{what} is {value!r}; it is one of {', '.join(map(repr, known))}", field=what)
    return known[value]


# Collections.


def _rule(attribute: str, text: str) -> v1.AttributeRule:
    """Of a schema: "timestamp", "stored", "string stored"."""
    rule = made(v1.AttributeRule, name=attribute)
    for word in text.split():
        if word in STORAGES:
            rule.storage = STORAGES[word]
        elif word in KINDS:
            rule.kind = KINDS[word]
        else:
            raise InvalidArgument(f"attributes[{attribute!r}] is {text!r}; it is one of {', '.join(KINDS)}, and indexed or stored",
                                  field="attributes")
    return rule


def create(name: str, *, dims: Optional[int], model: Optional[Model], bits: int, recall: float, metric: str, version: str, store_floats: str,
           shards: int, expected_documents: int, default_rerank: int, attributes: Mapping[str, str]) -> Call[t.CollectionStats]:
    if (dims is None) == (model is None):
        raise InvalidArgument("create takes dims, and the server makes the binarizer, or model, a binarizer's file; give one of them",
                              field="dims" if dims is None else "model")
    config = made(v1.CollectionConfig, name=name, version=version, store_floats=one_of("store_floats", store_floats, FLOAT_STORAGE), shards=shards,
                                 expected_documents=expected_documents, default_rerank=default_rerank)
    for attribute, rule in attributes.items():
        config.attributes.append(_rule(attribute, rule))
    if dims is not None:
        known = {name: number for number, name in METRICS.items()}
        known["ip"] = v1.METRIC_INNER_PRODUCT  # as the command calls it
        config.auto_binarizer.CopyFrom(made(v1.AutoBinarizer, dims=dims, bits=bits, recall=recall, metric=one_of("metric", metric, known)))
    elif bits or recall or metric != "cosine":
        raise InvalidArgument("bits, recall and metric are those of the model; they go with dims", field="model")
    return Call("CollectionService", "CreateCollection", None, lambda r: stats_of(r.collection), again=False,
                parts=uploaded(v1.CreateCollectionRequest, config, model))


def _said(rule: Optional[str]) -> str:
    return "of no rule" if rule is None else f"of {rule!r}"


def check_same(there: t.CollectionStats, dims: Optional[int], metric: str, attributes: Mapping[str, str]) -> None:
    """Whether a collection is one that create makes with these; without dims a model says them, and without attributes any will do."""
    version = next(one for one in there.versions if one.name == there.default_version)
    wanted = "inner_product" if metric == "ip" else metric
    if dims is not None and (version.input_dims, version.metric) != (dims, wanted):
        raise AlreadyExists(f"collection {there.name!r} is there for embeddings of {version.input_dims} floats and {version.metric}, not of "
                            f"{dims} and {wanted}: take another name, or drop it")
    for attribute in {**there.attributes, **attributes} if attributes else ():
        rules = [known.get(attribute) for known in (there.attributes, attributes)]
        has, asked = [_rule(attribute, rule) if rule is not None else None for rule in rules]
        if has != asked:
            raise AlreadyExists(f"collection {there.name!r} is there with attributes[{attribute!r}] {_said(rules[0])}, not "
                                f"{_said(rules[1])}: take another name, or drop it")


def stats(name: str) -> Call[t.CollectionStats]:
    return Call("CollectionService", "GetCollection", made(v1.GetCollectionRequest, name=name), lambda r: stats_of(r.collection))


def warning(response: Any, of_filter: bool = True) -> Any:
    """The answer, after telling of what its filter names and no document has, and of newest writes that it may lack."""
    for text in response.warnings:
        stale = text.startswith("may_be_stale: ")
        if stale or of_filter:
            warnings.warn(text, StaleWarning if stale else FilterWarning, stacklevel=_callers_level())
    return response


def _callers_level() -> int:
    """The stacklevel, for whoever calls this, of the first frame that is not of this package: whose call it is."""
    level = 1
    frame = inspect.currentframe()
    frame = frame.f_back if frame else None
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    return level


def count(name: str, filter: filters.Filter, strict: bool) -> Call[int]:
    if filter:
        request = made(v1.CountRequest, collection=name, **filters.fields(filter), strict=strict)
        return Call("DocumentService", "Count", request, lambda r: int(warning(r).documents))
    return Call("CollectionService", "GetCollection", made(v1.GetCollectionRequest, name=name), lambda r: int(r.collection.documents))


def collections() -> Call[List[t.CollectionStats]]:
    return Call("CollectionService", "ListCollections", v1.ListCollectionsRequest(), lambda r: [stats_of(c) for c in r.collections])


def unavailable() -> Call[Dict[str, str]]:
    return Call("CollectionService", "ListCollections", v1.ListCollectionsRequest(), lambda r: {one.name: one.reason for one in r.unavailable})


def drop(name: str) -> Call[None]:
    return Call("CollectionService", "DeleteCollection", made(v1.DeleteCollectionRequest, name=name), nothing, again=False)


# Documents.


@dataclass(frozen=True)
class Writing:
    """What upserts take beside the documents."""

    merge: bool = False
    replace_all: bool = False
    if_absent: bool = False
    if_newer_by: str = ""
    partial: bool = False
    model_checksum: int = 0

    @property
    def mode(self) -> int:
        if self.merge and (self.replace_all or self.if_absent or self.if_newer_by):
            raise InvalidArgument("merge is for documents that exist, and leaves all else of them; replace_all, if_absent and if_newer_by do "
                                  "not go with it", field="merge")
        return v1.UPSERT_MODE_MERGE if self.merge else v1.UPSERT_MODE_REPLACE_ALL if self.replace_all else v1.UPSERT_MODE_REPLACE

    @property
    def options(self) -> v1.UpsertOptions:
        return made(v1.UpsertOptions, only_if_absent=self.if_absent, only_if_newer_by=self.if_newer_by, partial=self.partial,
                    model_checksum=self.model_checksum)


def left_out(response: Any, first: int, left: _values.LeftOut) -> Iterator[t.DocumentError]:
    """The documents of a message that a partial upsert has not written; `first` is which its first one is of those sent."""
    for error in response.errors:
        yield t.DocumentError(row=left.row(first + error.index), id=error.id, code=code_name(error.code), message=error.message)


def upsert(name: str, rows: _values.Rows, writing: Writing, batch: Optional[int]) -> Optional[Call[t.Upserted]]:
    """None: they are more than a message's."""
    request = made(v1.UpsertRequest, collection=name, mode=writing.mode, options=writing.options)
    if rows.fill(request.documents, 0, batch) < len(rows):
        return None

    def read(r: Any) -> t.Upserted:
        wrong = sorted([*left_out(r, 0, rows.left_out), *rows.left_out.errors], key=lambda error: error.row)
        return t.Upserted(documents=r.documents, created=r.created, unknown_ids=tuple(r.unknown_ids), skipped_ids=tuple(r.skipped_ids),
                          errors=tuple(wrong))

    return Call("DocumentService", "Upsert", request, read)


def one_way(ids: Any, filter: filters.Filter) -> None:
    if (ids is None) == (not filter):
        raise InvalidArgument("give ids or a filter: one of them", field="ids")


def updates(name: str, ids: Any, filter: filters.Filter, set: Optional[Mapping[str, object]], remove: Sequence[str],
            clear: bool) -> Iterator[Call[t.Updated]]:
    """Calls of as many ids as one takes, or one of a filter."""
    one_way(ids, filter)
    names = [remove] if isinstance(remove, str) else list(remove)
    for batch in id_batches(ids, MOST_IDS) if ids is not None else [[]]:
        request = made(v1.UpdateAttributesRequest, collection=name, ids=batch, **filters.fields(filter), remove=names, clear=clear)
        for attribute, value in (set or {}).items():
            if value is None:
                raise InvalidArgument(f"set[{attribute!r}] is None; name the attribute in remove to take it away", field=f"set[{attribute!r}]")
            _values.check_name(attribute, "set")
            _values.to_attribute(request.set[attribute], value, f"set[{attribute!r}]")
        yield Call("DocumentService", "UpdateAttributes", request,
                   lambda r: t.Updated(documents=r.documents, unknown_ids=tuple(r.unknown_ids), warnings=tuple(r.warnings)))


def documents_of(response: Any) -> List[t.Document]:
    return [_values.from_document(document) for document in response.documents]


def id_batches(ids: Any, size: int) -> Iterator[List[str]]:
    rows = _values.id_list(ids)
    for index, id in enumerate(rows):
        _values.check_id(id, f"ids[{index}]")
    for first in range(0, len(rows), size):
        yield rows[first:first + size]


def gets(name: str, ids: Any, with_embeddings: bool) -> Iterator[Call[List[t.Document]]]:
    """Calls of as many ids as are fetched in a timeout. However large documents are, they have room in the several messages of an answer."""

    def read(pieces: Any) -> List[t.Document]:
        return [document for piece in pieces for document in documents_of(piece)]

    for batch in id_batches(ids, MOST_IDS):
        request = made(v1.StreamGetRequest, collection=name, ids=batch, with_embeddings=with_embeddings)
        yield Call("DocumentService", "StreamGet", request, read, answer="GetResponse", pieces=True)


def deletes(name: str, ids: Any, filter: filters.Filter) -> Iterator[Call[int]]:
    one_way(ids, filter)
    for batch in id_batches(ids, MOST_IDS) if ids is not None else [[]]:
        yield Call("DocumentService", "Delete", made(v1.DeleteRequest, collection=name, ids=batch, **filters.fields(filter)),
                   lambda r: int(warning(r).deleted))


def scroll(name: str, filter: filters.Filter, limit: int, after: str, with_attributes: bool, with_embeddings: bool, keep_view: int,
           view: str, strict: bool, warns: bool) -> Call[Tuple[List[t.Document], str, str]]:
    """A page, where the next one begins, and the view that is kept for it."""
    request = made(v1.ScrollRequest, collection=name, **filters.fields(filter), page_token=after, limit=limit,
                   with_attributes=with_attributes, with_embeddings=with_embeddings, keep_view_s=keep_view, view_token=view, strict=strict)
    return Call("DocumentService", "Scroll", request, lambda r: (documents_of(warning(r, of_filter=warns)), r.next_page_token, r.view_token))


def facets(name: str, attribute: str, filter: filters.Filter, limit: int, strict: bool) -> Call[t.Facets]:
    request = made(v1.FacetRequest, collection=name, attribute=attribute, **filters.fields(filter), limit=limit, strict=strict)

    def read(r: Any) -> t.Facets:
        values = tuple(t.Facet(value=_values.from_attribute(facet.value), documents=facet.documents) for facet in r.facets)
        return t.Facets(facets=values, warnings=tuple(r.warnings), **fields_of(r, "values", "documents", "with_attribute", "may_be_stale"))

    return Call("DocumentService", "Facets", request, read, answer="FacetResponse")


# Search.


@dataclass(frozen=True)
class SearchOptions:
    """What searches take beside the query."""

    k: int
    filter: filters.Filter
    rerank: Optional[int]
    min_score: Optional[float]
    with_attributes: bool
    version: str
    first_levels: int
    candidates: int
    offset: int
    exclude: Any
    strict: bool
    explain: bool
    model_checksum: int
    group_by: str = ""
    group_size: int = 1
    keep_view: int = 0
    view: str = ""
    its_cuts: Sequence[float] = ()
    probe: float = 0.0
    probe_recall: float = 0.0
    allow_partial: bool = False

    def message(self, fusion: Optional[str] = None) -> v1.SearchOptions:
        for name in ("k", "rerank", "first_levels", "candidates", "offset", "group_size", "keep_view"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, np.integer)) and 0 <= value < 2**32):
                raise InvalidArgument(f"{name} is {value}; it is a whole number, not negative", field=name)
        if self.group_size != 1 and not self.group_by:
            raise InvalidArgument(f"group_size is {self.group_size} without group_by; name the attribute", field="group_size")
        return made(v1.SearchOptions, k=self.k, **filters.fields(self.filter), rerank=self.rerank, min_score=self.min_score,
                    with_attributes=self.with_attributes, version=self.version, first_levels=self.first_levels, candidates=self.candidates, offset=self.offset, exclude_ids=_values.id_list(self.exclude, "exclude"), strict=self.strict,
                    explain=self.explain, model_checksum=self.model_checksum, group_by=self.group_by, group_size=self.group_size if self.group_by else 0,
                    keep_view_s=self.keep_view, view_token=self.view, its_cuts=self.its_cuts,
                    probe=self.probe, probe_recall=self.probe_recall, allow_partial=self.allow_partial,
                    fusion=0 if fusion is None else one_of("fusion", fusion, FUSIONS))

    def batch_rows(self) -> int:
        """Queries a call, by the limits that a server has unless it is told otherwise."""
        return max(1, min(1024, 500_000 // max(1, self.k * max(1, self.group_size) + self.offset, self.rerank or 0)))


def timings_of(timings: v1.SearchTimings) -> t.Timings:
    return t.Timings(**fields_of(timings, "queue_us", "encode_us", "scan_us", "rerank_us", "queries_in_scan"))


def hits_of(hits: Any, response: Any) -> t.Hits:
    coverage = t.Coverage(**fields_of(response.coverage, "nodes", "answered", "documents")) if response.HasField("coverage") else None
    return t.Hits(hits=tuple(_values.from_hits(hits)), documents_scanned=response.documents_scanned, timings=timings_of(response.timings),
                  warnings=tuple(response.warnings), view=response.view_token, scanned_share=response.scanned_share, may_be_stale=response.may_be_stale,
                  coverage=coverage)


@dataclass(frozen=True)
class Fused:
    """How several lists become one."""

    fusion: Optional[str]
    versions: Sequence[str]
    lists: Sequence[t.RankedList]
    weights: Sequence[float]

    def check(self) -> None:
        for name in ("versions", "lists", "weights"):
            if len(getattr(self, name)) > 0:
                raise InvalidArgument(f"{name} goes with fusion; set it too", field=name)


def to_ranked(out: v1.RankedList, given: t.RankedList, what: str) -> None:
    if isinstance(given, Mapping):
        out.scores.extend(given.values())
    out.ids.extend(_values.id_list(list(given), what))


def search(name: str, vector: Optional[npt.ArrayLike], like: Optional[t.Examples], unlike: Optional[t.Examples], fused: Fused,
           options: SearchOptions) -> Call[t.Hits]:
    if (vector is None) == (like is None):
        raise InvalidArgument("search takes a vector, or examples by like; give one of them", field="query")
    if unlike is not None and like is None:
        raise InvalidArgument("unlike goes with like; [vector] is a vector as an example", field="unlike")
    if fused.fusion is not None:
        return fuse(name, vector, fused.fusion, fused, options)
    fused.check()
    request = made(v1.SearchRequest, collection=name, options=options.message())
    if vector is not None:
        _values.to_vector(request.query, _values.row(vector, "vector"))
    if like is not None:
        _values.to_examples(request.like.positive_ids, request.like.positives, like, "like")
    if unlike is not None:
        _values.to_examples(request.like.negative_ids, request.like.negatives, unlike, "unlike")
    return Call("SearchService", "Search", request, lambda r: hits_of(r.hits, r))


def fuse(name: str, vectors: Optional[npt.ArrayLike], fusion: str, fused: Fused, options: SearchOptions) -> Call[t.Hits]:
    if vectors is None:
        raise InvalidArgument("fusion is of several vectors, not of examples", field="fusion")
    request = made(v1.BatchSearchRequest, collection=name, options=options.message(fusion), versions=list(fused.versions), weights=list(fused.weights))
    # Of several versions they may differ in length.
    rows: Any = [_values.row(one, f"vector[{index}]") for index, one in enumerate(cast(Any, vectors))] if fused.versions else _values.matrix(vectors, "vector")
    for values in rows:
        _values.to_vector(request.queries.add(), values)
    for index, ranked in enumerate(fused.lists):
        to_ranked(request.lists.add(), ranked, f"lists[{index}]")
    return Call("SearchService", "BatchSearch", request, lambda r: hits_of(r.results[0].hits, r))


def search_batches(name: str, vectors: npt.ArrayLike, options: SearchOptions) -> Iterator[Call[List[t.Hits]]]:
    """Calls of as many queries as one takes."""
    rows, message = _values.matrix(vectors, "vectors"), options.message()
    size = options.batch_rows()
    for first in range(0, len(rows), size):
        request = made(v1.BatchSearchRequest, collection=name, options=message)
        for values in rows[first:first + size]:
            _values.to_vector(request.queries.add(), values)
        yield Call("SearchService", "BatchSearch", request, lambda r: [hits_of(result.hits, r) for result in r.results], first_row=first)


# Versions.


def add_version(name: str, version: str, model: Model, compatible_with: str, same_embeddings_as: str) -> Call[t.CollectionStats]:
    config = made(v1.VersionConfig, collection=name, name=version, compatible_with=compatible_with, same_embeddings_as=same_embeddings_as)
    return Call("CollectionService", "AddVersion", None, lambda r: stats_of(r.collection), again=False,
                parts=uploaded(v1.AddVersionRequest, config, model))


def promote(name: str, version: str, expected_default: str, force: bool) -> Call[t.CollectionStats]:
    request = made(v1.PromoteVersionRequest, collection=name, version=version, expected_default=expected_default, force=force)
    return Call("CollectionService", "PromoteVersion", request, lambda r: stats_of(r.collection), again=False)


def retire(name: str, version: str) -> Call[t.CollectionStats]:
    return Call("CollectionService", "RetireVersion", made(v1.RetireVersionRequest, collection=name, version=version),
                lambda r: stats_of(r.collection), again=False)


def backfill(name: str, version: str, documents_per_s: int, stop: bool) -> Call[t.CollectionStats]:
    request = made(v1.BackfillVersionRequest, collection=name, version=version, documents_per_s=documents_per_s, stop=stop)
    return Call("CollectionService", "BackfillVersion", request, lambda r: stats_of(r.collection), again=False)


def check(name: str, version: str, against: str, sample: int, k: int, queries: Optional[npt.ArrayLike],
          against_queries: Optional[npt.ArrayLike]) -> Call[t.Check]:
    request = made(v1.CheckVersionRequest, collection=name, version=version, against=against, sample=sample, k=k)
    for target, rows, what in ((request.queries, queries, "queries"), (request.against_queries, against_queries, "against_queries")):
        for values in _values.matrix(rows, what) if rows is not None else np.empty((0, 0), np.float32):
            _values.to_vector(target.add(), values)
    return Call("CollectionService", "CheckVersion", request, lambda r: check_of(r.check))


# Aliases and snapshots.


def set_alias(alias: str, collection: str, expected: Optional[str]) -> Call[None]:
    request = made(v1.SetAliasRequest, alias=made(v1.Alias, name=alias, collection=collection), expected_collection=expected)
    return Call("CollectionService", "SetAlias", request, nothing, again=expected is None)


def aliases() -> Call[Dict[str, str]]:
    return Call("CollectionService", "ListAliases", v1.ListAliasesRequest(), lambda r: {alias.name: alias.collection for alias in r.aliases})


def delete_alias(alias: str) -> Call[None]:
    return Call("CollectionService", "DeleteAlias", made(v1.DeleteAliasRequest, name=alias), nothing, again=False)


def create_snapshot(collection: str, name: str) -> Call[t.Snapshot]:
    return Call("AdminService", "CreateSnapshot", made(v1.CreateSnapshotRequest, collection=collection, name=name),
                lambda r: snapshot_of(r.snapshot), again=False)


def snapshots(collection: str) -> Call[List[t.Snapshot]]:
    return Call("AdminService", "ListSnapshots", made(v1.ListSnapshotsRequest, collection=collection),
                lambda r: [snapshot_of(snapshot) for snapshot in r.snapshots])


def restore(collection: str, name: str, new_collection: str) -> Call[t.CollectionStats]:
    request = made(v1.RestoreSnapshotRequest, collection=collection, name=name, new_collection=new_collection)
    return Call("AdminService", "RestoreSnapshot", request, lambda r: stats_of(r.collection), again=False)


def delete_snapshot(collection: str, name: str) -> Call[None]:
    return Call("AdminService", "DeleteSnapshot", made(v1.DeleteSnapshotRequest, collection=collection, name=name), nothing, again=False)


# The server.


def server_stats() -> Call[t.ServerStats]:
    own = ("build_version", "simd", "threads", "uptime_seconds")

    def read(r: Any) -> t.ServerStats:
        counters = {field.name: int(getattr(r, field.name)) for field in r.DESCRIPTOR.fields if field.name not in own}
        return t.ServerStats(counters=counters, **fields_of(r, *own))

    return Call("AdminService", "GetStats", v1.GetStatsRequest(), read)


def estimate_memory(collection: str, documents: int, id_bytes: float, attributes: float, distinct_texts: int,
                    text_bytes: float) -> Call[t.MemoryUse]:
    request = made(v1.EstimateMemoryRequest, collection=collection, documents=documents, id_bytes=id_bytes, attributes=attributes,
                   distinct_texts=distinct_texts, text_bytes=text_bytes)
    return Call("AdminService", "EstimateMemory", request,
                lambda r: t.MemoryUse(**fields_of(r.memory, "codes", "ids", "attributes", "models", "total")))
