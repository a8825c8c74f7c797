"""The client whose calls wait for their answers. bebr.aio has the same with await."""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, TypeVar

import grpc
import numpy.typing as npt

from bebr import _calls, _stream, _values, errors, v1
from bebr import types as t
from bebr._calls import Call, Model, SearchOptions
from bebr._stream import Progress
from bebr._transport import Contact, Options, Patience
from bebr.filters import Filter

T = TypeVar("T")


class Client:
    """A server, and the collections in it.

        client = bebr.Client("127.0.0.1:7700")
        papers = client.collection("papers")

    A name without a port has 7700, after https:// 443.
    What is not given comes from the environment: $BEBR_SERVER, $BEBR_API_KEY, $BEBR_TLS_CA, $BEBR_TLS_CERT, $BEBR_TLS_KEY. `tls_ca` is
    the file of the authority that signed the server's certificate, and switches TLS on; so does https:// before the server's name, with
    the authorities that gRPC knows. `tls_cert` and `tls_key` are the client's own certificate. A key goes in clear where there is no TLS.

    `timeout` is for each call, in seconds, tries and pauses together; None means no end. Every method that calls takes its own. Of an
    upsert of more than one message it is the longest time without an answer instead: however large it is, it ends by itself only if
    nothing was acknowledged for so long.

    A call is sent again where that is harmless alone: a read or a write of documents that got no answer (UNAVAILABLE), and whatever the
    server refused before it began (RESOURCE_EXHAUSTED with a time to wait). A client that its server has answered before goes on until
    `timeout`, in pauses that double to 2 s, as while a server starts anew; one that never had an answer tries `retries` times again, some
    3 s. With retries=0 nothing is sent again. Creations, drops, promotions and snapshots that got no answer are never sent again.

    May be used by many threads, not across a fork. One connection, made by the first call; close() or `with` ends it.
    """

    def __init__(self, server: Optional[str] = None, *, api_key: Optional[str] = None, timeout: Optional[float] = 30.0, retries: int = 5,
                 tls_ca: Optional[str] = None, tls_cert: Optional[str] = None, tls_key: Optional[str] = None) -> None:
        self._options = Options.of(server, timeout, retries, api_key, tls_ca, tls_cert, tls_key)
        self._contact = Contact()
        self._channel = self._options.open_channel(grpc)

    def __repr__(self) -> str:
        return f"bebr.Client({self._options.server!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; calls in progress are given up."""
        self._channel.close()

    def create(self, name: str, *, dims: Optional[int] = None, bits: int = 0, recall: float = 0.0, metric: str = "cosine",
               model: Optional[Model] = None, version: str = "", store_floats: str = "f16", shards: int = 0, expected_documents: int = 0,
               default_rerank: int = 0, attributes: Mapping[str, str] = {}, exist_ok: bool = False,
               timeout: Optional[float] = None) -> Collection:
        """Makes a collection.

        With `dims`, the floats an embedding has, the server makes the binarizer, from the documents as they come, and stats().auto says
        what it did. `bits` a document, or the `recall` that codes are to reach without rerank (of 1), and `metric` ("cosine",
        "inner_product" or "l2", whose scores are minus the squared Euclidean distance) go with it; without bits and recall the server takes what suits most.

        With `model` instead, a safetensors file of bebr-train by path or as bytes, all of that is the model's. `version` names it.

        `store_floats` is "f16", "f32" or "none": without floats there is no rerank. `default_rerank` is for searches that do not say;
        0: with dims what a recall@10 of 0.99 takes, with a model none. `expected_documents` that would not fit in memory are refused,
        with the figure.

        `attributes` says what attributes are, by name: {"created": "timestamp", "body": "string stored"}. Others may come at any time,
        of any type; texts of more than 256 bytes are stored only, so that they take no memory.

        With `exist_ok` a collection or an alias that is there is returned as it is, if it has these `dims`, this `metric` and, where they are
        given, these `attributes`; whatever else it was made with is not compared.
        """
        call = _calls.create(name, dims=dims, model=model, bits=bits, recall=recall, metric=metric, version=version,
                             store_floats=store_floats, shards=shards, expected_documents=expected_documents,
                             default_rerank=default_rerank, attributes=attributes)
        try:
            self._run(call, timeout)
        except errors.AlreadyExists:
            if not exist_ok:
                raise
            _calls.check_same(self._run(_calls.stats(name), timeout), dims, metric, attributes)
        return Collection(self, name)

    def collection(self, name: str) -> Collection:
        """A collection or an alias, by name. Calls nothing: whether it is there, its first call tells."""
        return Collection(self, name)

    def collections(self, *, timeout: Optional[float] = None) -> List[t.CollectionStats]:
        """All collections that the key may see, by name."""
        return self._run(_calls.collections(), timeout)

    def unavailable(self, *, timeout: Optional[float] = None) -> Dict[str, str]:
        """Collections on the server's disk that cannot be opened, and why; collections() has the others."""
        return self._run(_calls.unavailable(), timeout)

    def drop(self, name: str, *, timeout: Optional[float] = None) -> None:
        """Drops a collection and its data, for good; its snapshots stay."""
        self._run(_calls.drop(name), timeout)

    def aliases(self, *, timeout: Optional[float] = None) -> Dict[str, str]:
        """The collection of every alias."""
        return self._run(_calls.aliases(), timeout)

    def snapshots(self, *, timeout: Optional[float] = None) -> List[t.Snapshot]:
        """Of all collections, also dropped ones."""
        return self._run(_calls.snapshots(""), timeout)

    def restore(self, collection: str, snapshot: str, new_name: str, *, timeout: Optional[float] = None) -> Collection:
        """Makes a new collection of a snapshot of `collection`, which need not exist any more. The snapshot stays."""
        self._run(_calls.restore(collection, snapshot, new_name), timeout)
        return Collection(self, new_name)

    def stats(self, *, timeout: Optional[float] = None) -> t.ServerStats:
        """The server's counters."""
        return self._run(_calls.server_stats(), timeout)

    def _time(self, timeout: Optional[float]) -> Optional[float]:
        return timeout if timeout is not None else self._options.timeout

    def _run(self, call: Call[T], timeout: Optional[float]) -> T:
        patience = Patience(self._options, self._contact, self._time(timeout), call.again)
        while True:
            try:
                found = call.read(self._send(call, patience.left()))
                self._contact.made = True
                return found
            except grpc.RpcError as failure:
                error = errors.of_call(failure, self._options.server, call.first_row)
            pause = patience.pause_after(error)
            if pause is None:
                raise error
            time.sleep(pause)

    def _send(self, call: Call[Any], timeout: Optional[float]) -> Any:
        make = self._channel.unary_stream if call.pieces else self._channel.stream_unary if call.parts else self._channel.unary_unary
        method = make(call.path, request_serializer=lambda message: message.SerializeToString(),
                      response_deserializer=call.response_class.FromString)
        return method(call.parts() if call.parts else call.request, timeout=timeout, metadata=self._options.metadata())

    def _upsert_stream(self, messages: Iterable[v1.StreamUpsertRequest], left: _values.LeftOut, timeout: Optional[float],
                       progress: Optional[Progress]) -> t.Upserted:
        window = _stream.Window(progress, left)
        patience = Patience(self._options, self._contact, self._time(timeout), again=True)  # which each answer renews
        stream = _Stream(self._channel, self._options)

        def advance() -> None:
            """Waits for one answer, and sends again what must be."""
            nonlocal stream
            try:
                answer = stream.receive(patience)
            except errors.Unavailable as error:
                pause = patience.pause_after(error)
                if pause is None:
                    raise
                stream.cancel()
                time.sleep(pause)
                stream = _Stream(self._channel, self._options)
                for message in window.waiting.values():
                    stream.send(message)
                return
            self._contact.made = True
            pause = window.take(answer)
            patience.progress()
            if pause:
                time.sleep(pause)
                stream.send(window.waiting[answer.sequence])

        try:
            with errors.telling(lambda: window.written):
                for message in messages:
                    while window.full:
                        advance()
                    window.sent(message)
                    stream.send(message)
                    patience.progress()  # the time that documents take to come is not the server's
                while window.waiting:
                    advance()
        finally:
            stream.cancel()
        return window.result()


class _Stream:
    """One StreamUpsert call. A thread of gRPC takes what is to be sent, one of ours brings the answers."""

    def __init__(self, channel: grpc.Channel, options: Options) -> None:
        self._server = options.server
        self._outgoing: queue.SimpleQueue[Optional[v1.StreamUpsertRequest]] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        method = channel.stream_stream("/bebr.v1.DocumentService/StreamUpsert", request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=v1.StreamUpsertResponse.FromString)
        self._call = method(iter(self._outgoing.get, None), metadata=options.metadata())
        threading.Thread(target=self._read, name="bebr-upsert", daemon=True).start()

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._incoming.put(answer)
            self._incoming.put(errors.Unavailable(f"{self._server} ended the stream before everything was acknowledged"))
        except grpc.RpcError as failure:
            self._incoming.put(errors.of_call(failure, self._server))

    def send(self, message: v1.StreamUpsertRequest) -> None:
        self._outgoing.put(message)

    def receive(self, patience: Patience) -> v1.StreamUpsertResponse:
        try:
            answer = self._incoming.get(timeout=patience.left())
        except queue.Empty:
            raise errors.DeadlineExceeded(f"{self._server} has acknowledged nothing for {patience.timeout:g} s") from None
        if isinstance(answer, errors.Error):
            raise answer
        response: v1.StreamUpsertResponse = answer
        return response

    def cancel(self) -> None:
        self._outgoing.put(None)
        self._call.cancel()


class Collection:
    """A collection of a server, by name or alias.

        papers.upsert(ids, vectors, attributes)
        hits = papers.search(vector, k=10, filter='year >= 2020')

    `versions`, `snapshots` and `aliases` hold what concerns these.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name
        self.versions = Versions(client, name)
        self.snapshots = Snapshots(client, name)
        self.aliases = Aliases(client, name)

    def __repr__(self) -> str:
        return f"bebr.Collection({self.name!r} on {self._client._options.server})"

    def upsert(self, ids: t.Ids, vectors: t.Vectors, attributes: Optional[t.Attributes] = None, *, version: str = "", merge: bool = False,
               replace_all: bool = False, if_absent: bool = False, if_newer_by: str = "", partial: bool = False,
               model_checksum: int = 0, batch: Optional[int] = None, progress: Optional[Progress] = None,
               timeout: Optional[float] = None) -> t.Upserted:
        """Inserts documents, or replaces those with the same ids. What it returns for is on the server's disk and in its next search.

        `ids` are strings, or whole numbers, which become strings; each is there once. `vectors` is (rows, dims): float16 goes as it is,
        everything else as float32. To write several versions' embeddings at once give them by version: {"v1": a, "v2": b}.
        `attributes` is a mapping a row, [{"year": 2021}, ...], or a column an attribute, {"year": [2021, ...]}; None is no value.

        A replaced document keeps embeddings of versions that do not come; `replace_all` drops those too. `if_absent` leaves documents that
        exist as they are, `if_newer_by` those whose integer of that name is not less than the new one; their ids come back as skipped_ids.
        `merge` adds embeddings to documents that exist and leaves everything else of them; ids that do not exist come back.
        `partial` leaves out documents that are wrong, also those whose id came before, and the answer's `errors` say which and why, instead of
        refusing the whole request.
        `model_checksum`, that of the version which the embeddings are made for, has them refused once the collection goes by another model.

        Without `partial` ids, attributes and floats are checked before anything is sent. If it raises later, the error's `acknowledged` says how many are
        written; some of the others may be, and the same call again is harmless.

        More than one message's documents (`batch`, by default some 4 MiB, at most 1,000) go over a stream, a few messages at a time, as
        fast as the server takes them. What a lost connection or a full server left open is sent again. `progress` is told the documents
        written so far. `timeout` is then the longest time without an answer.
        """
        _stream.check_progress(progress)
        rows = _values.Rows(ids, vectors, attributes, version, partial)
        if not len(rows):
            return t.Upserted(documents=0, created=0, errors=tuple(rows.left_out.errors))
        writing = _calls.Writing(merge, replace_all, if_absent, if_newer_by, partial, model_checksum)
        with errors.telling(lambda: 0):
            call = _calls.upsert(self.name, rows, writing, batch) if progress is None else None
            if call is not None:
                return self._client._run(call, timeout)
        return self._client._upsert_stream(_stream.messages_of_rows(self.name, rows, writing, batch), rows.left_out, timeout, progress)

    def upsert_stream(self, documents: Iterable[t.Record], *, version: str = "", merge: bool = False,
                      replace_all: bool = False, if_absent: bool = False, if_newer_by: str = "", partial: bool = False,
                      model_checksum: int = 0, batch: Optional[int] = None, progress: Optional[Progress] = None,
                      timeout: Optional[float] = None) -> t.Upserted:
        """As upsert, of documents that need not be in memory all at once: (id, vector), (id, vector, attributes) or bebr.Document.

        Takes from `documents` only as fast as the server takes from it. An id should come once: of two, either may win.
        """
        writing = _calls.Writing(merge, replace_all, if_absent, if_newer_by, partial, model_checksum)
        _stream.check_progress(progress)
        packer = _stream.Packer(self.name, version, writing, batch)
        return self._client._upsert_stream(packer.messages(documents), packer.left_out, timeout, progress)

    def search(self, vector: Optional[npt.ArrayLike] = None, k: int = 10, *, filter: Filter = "", rerank: Optional[int] = None,
               min_score: Optional[float] = None, with_attributes: bool = True, version: str = "", first_levels: int = 0,
               candidates: int = 0, like: Optional[t.Examples] = None, unlike: Optional[t.Examples] = None, exclude: t.Ids = (),
               offset: int = 0, fusion: Optional[str] = None, strict: bool = False, explain: bool = False, model_checksum: int = 0,
               group_by: str = "", group_size: int = 1, keep_view: int = 0, view: str = "", versions: Sequence[str] = (),
               lists: Sequence[t.RankedList] = (), weights: Sequence[float] = (), its_cuts: Sequence[float] = (),
               probe: float = 0.0, probe_recall: float = 0.0, allow_partial: bool = False,
               timeout: Optional[float] = None) -> t.Hits:
        """The k documents nearest to a vector, best first, ties by id. Every document is looked at, unless `probe` says otherwise.

        `filter` is a condition on attributes: text, as 'year >= 2020 AND lang IN ("en", "de")', or values by names, as
        {"year": 2020, "lang": ["en", "de"]}, of lists as long as you like. In text `id` is the document's id; in a mapping "id" is an
        attribute, and bebr.filters.ids(["a", "b"]) a condition on documents' ids. What it names and no document has stands in the hits' `warnings`; `strict` makes it an error.
        `rerank` scores the best so many again with the stored floats, 0 for none; None takes the collection's default. `min_score` drops
        what is worse. `first_levels` and `candidates` trade recall for speed: proto/README.md.

        `like` instead of a vector finds what resembles examples, and with `unlike` not those: ids, vectors or both, as "a", ["a", vector]
        or an array of rows. `exclude` are ids that are no hits. `offset` passes over the best so many: with k, a page.

        `fusion` makes one list of several vectors' ("max", "mean" or "reciprocal_rank"), which `vector` is then the rows of. `explain`
        says of each hit where its estimated score comes from. `model_checksum` is that of the version which the vector is made for: after a
        promotion of another model it is refused, instead of answered with nonsense.

        `group_by` takes the best `group_size` documents of each value of that attribute: `k` is then the number of values, and each hit has its
        `group`. `keep_view` keeps what the search sees for so many seconds, at most 600, under the token `hits.view`: given as `view`, other
        searches see the same, so that pages neither repeat nor miss a document while others write.

        `probe` scores only the groups of documents nearest to the vector, as many as have that share of all documents, if the model has
        groups; `probe_recall` in its place takes the least share that, as the server's recall monitor found, finds that share of what
        scoring all documents finds. `hits.scanned_share` says what was scored.

        With `fusion`, `versions` are those of the vectors where they differ; `lists` are documents from elsewhere, best first, as ids or as
        scores by id; and `weights` say how much each vector, then each list, counts.

        `its_cuts` are six numbers, falling, at which the labels of the hits' `its_label` begin.

        Of a gateway over several nodes `allow_partial` leaves out nodes that do not answer, and `hits.coverage` says how many did; without it
        the search fails as Unavailable and names the node. Not with `like`, `fusion` or views.
        """
        options = SearchOptions(k, filter, rerank, min_score, with_attributes, version, first_levels, candidates, offset, exclude, strict,
                                explain, model_checksum, group_by, group_size, keep_view, view, its_cuts, probe, probe_recall, allow_partial)
        return self._client._run(_calls.search(self.name, vector, like, unlike, _calls.Fused(fusion, versions, lists, weights), options), timeout)

    def search_batch(self, vectors: npt.ArrayLike, k: int = 10, *, filter: Filter = "", rerank: Optional[int] = None,
                     min_score: Optional[float] = None, with_attributes: bool = True, version: str = "", first_levels: int = 0,
                     candidates: int = 0, exclude: t.Ids = (), offset: int = 0, strict: bool = False, explain: bool = False, model_checksum: int = 0,
                     group_by: str = "", group_size: int = 1, view: str = "", its_cuts: Sequence[float] = (),
                     probe: float = 0.0, probe_recall: float = 0.0, allow_partial: bool = False,
                     timeout: Optional[float] = None) -> List[t.Hits]:
        """As search, for every row of `vectors`, which share scans. As many calls as the server's limits ask for."""
        options = SearchOptions(k, filter, rerank, min_score, with_attributes, version, first_levels, candidates, offset, exclude, strict,
                                explain, model_checksum, group_by, group_size, 0, view, its_cuts, probe, probe_recall, allow_partial)
        return [hits for call in _calls.search_batches(self.name, vectors, options) for hits in self._client._run(call, timeout)]

    def get(self, ids: t.Ids, *, with_embeddings: bool = False, timeout: Optional[float] = None) -> List[t.Document]:
        """Documents by id, in that order; those that do not exist are left out. As many calls as it takes, each with its `timeout`: one
        takes 10,000 ids, and brings the documents in pieces, each as of one moment."""
        return [found for call in _calls.gets(self.name, ids, with_embeddings) for found in self._client._run(call, timeout)]

    def update(self, ids: Optional[t.Ids] = None, *, filter: Filter = "", set: Optional[Mapping[str, object]] = None,
               remove: Sequence[str] = (), clear: bool = False, timeout: Optional[float] = None) -> t.Updated:
        """Changes attributes of documents and nothing else: by id, in as many calls as it takes, or at once of all (at most 100,000) that
        satisfy a filter, as of search. `clear` drops all attributes, `remove` those of these names; then `set` gives values to its own.
        """
        changed = 0
        unknown: List[str] = []
        warnings: Sequence[str] = ()
        with errors.telling(lambda: changed):
            for call in _calls.updates(self.name, ids, filter, set, remove, clear):
                updated = self._client._run(call, timeout)
                changed += updated.documents
                unknown.extend(updated.unknown_ids)
                warnings = updated.warnings
        return t.Updated(documents=changed, unknown_ids=tuple(unknown), warnings=tuple(warnings))

    def delete(self, ids: Optional[t.Ids] = None, *, filter: Filter = "", timeout: Optional[float] = None) -> int:
        """Deletes documents, and says how many there were: by id, in as many calls as it takes, of 10,000 ids each, or at once all (at most
        1,000,000) that satisfy a filter, as of search: {"id": 5} is an attribute there, not the document's id."""
        deleted = 0
        with errors.telling(lambda: deleted):
            for call in _calls.deletes(self.name, ids, filter):
                deleted += self._client._run(call, timeout)
        return deleted

    def scroll(self, *, filter: Filter = "", limit: int = 1000, after: str = "", with_attributes: bool = True,
               with_embeddings: bool = False, keep_view: int = 0, view: str = "", strict: bool = False,
               timeout: Optional[float] = None) -> Iterator[List[t.Document]]:
        """All documents, in the order of their ids' bytes, a list of at most `limit` (to 10,000) at a time; a page may have fewer, so that
        it fits into a message. `after` begins behind an id. What is there all the while comes exactly once, whatever is written.
        With `keep_view`, the seconds that a page may take at most, all pages show the collection as it was for the first; or as `view` does,
        the token of a search. What the filter names and no document has is a FilterWarning; `strict` makes it an error."""
        first = True
        while True:
            call = _calls.scroll(self.name, filter, limit, after, with_attributes, with_embeddings, keep_view, view, strict, warns=first)
            first = False
            page, after, kept = self._client._run(call, timeout)
            view = kept or view
            if page:
                yield page
            if not after:
                return

    def facets(self, attribute: str, *, filter: Filter = "", limit: int = 100, strict: bool = False, timeout: Optional[float] = None) -> t.Facets:
        """The values of an attribute and how many documents have each, the most frequent `limit` (to 10,000) of them."""
        return self._client._run(_calls.facets(self.name, attribute, filter, limit, strict), timeout)

    def count(self, *, filter: Filter = "", strict: bool = False, timeout: Optional[float] = None) -> int:
        """Documents in it, or those of them that satisfy a filter. What that names and no document has is a FilterWarning; `strict` makes it an error."""
        return self._client._run(_calls.count(self.name, filter, strict), timeout)

    def stats(self, *, timeout: Optional[float] = None) -> t.CollectionStats:
        """What it holds and takes: documents, versions, memory, disk."""
        return self._client._run(_calls.stats(self.name), timeout)

    def estimate_memory(self, documents: int, *, id_bytes: float = 0, attributes: float = 0, distinct_texts: int = 0, text_bytes: float = 0,
                        timeout: Optional[float] = None) -> t.MemoryUse:
        """What so many documents would take, by the formula. `attributes` are how many a document has in the mean, `distinct_texts` the
        different texts and lists that filters compare, of `text_bytes` in the mean; without these, attributes take as much as they do now."""
        return self._client._run(_calls.estimate_memory(self.name, documents, id_bytes, attributes, distinct_texts, text_bytes), timeout)

    def drop(self, *, timeout: Optional[float] = None) -> None:
        """Drops the collection and its data, for good; its snapshots stay."""
        self._client._run(_calls.drop(self.name), timeout)


class Versions:
    """The embedding versions of a collection: the steps of an upgrade to another model."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection

    def list(self, *, timeout: Optional[float] = None) -> List[t.Version]:
        """All of them, retired ones too."""
        return list(self._client._run(_calls.stats(self._collection), timeout).versions)

    def add(self, name: str, *, model: Model, compatible_with: str = "", same_embeddings_as: str = "",
            timeout: Optional[float] = None) -> t.CollectionStats:
        """Adds a version; the default stays. `compatible_with`: the version into whose codes the model writes, so that its queries find
        the documents of both. `same_embeddings_as`: the version whose floats it takes too, another binarizer for the same embeddings."""
        return self._client._run(_calls.add_version(self._collection, name, model, compatible_with, same_embeddings_as), timeout)

    def backfill(self, name: str, *, documents_per_s: int = 0, stop: bool = False, timeout: Optional[float] = None) -> t.CollectionStats:
        """Starts, changes or stops the re-encoding of stored floats; it goes on in the background."""
        return self._client._run(_calls.backfill(self._collection, name, documents_per_s, stop), timeout)

    def check(self, name: str, *, against: str = "", sample: int = 0, k: int = 0, queries: Optional[npt.ArrayLike] = None,
              against_queries: Optional[npt.ArrayLike] = None, timeout: Optional[float] = 600.0) -> t.Check:
        """Compares a version with another one, by default the default: on a sample of documents, or on embeddings of the same texts by
        the two. Takes seconds to minutes."""
        return self._client._run(_calls.check(self._collection, name, against, sample, k, queries, against_queries), timeout)

    def promote(self, name: str, *, expected_default: str = "", force: bool = False, timeout: Optional[float] = None) -> t.CollectionStats:
        """Makes a version the default, at once for all clients. Promoting the previous one undoes it."""
        return self._client._run(_calls.promote(self._collection, name, expected_default, force), timeout)

    def retire(self, name: str, *, timeout: Optional[float] = None) -> t.CollectionStats:
        """Drops a version that is not the default, with what it alone needs."""
        return self._client._run(_calls.retire(self._collection, name), timeout)


class Snapshots:
    """Copies of a collection on the server's disk."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection

    def create(self, name: str = "", *, timeout: Optional[float] = None) -> t.Snapshot:
        """Keeps the collection as it is now; without a name, by the time."""
        return self._client._run(_calls.create_snapshot(self._collection, name), timeout)

    def list(self, *, timeout: Optional[float] = None) -> List[t.Snapshot]:
        """By name."""
        return self._client._run(_calls.snapshots(self._collection), timeout)

    def restore(self, name: str, new_collection: str, *, timeout: Optional[float] = None) -> Collection:
        """Makes a new collection of a snapshot, which stays."""
        return self._client.restore(self._collection, name, new_collection, timeout=timeout)

    def delete(self, name: str, *, timeout: Optional[float] = None) -> None:
        """Removes a snapshot."""
        self._client._run(_calls.delete_snapshot(self._collection, name), timeout)


class Aliases:
    """Other names of a collection."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection

    def list(self, *, timeout: Optional[float] = None) -> List[str]:
        """Names that stand for this collection."""
        return [alias for alias, name in self._client.aliases(timeout=timeout).items() if name == self._collection]

    def set(self, alias: str, *, expected: Optional[str] = None, timeout: Optional[float] = None) -> None:
        """Makes a name stand for this collection, also if it stood for another one; with `expected`, only if it stood for that one
        ("": for none)."""
        self._client._run(_calls.set_alias(alias, self._collection, expected), timeout)

    def delete(self, alias: str, *, timeout: Optional[float] = None) -> None:
        """Removes a name; the collection stays."""
        self._client._run(_calls.delete_alias(alias), timeout)
