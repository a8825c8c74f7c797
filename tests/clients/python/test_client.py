"""The package from its user's place, against a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import inspect
import json
import pydoc
import signal
import subprocess
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, AsyncIterator, Callable, Dict, Iterator, List, Tuple

import numpy as np
import pytest

import bebr
from bebr import _calls, _transport, v1
from conftest import DIMS, PROGRAMS, Matrix, Server


def test_writes_and_searches(papers: bebr.Collection, docs: Matrix) -> None:
    hits = papers.search(docs[7], k=5, rerank=50, filter="year >= 2005")
    assert hits[0].id == "p7" and hits[0].exact and hits[0].score == pytest.approx(1.0, abs=1e-3)
    assert hits[0].attributes == {"year": 2007, "lang": "en"}
    assert len(hits) == 5 and list(hits.scores) == sorted(hits.scores, reverse=True) and hits.ids == [hit.id for hit in hits]
    assert all(int(str(hit.attributes["year"])) >= 2005 for hit in hits)
    assert hits.documents_scanned == 1000
    estimated = papers.search(docs[7], with_attributes=False)
    assert not estimated[0].exact and estimated[0].attributes == {} and len(estimated) == 10


def test_a_batch_answers_as_single_searches_do(papers: bebr.Collection, docs: Matrix) -> None:
    batch = papers.search_batch(docs[:1300], k=400, with_attributes=False)  # more than one call takes
    assert len(batch) == 1300
    for row in (0, 1249, 1250, 1299):
        alone = papers.search(docs[row], k=400)
        assert batch[row].ids == alone.ids and np.array_equal(batch[row].scores, alone.scores)


def test_the_same_answers_as_of_the_command_and_of_curl(start_server: Callable[..., Server], models: Dict[str, str], docs: Matrix) -> None:
    server = start_server("--http_listen", "127.0.0.1:0")
    papers = bebr.Client(server.address).create("papers", model=models["v1"])
    papers.upsert(range(len(docs)), docs, {"year": 2000 + np.arange(len(docs)) % 25})
    cases: List[Dict[str, Any]] = [{"k": 20}, {"k": 20, "rerank": 50, "filter": "year >= 2010"}]
    for options in cases:
        found = papers.search(docs[5], **options)
        ours = [(hit.id, hit.score, hit.its) for hit in found]
        assert len(ours) == 20
        flags = [flag for name, value in options.items() for flag in ("-k" if name == "k" else f"--{name}", str(value))]
        command = [str(PROGRAMS / "bebr"), "search", "papers", "--server", server.address, "--json", "--queries", models["docs_v1"], "--row", "5"]
        by_command = json.loads(subprocess.run([*command, *flags], check=True, capture_output=True).stdout)[0]["hits"]
        request = {"collection": "papers", "query": {"values": docs[5].tolist()}, "options": options}
        by_curl = json.loads(subprocess.run(["curl", "-fsS", "-H", "content-type: application/json", "--data-binary", "@-",
                                             f"http://{server.http}/bebr.v1.SearchService/Search"], input=json.dumps(request).encode(),
                                            check=True, capture_output=True).stdout)["hits"]
        for theirs in (by_command, by_curl):
            assert [(hit["id"], float(np.float32(hit["score"])), float(np.float32(hit["its"]))) for hit in theirs] == ours
        assert [hit["its_label"] for hit in by_command] == [hit.its_label for hit in found]
        assert [hit["itsLabel"] for hit in by_curl] == [f"ITS_LABEL_{hit.its_label.upper()}" for hit in found]


def test_scores_of_l2_are_minus_the_squared_distance(client: bebr.Client, docs: Matrix) -> None:
    papers = client.create("far", dims=DIMS, metric="l2", store_floats="f32")
    papers.upsert(range(500), 3 * docs[:500] + 1)
    assert papers.stats().version().metric == "l2"
    hits = papers.search(3 * docs[7] + 1, k=5, rerank=500)
    rows = [int(hit.id) for hit in hits]
    distances = [float(np.sum(np.square(3.0 * (docs[row] - docs[7])))) for row in rows]
    assert rows[0] == 7 and hits[0].score > -1e-6 and np.allclose([hit.score for hit in hits], [-d for d in distances], atol=1e-3)


def test_filters_of_values_are_quoted(papers: bebr.Collection, docs: Matrix) -> None:
    nasty = 'a "b" \\ \' ` OR true'
    papers.upsert(["nasty"], docs[:1], [{"odd name": nasty, "year": 1999}])
    assert papers.search(docs[0], filter={"odd name": nasty}).ids == ["nasty"]
    assert papers.search(docs[0], filter={"odd name": nasty, "year": [1998, np.int64(1999)]}).ids == ["nasty"]
    assert papers.search(docs[0], filter={"odd name": nasty[:-1]}).ids == []
    assert {hit.attributes["lang"] for hit in papers.search(docs[0], k=50, filter={"lang": "de"})} == {"de"}


def test_names_in_mappings_are_attributes_and_never_the_document_s_id(client: bebr.Client, docs: Matrix) -> None:
    papers = client.create("ids", dims=DIMS)
    papers.upsert(["a", "b", "5"], docs[:3], [{"id": "b", "AND": 1, "True": "x"}, {"id": "a", "Id": 2}, {"id": 5, "tags": ["a"]}])

    def found(filter: Any) -> List[str]:
        return sorted(papers.search(docs[0], filter=filter).ids)

    assert found({"id": "b"}) == ["a"] and found({"id": 5}) == ["5"] and found({"id": ["a", "b"]}) == ["a", "b"] and found({"id": "5"}) == []
    assert found({"AND": 1, "True": "x"}) == ["a"] and found({"Id": 2}) == ["b"]
    assert found('id = "b"') == ["b"] == found(bebr.filters.ids("b")) and found(bebr.filters.ids(["a", "5", "no"])) == ["5", "a"]
    papers.upsert(["l"], docs[:1], [{"id": ["x", "y"]}])
    assert found(bebr.filters.contains("id", "x")) == ["l"] == found(bebr.filters.contains("id", "x", "y", all=True))
    assert papers.delete(filter={"id": "b"}) == 1 and {found.id for found in papers.get(["a", "b"])} == {"b"}
    client.drop("ids")


def test_long_mappings_of_a_filter_go_as_a_tree(client: bebr.Client, docs: Matrix) -> None:
    papers = client.create("long", dims=DIMS)
    papers.upsert(["a", "b", "c"], docs[:3], [{"key": f"{'x' * 30}{i}", "n": i, "id": "i"} for i in (7, 9999, 20_000)])
    wanted: Dict[str, Any] = {"key": [f"{'x' * 30}{i}" for i in range(10_000)], "id": "i", "n": np.arange(10)}
    assert len(bebr.filters.text(wanted)) > 300_000
    assert papers.search(docs[0], filter=wanted).ids == ["a"]
    del wanted["n"]
    for hits in (papers.search(docs[0], filter=wanted), *papers.search_batch(docs[:2], filter=wanted), papers.search(docs[:2], fusion="max", filter=wanted),
                 papers.search(like="c", filter=wanted)):
        assert sorted(hits.ids) == ["a", "b"]
    assert papers.count(filter=wanted) == 2 and papers.facets("n", filter=wanted).documents == 2
    assert [found.id for page in papers.scroll(filter=wanted) for found in page] == ["a", "b"]
    assert papers.update(filter=wanted, set={"seen": True}).documents == 2 and papers.count(filter={"seen": True}) == 2
    assert papers.delete(filter=wanted) == 2 and papers.count() == 1
    client.drop("long")


def test_texts_that_are_no_utf8_are_refused_by_their_place(client: bebr.Client, server: Server, docs: Matrix) -> None:
    papers = client.create("half", dims=DIMS)
    half = "a\ud800b"
    with pytest.raises(bebr.InvalidArgument, match=r"^row 1: ids\[1\] is 'a\\ud800b', which is no UTF-8"):
        papers.upsert(["x", half], docs[:2])
    wrongs: List[Tuple[Dict[str, object], str]] = [({"t": half}, r"attributes\['t'\] of document 'b'"), ({half: 1}, "a name among the attributes"),
                                                   ({"t": ["x", half]}, r"attributes\['t'\].*\[1\] is")]
    for wrong, place in wrongs:
        with pytest.raises(bebr.InvalidArgument, match=f"^row 1: {place}.*no UTF-8"):
            papers.upsert(["a", "b"], docs[:2], [{}, wrong])
        with pytest.raises(bebr.InvalidArgument, match="^row 1: .*no UTF-8"):
            papers.upsert_stream([("a", docs[0]), ("b", docs[1], wrong)])
        done = papers.upsert(["a", "b", half, "c"], docs[:4], [{}, wrong, {}, {}], partial=True)
        assert done.documents == 2 and [(error.row, error.id, error.code) for error in done.errors] == [
            (1, "b", "INVALID_ARGUMENT"), (2, half, "INVALID_ARGUMENT")]
    calls: List[Callable[[], object]] = [
        lambda: papers.get(half), lambda: papers.delete([half]), lambda: papers.update(["a"], set={"t": half}), lambda: papers.update(["a"], set={half: 1}),
        lambda: papers.update(["a"], remove=[half]), lambda: papers.search(docs[0], exclude=[half]), lambda: papers.search(like=half),
        lambda: papers.search(docs[0], filter={"t": half}), lambda: papers.search(docs[0], filter={half: 1}), lambda: papers.count(filter=f't = "{half}"'),
        lambda: papers.facets(half), lambda: client.create(half, dims=3), lambda: papers.upsert(["a"], docs[:1], version=half),
        lambda: papers.upsert_stream([("a", docs[0])], version=half), lambda: client.collection(half).upsert_stream([("a", docs[0])]),
        lambda: papers.upsert(["a"], docs[:1], if_newer_by=half), lambda: papers.search(docs[:1], fusion="max", versions=[half]), lambda: papers.search(docs[:1], fusion="max", lists=[[half]])]
    for call in calls:
        assert "utf" in str(rejected(call)).lower()
    client.drop("half")


def test_what_a_partial_write_leaves_out_keeps_the_rows_of_the_others(client: bebr.Client, server: Server, docs: Matrix) -> None:
    papers = client.create("partial", dims=DIMS)
    ids = ["a", "b", "a", "c", "d", "x" * 513, "e", "\ud800"]
    attributes: List[Dict[str, object]] = [{}, {"n": 2**63}, {}, {"x": np.nan}, {}, {}, {"n": 1}, {}]

    def check(done: bebr.Upserted, doubled: bool) -> None:
        wrong = [(1, "64 bits"), *([(2, "both 'a'")] if doubled else []), (3, "x"), (5, "513"), (7, "UTF-8")]
        assert [error.row for error in done.errors] == [row for row, _ in wrong] and all(error.id == ids[error.row] for error in done.errors)
        assert all(part in error.message for error, (_, part) in zip(done.errors, wrong)) and done.documents == 8 - len(wrong)

    check(papers.upsert(ids, docs[:8], attributes, partial=True), True)
    check(papers.upsert(ids, docs[:8], attributes, partial=True, batch=1), True)
    records = [(id, row, values) for id, row, values in zip(ids, docs, attributes)]
    check(papers.upsert_stream(records, partial=True), False)
    check(papers.upsert_stream(records, partial=True, batch=2), False)
    assert papers.upsert(["\ud800"], docs[:1], partial=True).errors[0].row == 0 and sorted(found.id for page in papers.scroll() for found in page) == ["a", "d", "e"]

    async def run() -> None:
        async with bebr.aio.Client(server.address) as again:
            other = again.collection("partial")
            check(await other.upsert(ids, docs[:8], attributes, partial=True, batch=3), True)
            check(await other.upsert_stream(records, partial=True, batch=3), False)

    asyncio.run(run())
    client.drop("partial")


def test_what_has_no_effect_or_no_sense_is_named(client: bebr.Client, docs: Matrix) -> None:
    papers = client.create("odd", dims=DIMS)
    cases: List[Tuple[Callable[[], object], str]] = [
        (lambda: papers.search(docs[0], group_size=2), "group_size is 2 without group_by"),
        (lambda: papers.search_batch(docs[:2], group_size=2), "group_size is 2 without group_by"),
        (lambda: papers.search(docs[0], filter={"year": np.nan}), "filter: 'year' is nan"),
        (lambda: papers.search(docs[0], filter={"year": [1.5, float("inf")]}), r"filter: 'year'\[1\] is inf"),
        (lambda: papers.count(filter={"year": 2**63}), "filter: 'year' is 9223372036854775808"),
        (lambda: papers.count(filter={"year": None}), "filter: 'year' is of NoneType"),  # type: ignore[dict-item]
        (lambda: bebr.filters.contains("tags"), "'tags' is to be one of no values"),
        (lambda: bebr.filters.ids([]), "ids is to be one of no values")]
    for call, message in cases:
        with pytest.raises(bebr.InvalidArgument, match=message):
            call()
    client.drop("odd")


def test_a_server_that_has_answered_is_waited_for_and_one_that_never_did_is_not(start_server: Callable[..., Server], docs: Matrix) -> None:
    options = _transport.Options.of("x", 30.0, 2, None, None, None, None)
    lost, never, met = bebr.Unavailable("lost"), _transport.Contact(), _transport.Contact()
    patience = _transport.Patience(options, never, 1e6, again=True)
    assert [patience.pause_after(lost) is None for _ in range(3)] == [False, False, True] and not never.made
    met.tell(bebr.NotFound("an answer"))
    patience = _transport.Patience(options, met, 1e6, again=True)
    pauses = [patience.pause_after(lost) or 0 for _ in range(50)]
    assert all(pauses) and 1.4 < pauses[-1] < 2.6
    assert _transport.Patience(options, met, 1e6, again=False).pause_after(lost) is None
    assert _transport.Patience(options, met, 0.01, again=True).pause_after(lost) is None
    assert _transport.Patience(dataclasses.replace(options, retries=0), met, 1e6, again=True).pause_after(lost) is None

    server = start_server()
    client = bebr.Client(server.address, retries=1, timeout=300)
    papers = client.create("papers", dims=DIMS)
    server.stop()
    starting = threading.Timer(1.5, server.start)
    starting.start()
    assert papers.count() == 0
    starting.join()
    died: List[threading.Timer] = []

    def die(written: int) -> None:
        if written >= 500 and not died:
            server.stop(signal.SIGKILL)
            died.append(threading.Timer(1.5, server.start))
            died[0].start()

    assert papers.upsert(range(3000), docs, batch=50, progress=die).documents == 3000
    died[0].join()

    async def run() -> None:
        async with bebr.aio.Client(server.address, retries=1, timeout=300) as again:
            assert await again.collection("papers").count() == 3000
            died.clear()
            assert (await again.collection("papers").upsert(range(3000), docs, batch=50, progress=die)).documents == 3000
            died[0].join()

    asyncio.run(run())


def test_timestamps_and_lists_come_back_as_they_were_and_are_filtered_by(papers: bebr.Collection, docs: Matrix) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 250001, tzinfo=timezone.utc)
    values: Dict[str, Any] = {"at": at, "tags": ["a", 2, True, at, 0.5], "none": [], "numbers": np.array([1, 2])}
    papers.upsert(["time"], docs[:1], [values])
    document, = papers.get("time")
    assert document.attributes == {**values, "numbers": [1, 2]}
    east = at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert papers.search(docs[0], filter={"at": east}).ids == ["time"]
    assert papers.search(docs[0], filter=f"at > {bebr.filters.literal(at)}").ids == []
    assert papers.search(docs[0], filter=bebr.filters.contains("tags", "no", at)).ids == ["time"]
    assert papers.search(docs[0], filter=bebr.filters.contains("tags", "no", at, all=True)).ids == []
    assert {facet.value for facet in papers.facets("tags").facets} == {"a", 2, True, at, 0.5}
    assert papers.delete("time") == 1
    for wrong, message in ((datetime(2026, 1, 1), "without a zone"), ([["a"]], r"'wrong'\]?.*\[0\].* is of list"), ([object()], "is of object")):
        with pytest.raises(bebr.InvalidArgument, match=message):
            papers.upsert(["wrong"], docs[:1], [{"wrong": wrong}])


def test_times_of_numpy_and_pandas_are_timestamps(papers: bebr.Collection, docs: Matrix) -> None:
    alone: Any = np.array(3)
    for unit in ("s", "ms", "us", "ns", "D", "h"):
        at = np.datetime64("2020-03-01", unit)
        papers.upsert(["time"], docs[:1], [{"at": at, "list": np.array([at, at]), "none": np.datetime64("NaT"), "alone": alone}])
        same = datetime(2020, 3, 1, tzinfo=timezone.utc)
        assert papers.get("time")[0].attributes == {"at": same, "list": [same, same], "alone": 3}
        assert papers.search(docs[0], filter={"at": at}).ids == papers.search(docs[0], filter={"alone": alone}).ids == ["time"]
    papers.upsert(["x", "y"], docs[:2], {"at": np.array(["2020-03-01T12:00:00.000001", "NaT"], "M8[ns]")})
    assert [found.attributes for found in papers.get(["x", "y"])] == [{"at": datetime(2020, 3, 1, 12, 0, 0, 1, tzinfo=timezone.utc)}, {}]
    series = Times([datetime(2020, 3, 1), datetime(2020, 3, 2)])
    papers.upsert(["x", "y"], docs[:2], {"at": series})
    assert papers.get("y")[0].attributes == {"at": datetime(2020, 3, 2, tzinfo=timezone.utc)}
    early = np.datetime64("0000-12-31T23:00:00", "us")
    papers.upsert(["early"], docs[:1], [{"at": early}])
    document, = papers.get("early")
    papers.upsert(["early"], docs[:1], [document.attributes])
    assert papers.get("early")[0].attributes == {"at": early} == document.attributes and papers.count(filter={"at": early}) == 1
    east, west = timezone(timedelta(hours=1)), timezone(timedelta(hours=-1))
    wrongs: List[Tuple[Any, str]] = [
        (np.datetime64(1, "ns"), "whole microseconds"), (np.datetime64(400_000, "Y"), "whole microseconds"), (np.timedelta64(1, "ns"), "of timedelta64"),
        (np.datetime64("10000-01-01", "us"), "years 0 to 9999"), ([np.datetime64("NaT")], r"\[0\].* no time"),
        (datetime(1, 1, 1, tzinfo=east), "years 1 to 9999"), (datetime.max.replace(tzinfo=west), "years 1 to 9999")]
    for wrong, message in wrongs:
        with pytest.raises(bebr.InvalidArgument, match=message):
            papers.upsert(["wrong"], docs[:1], [{"wrong": wrong}])
        with pytest.raises(bebr.InvalidArgument):
            papers.count(filter={"at": wrong})


def test_a_collection_has_a_schema(client: bebr.Client, docs: Matrix) -> None:
    schema = {"created": "timestamp", "body": "stored", "title": "string indexed"}
    dated = client.create("dated", dims=DIMS, attributes=schema)
    assert dated.stats().attributes == schema
    dated.upsert(["a"], docs[:1], [{"created": "2026-01-31T13:00:00+01:00", "body": "short", "title": "x" * 300}])
    assert dated.get("a")[0].attributes["created"] == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    assert dated.count(filter='title STARTS WITH "xx" AND body EXISTS AND NOT body = "short"') == 1
    with pytest.raises(bebr.InvalidArgument, match="created.* is no timestamp"):
        dated.upsert(["b"], docs[:1], [{"created": "noon"}])
    told = dated.estimate_memory(1000, attributes=3, distinct_texts=1000, text_bytes=20)
    assert 1000 * (3 * 9 + 20) < told.attributes < 1000 * (3 * 9 + 100)
    with pytest.raises(bebr.InvalidArgument, match="'a'.* is 'date'"):
        client.create("wrong", dims=DIMS, attributes={"a": "date"})
    dated.drop()


def test_a_collection_that_is_there_is_taken(client: bebr.Client, server: Server, docs: Matrix) -> None:
    client.create("taken", dims=DIMS, exist_ok=True).upsert(["a"], docs[:1])
    assert client.create("taken", dims=DIMS, exist_ok=True).get("a")[0].id == "a"
    with pytest.raises(bebr.AlreadyExists):
        client.create("taken", dims=DIMS)
    with pytest.raises(bebr.AlreadyExists, match=f"of {DIMS} floats and cosine, not of {DIMS + 1} and cosine"):
        client.create("taken", dims=DIMS + 1, exist_ok=True)
    with pytest.raises(bebr.AlreadyExists, match="and cosine, not of .* and l2"):
        client.create("taken", dims=DIMS, metric="l2", exist_ok=True)
    with pytest.raises(bebr.AlreadyExists, match=r"attributes\['created'\] of no rule, not of 'timestamp'"):
        client.create("taken", dims=DIMS, attributes={"created": "timestamp"}, exist_ok=True)
    client.create("ruled", dims=DIMS, attributes={"created": "timestamp", "body": "string stored"})
    client.create("ruled", dims=DIMS, attributes={"body": "stored string", "created": "timestamp"}, exist_ok=True)
    client.create("ruled", dims=DIMS, exist_ok=True)
    with pytest.raises(bebr.AlreadyExists, match=r"attributes\['created'\] of 'timestamp', not of 'string'"):
        client.create("ruled", dims=DIMS, attributes={"created": "string", "body": "string stored"}, exist_ok=True)
    with pytest.raises(bebr.AlreadyExists, match=r"attributes\['body'\] of 'string stored', not of no rule"):
        client.create("ruled", dims=DIMS, attributes={"created": "timestamp"}, exist_ok=True)
    client.drop("ruled")

    async def await_it() -> int:
        async with bebr.aio.Client(server.address) as again:
            return await (await again.create("taken", dims=DIMS, exist_ok=True)).count()

    assert asyncio.run(await_it()) == 1
    client.drop("taken")


def test_a_port_that_is_none_is_named() -> None:
    for name in ("127.0.0.1:", "127.0.0.1:x", "host:0", "[::1]:70000"):
        with pytest.raises(bebr.InvalidArgument, match="whose port is"):
            bebr.Client(name)


def test_values_come_back_as_they_were(papers: bebr.Collection, docs: Matrix) -> None:
    values: Dict[str, Any] = {"text": "ä", "whole": 2**63 - 1, "least": -(2**63), "real": 0.1, "yes": True, "none": None,
                              "numpy": np.float32(0.5), "flag": np.bool_(False)}
    papers.upsert([12], docs[:1].astype(np.float64), [values])
    document, = papers.get("12", with_embeddings=True)
    assert document.attributes == {"text": "ä", "whole": 2**63 - 1, "least": -(2**63), "real": 0.1, "yes": True, "numpy": 0.5, "flag": False}
    assert type(document.attributes["yes"]) is bool and type(document.attributes["whole"]) is int
    assert document.vector.dtype == np.float32 and np.allclose(document.vector, docs[0], rtol=1e-3, atol=1e-3)
    assert [found.id for found in papers.get(["p2", "no", "p1"])] == ["p2", "p1"]
    with pytest.raises(LookupError, match="with_embeddings"):
        papers.get("p1")[0].vector


class Column(List[Any]):
    """As of a data frame that was sorted: its index goes by labels, its iteration by rows."""

    def __getitem__(self, label: Any) -> Any:
        return super().__getitem__(len(self) - 1 - label)


class Times(Column):
    """As a data frame has numpy's times: they come out of it as datetimes, but for numpy."""

    dtype = np.dtype("M8[ns]")

    def __array__(self, dtype: Any = None) -> Any:
        return np.array(list(self), "M8[ns]")


class Frame:
    """As data frames are: no mapping, but columns by names."""

    columns = ["year", "lang"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        values: Dict[str, List[Any]] = {"year": [1, 2, 3], "lang": ["a", "b", "c"]}
        return Column(values[name])


def test_columns_of_data_frames(papers: bebr.Collection, docs: Matrix) -> None:
    rows = np.empty(3, object)
    rows[:] = list(docs[:3])
    frame: Any = Frame()
    for attributes in (frame, {name: frame[name] for name in frame}):
        papers.upsert(Column(["x", "y", "z"]), rows, attributes)
        found = papers.get(["x", "y", "z"], with_embeddings=True)
        assert [document.attributes for document in found] == [{"year": i + 1, "lang": "abc"[i]} for i in range(3)]
        assert np.allclose(found[2].vector, docs[2], rtol=1e-3, atol=1e-3)
    assert papers.upsert(["x"], docs[:1].astype(object), ({"n": i} for i in range(1))).documents == 1  # type: ignore[arg-type]
    assert papers.get(5) == []  # type: ignore[arg-type]
    assert papers.upsert(["x"], (100 * docs[:1]).astype(np.int8)).documents == 1


def test_halves_go_as_they_are(papers: bebr.Collection, docs: Matrix) -> None:
    papers.upsert(["half"], docs[:1].astype(np.float16))
    assert np.array_equal(papers.get("half", with_embeddings=True)[0].vector, docs[0].astype(np.float16).astype(np.float32))


def test_streams_take_no_more_than_the_server(papers: bebr.Collection, docs: Matrix) -> None:
    taken: List[int] = []
    ahead: List[int] = []

    def records() -> Iterator[Tuple[str, Matrix, Dict[str, object]]]:
        for i, row in enumerate(docs):
            taken.append(i)
            yield f"s{i}", row, {"i": i}

    done = papers.upsert_stream(records(), batch=50, progress=lambda written: ahead.append(len(taken) - written))
    assert done == bebr.Upserted(documents=3000, created=3000) and papers.count() == 4000
    assert max(ahead) <= 9 * 50  # the window's messages and the one that is being filled
    again = papers.upsert([f"s{i}" for i in range(3000)], docs, batch=100)
    assert again == bebr.Upserted(documents=3000, created=0)


def test_messages_end_by_the_bytes_of_documents(papers: bebr.Collection, server: Server, docs: Matrix) -> None:
    ids, texts = [f"long{i}" for i in range(200)], [{"text": f"{i}" + 400_000 * "x"} for i in range(200)]  # more than a message may have
    assert papers.upsert(ids, docs[:200], texts).created == 200
    assert papers.upsert_stream(zip(ids, docs[:200], texts)).documents == 200
    assert [found.attributes for found in papers.get(ids)] == texts
    assert sum(len(page) for page in papers.scroll(filter="text EXISTS")) == 200

    async def run() -> None:
        async with bebr.aio.Client(server.address) as client:
            assert (await client.collection("papers").upsert(ids, docs[:200], texts)).documents == 200
            assert [found.id for found in await client.collection("papers").get(ids, with_embeddings=True)] == ids

    asyncio.run(run())


def test_streams_survive_a_server_that_dies(start_server: Callable[..., Server], models: Dict[str, str], docs: Matrix) -> None:
    server = start_server()
    client = bebr.Client(server.address, retries=12)
    papers = client.create("papers", model=models["v1"])
    died: List[threading.Thread] = []

    def die(written: int) -> None:
        if written >= 500 and not died:
            server.stop(signal.SIGKILL)
            died.append(threading.Thread(target=server.start))
            died[0].start()

    assert papers.upsert(range(3000), docs, batch=50, progress=die).documents == 3000
    died[0].join()
    assert papers.count() == 3000 and papers.search(docs[2999], k=1).ids == ["2999"]


def test_reads_wait_for_a_server_that_starts_but_creations_do_not(start_server: Callable[..., Server], models: Dict[str, str]) -> None:
    server = start_server()
    client = bebr.Client(server.address, retries=12)
    client.create("papers", model=models["v1"])
    server.stop()
    began = time.monotonic()
    with pytest.raises(bebr.Unavailable, match=server.address):
        client.create("more", model=models["v1"])
    assert time.monotonic() - began < 10
    starting = threading.Timer(0.5, server.start)
    starting.start()
    assert client.collection("papers").count() == 0
    starting.join()


def test_deadlines(start_server: Callable[..., Server], models: Dict[str, str], docs: Matrix) -> None:
    server = start_server()
    client = bebr.Client(server.address)
    papers = client.create("papers", model=models["v1"])
    server.pause()
    try:
        with pytest.raises(bebr.DeadlineExceeded, match="timeout=") as caught:
            client.collections(timeout=0.3)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(bebr.DeadlineExceeded, match="nothing for 0.3 s"):
            papers.upsert(range(3000), docs, batch=50, timeout=0.3)
    finally:
        server.resume()
    assert papers.upsert(range(3000), docs, batch=50).documents == 3000
    with bebr.Client("127.0.0.1:1", timeout=1.0, retries=100) as nobody:
        began = time.monotonic()
        with pytest.raises((bebr.Unavailable, bebr.DeadlineExceeded)):
            nobody.stats()
        assert time.monotonic() - began < 5


def rejected(call: Callable[[], object]) -> bebr.Error:
    with pytest.raises(bebr.Error) as caught:
        call()
    assert caught.value.__cause__ is None and "Rpc" not in str(caught.value)  # nothing of gRPC where a person reads
    return caught.value


def test_errors_say_what_where_and_how_much(papers: bebr.Collection, client: bebr.Client, docs: Matrix) -> None:
    error = rejected(lambda: papers.search(docs[0], k=0))
    assert isinstance(error, bebr.InvalidArgument) and isinstance(error, ValueError)
    assert (error.code, error.field, error.limit, str(error)) == ("INVALID_ARGUMENT", "k", 10_000, "k is 0; it is 1 to 10000")
    error = rejected(lambda: papers.search(docs[0][:3]))
    assert (error.field, error.limit) == ("query", DIMS)
    assert rejected(lambda: papers.search(docs[0], filter="year >=")).field == "filter"
    error = rejected(lambda: papers.upsert(["a" * 513], docs[:1]))
    assert (error.field, error.limit, error.row, error.acknowledged) == ("ids[0]", 512, 0, None)
    assert isinstance(rejected(lambda: client.collection("none").count()), bebr.NotFound)
    assert isinstance(rejected(lambda: client.create("papers", model=b"no model")), bebr.Error)
    assert isinstance(rejected(lambda: client.create("x", model=b"no model")), bebr.InvalidArgument)
    assert isinstance(rejected(lambda: papers.versions.promote("v9")), bebr.NotFound)


def test_a_wrong_row_is_named_by_its_place_in_the_array(papers: bebr.Collection, docs: Matrix) -> None:
    wrong = docs.copy()
    for value in (np.nan, -np.inf, 2e15):
        wrong[2345, 3] = value
        error = rejected(lambda: papers.upsert(range(3000), wrong))
        assert (error.row, error.field) == (2345, "vectors[2345]") and str(error).startswith("row 2345: ")
        rejected(lambda: papers.upsert(range(3000), wrong.astype("f8")))
    rejected(lambda: papers.upsert([*range(2999), 7], docs))
    assert rejected(lambda: papers.upsert([*range(2999), "x" * 513], docs)).row == 2999
    attributes: List[Dict[str, object]] = [{"a": "x" * (2**20 if i == 2999 else 1)} for i in range(3000)]
    assert rejected(lambda: papers.upsert(range(3000), docs, attributes)).row == 2999
    assert papers.count() == 1000


def test_what_fails_on_the_way_says_how_much_is_written(papers: bebr.Collection, client: bebr.Client, server: Server, docs: Matrix) -> None:
    large = docs.copy()
    large[2345, 3] = 1e6  # which no f16 has: that the collection stores them the server knows
    error = rejected(lambda: papers.upsert(range(3000), large, batch=100))
    assert (error.row, error.acknowledged) == (2345, 2300) and "2300 documents were acknowledged" in str(error)
    assert papers.count() >= 1000 + 2300
    error = rejected(lambda: papers.upsert_stream([("s1", docs[0]), ("s2", docs[0]), ("s3", docs[0] * np.nan)], batch=1))
    assert error.row == 2 and error.acknowledged is not None and papers.count(filter='id STARTS WITH "s"') >= error.acknowledged
    assert rejected(lambda: client.collection("none").upsert(["a"], docs[:1])).acknowledged == 0

    async def run() -> None:
        async with bebr.aio.Client(server.address) as other:
            with pytest.raises(bebr.InvalidArgument) as caught:
                await other.collection("papers").upsert(range(3000), large, batch=100)
            assert (caught.value.row, caught.value.acknowledged) == (2345, 2300)

    asyncio.run(run())


def test_what_is_wrong_here_is_told_before_anything_is_sent(papers: bebr.Collection, client: bebr.Client, docs: Matrix) -> None:
    two = docs[:2]
    cases: List[Tuple[Callable[[], object], str]] = [
        (lambda: papers.upsert(["a", "a"], two), r"ids\[1\] and ids\[0\]"),
        (lambda: papers.upsert(["a"], two), "2 rows; there are 1 ids"),
        (lambda: papers.upsert(["a", "b"], two, [{}]), "attributes has 1 rows"),
        (lambda: papers.upsert(["a", "b"], two, {"year": [1]}), r"attributes\['year'\] has 1 values"),
        (lambda: papers.upsert(["a", "b"], two, [{"when": object()}, {}]), "'when'.* is of object"),
        (lambda: papers.upsert(["a", "b"], two, [{"big": 2**63}, {}]), "64 bits"),
        (lambda: papers.upsert([1.5, "b"], two), r"ids\[0\] is of float"),  # type: ignore[arg-type]
        (lambda: papers.upsert(["a"], docs[0]), r"\(rows, dims\)"),
        (lambda: papers.upsert(["a"], docs[0]), r"a row alone goes as \[vectors\]"),
        (lambda: papers.upsert(None, two), "ids is of NoneType"),  # type: ignore[arg-type]
        (lambda: papers.upsert([uuid.uuid4()], two[:1]), r"is of UUID; .*str\(id\) makes one"),  # type: ignore[arg-type]
        (lambda: papers.upsert(["a", "b"], (row for row in two)), "vectors is of generator"),  # type: ignore[arg-type]
        (lambda: papers.upsert(["a", "b"], []), "0 rows; there are 2 ids"),
        (lambda: papers.upsert(["a", "b"], two, {"year": 2020}), r"attributes\['year'\] has a single value"),  # type: ignore[dict-item]
        (lambda: papers.upsert(["a", "b"], two, 5), "attributes is of int"),  # type: ignore[arg-type]
        (lambda: papers.search(two), "search_batch"),
        (lambda: papers.upsert(["a"], two[:1] + 1j), "complex64"),
        (lambda: papers.upsert(["a"], two[:1].astype(str)), "<U"),
        (lambda: papers.upsert(["a", "b"], [[1.0], [1.0, 2.0]]), "rows of numbers of one length"),
        (lambda: papers.upsert(["a", "b"], two, [{}, {5: 1}]), "row 1: .*the name 5"),  # type: ignore[dict-item]
        (lambda: papers.upsert(["a", "b"], two, [{}, {"x": np.nan}]), "row 1: .*None is no value"),
        (lambda: papers.upsert(["a", ""], two), r"row 1: ids\[1\] has 0 bytes"),
        (lambda: papers.update("a", set={"x": None}), r"set\['x'\] is None; name the attribute in remove"),
        (lambda: papers.search(docs[0], k=1.5), "k is 1.5"),  # type: ignore[arg-type]
        (lambda: papers.search(docs[0], version=5), "version is 5"),  # type: ignore[arg-type]
        (lambda: papers.search(docs[0], like="p1"), "one of them"),
        (lambda: papers.search(like=docs[0]), "a vector alone goes into a list"),
        (lambda: papers.search(docs[:2], fusion="median"), "'max', 'mean', 'reciprocal_rank'"),
        (lambda: client.create("x", dims=-1), "dims is -1"),
        (lambda: client.create("x", dims=8, shards=-1), "shards is -1"),
        (lambda: client.create("x", model="/nope"), "model is '/nope'"),
        (lambda: bebr.Client(tls_ca="/nope"), "tls_ca is '/nope'"),
        (lambda: client.create("x"), "dims.*model"),
        (lambda: client.create("x", model=b"", store_floats="f64"), "'none', 'f16', 'f32'"),
    ]
    for call, message in cases:
        assert isinstance(rejected(call), bebr.InvalidArgument)
        with pytest.raises(bebr.InvalidArgument, match=message):
            call()
    assert papers.count() == 1000
    assert papers.upsert([], np.empty((0, DIMS))) == papers.upsert([], []) == bebr.Upserted(0, 0)
    assert papers.search_batch([]) == []


def test_searches_by_examples_pages_and_fusion(papers: bebr.Collection, docs: Matrix) -> None:
    alike = papers.search(like="p7", k=5)
    assert "p7" not in alike.ids and alike.ids == papers.search(docs[7].astype(np.float16), k=6, exclude=["p7"]).ids[:5]
    mixed = papers.search(like=["p7", docs[8]], unlike=docs[20:22], k=5)
    assert len(mixed) == 5 and "p7" not in mixed.ids and mixed.ids != alike.ids
    assert papers.search(like=docs[7:8], k=1).ids == ["p7"]
    whole = papers.search(docs[7], k=20)
    assert papers.search(docs[7], k=10, offset=10).ids == whole.ids[10:]
    assert papers.search_batch(docs[7:9], k=10, offset=10, exclude=["p8"])[0].ids == papers.search(docs[7], k=21, exclude=["p8"]).ids[10:20]
    best = papers.search(docs[7:9], k=2, fusion="max", rerank=10)
    assert set(best.ids) == {"p7", "p8"} and best[0].score == pytest.approx(1.0, abs=1e-3)
    assert len(papers.search(docs[7:9], fusion="reciprocal_rank")) == len(papers.search(docs[7:9], fusion="mean")) == 10


def test_groups_views_and_lists_from_elsewhere(papers: bebr.Collection, docs: Matrix) -> None:
    grouped = papers.search(docs[7], k=3, group_by="year", group_size=2)
    assert [hit.group for hit in grouped] == [hit.attributes["year"] for hit in grouped] and len({hit.group for hit in grouped}) == 3
    assert grouped.ids[0] == papers.search(docs[7], k=1).ids[0] and len(grouped) == 6
    assert papers.search_batch(docs[7:9], k=3, group_by="year", group_size=2)[0].ids == grouped.ids
    assert papers.search(docs[7], k=1)[0].group is None
    first = papers.search(docs[7], k=5, keep_view=60)
    assert first.view and papers.search(docs[7], k=5).view == ""
    assert papers.search(docs[7], k=5, view=first.view).ids == first.ids
    assert papers.search_batch([docs[7]], k=5, view=first.view)[0].ids == first.ids
    assert "view_token" in str(rejected(lambda: papers.search(docs[7], view="nothing")))
    assert sum(len(page) for page in papers.scroll(limit=300, keep_view=60)) == 1000
    assert sum(len(page) for page in papers.scroll(limit=300, view=first.view)) == 1000
    fused = papers.search([docs[7]], k=3, fusion="reciprocal_rank", lists=[["p8", "nobody", "p9"], {"p9": 0.5}], weights=[0.1, 1, 2])
    assert fused.ids[:2] == ["p9", "p8"]
    assert fused.ids == papers.search([docs[7]], k=3, fusion="reciprocal_rank", versions=[papers.stats().default_version],
                                      lists=[["p8", "p9"], ["p9"]], weights=[0.1, 1, 2]).ids
    with pytest.raises(bebr.InvalidArgument, match="lists goes with fusion"):
        papers.search(docs[7], lists=[["p8"]])


def test_probes(papers: bebr.Collection, docs: Matrix) -> None:
    found = papers.search(docs[7], k=5, probe=0.5)
    assert found.scanned_share == 1.0 and found.ids == papers.search(docs[7], k=5).ids  # the model has no groups
    assert papers.search(docs[7], k=5).scanned_share == 0.0
    assert papers.search_batch(docs[7:9], k=5, probe_recall=0.9)[1].scanned_share == 1.0
    assert "probe is 1.5" in str(rejected(lambda: papers.search(docs[7], probe=1.5)))
    assert "set one of them" in str(rejected(lambda: papers.search_batch(docs[7:9], probe=0.5, probe_recall=0.5)))
    hit = papers.search(docs[7], k=1, rerank=0, explain=True)[0]
    assert hit.explanation is not None and hit.explanation.nearer_share == 0.0


def test_answers_say_that_they_may_be_stale() -> None:
    texts = ["may_be_stale: without the newest writes", "yaer"]
    assert _calls.hits_of([], v1.SearchResponse(may_be_stale=True)).may_be_stale
    assert not _calls.hits_of([], v1.SearchResponse()).may_be_stale
    assert _calls.facets("papers", "lang", "", 10, False).read(v1.FacetResponse(may_be_stale=True)).may_be_stale
    with pytest.warns(bebr.StaleWarning, match="newest") as told:
        _calls.warning(v1.CountResponse(may_be_stale=True, warnings=texts), of_filter=False)
    assert len(told) == 1


def test_answers_do_without_a_node_on_request(cluster: List[Server], models: Dict[str, str], docs: Matrix) -> None:
    _, other, gateway = cluster
    with bebr.Client(gateway.address, retries=0) as client:
        papers = client.create("papers", model=models["v1"])
        papers.upsert([f"p{i}" for i in range(1000)], docs[:1000])
        assert papers.search(docs[7], allow_partial=True).coverage == bebr.Coverage(nodes=2, answered=2, documents=1000)
        assert papers.search(docs[7]).coverage is None
        other.stop(signal.SIGKILL)
        with pytest.raises(bebr.Unavailable, match="node b"):
            papers.search(docs[7])
        hits = papers.search(docs[7], k=1000, allow_partial=True)
        assert hits.coverage is not None and (hits.coverage.nodes, hits.coverage.answered) == (2, 1)
        assert 0 < len(hits) == hits.coverage.documents < 1000
        assert [batch.coverage for batch in papers.search_batch(docs[:2], allow_partial=True)] == [hits.coverage] * 2
        assert papers.search(docs[:2], fusion="max", allow_partial=True).coverage == hits.coverage
        assert papers.search(like=[docs[7]], allow_partial=True).coverage == hits.coverage

    async def run() -> None:
        async with bebr.aio.Client(gateway.address, retries=0) as client:
            papers = client.collection("papers")
            assert (await papers.search(docs[7], k=1000, allow_partial=True)).ids == hits.ids
            assert (await papers.search_batch(docs[:2], allow_partial=True))[0].coverage == hits.coverage

    asyncio.run(run())


def test_slips_in_filters_are_told(papers: bebr.Collection, docs: Matrix) -> None:
    hits = papers.search(docs[7], filter="yaer >= 2005")
    assert len(hits) == 0 and len(hits.warnings) == 1 and "yaer" in hits.warnings[0]
    assert f"warning: {hits.warnings[0]}" in repr(hits) and "yaer" in hits._repr_html_()
    assert papers.search_batch(docs[:2], filter="yaer >= 2005")[1].warnings == hits.warnings
    assert "yaer" in str(rejected(lambda: papers.search(docs[7], filter="yaer >= 2005", strict=True)))
    assert papers.search(docs[7], filter="year >= 2005").warnings == ()
    with pytest.warns(bebr.FilterWarning, match="yaer"):
        assert papers.count(filter="yaer >= 2005") == 0
    with pytest.warns(bebr.FilterWarning, match="yaer") as told:
        assert list(papers.scroll(filter="NOT yaer = 1", limit=300))
    assert len(told) == 1  # not with every page
    assert told[0].filename == __file__  # whose call it is
    assert "yaer" in papers.facets("lang", filter="yaer = 1").warnings[0] and "lagn" in papers.facets("lagn").warnings[0]
    assert papers.facets("lang").warnings == ()
    for call in (lambda: papers.count(filter="yaer = 1", strict=True), lambda: next(papers.scroll(filter="yaer = 1", strict=True)),
                 lambda: papers.facets("lagn", strict=True)):
        assert "a" in str(rejected(call))


def test_a_wrong_progress_is_refused_before_anything_is_written(papers: bebr.Collection, docs: Matrix) -> None:
    before = papers.count()
    assert rejected(lambda: papers.upsert([f"new{i}" for i in range(1000)], docs[:1000], progress=True)).field == "progress"  # type: ignore[arg-type]
    assert papers.count() == before


def test_ids_do_not_reach_the_terminal() -> None:
    hit = bebr.Hit(id="a\n\x1b[31m", score=1.0, attributes={}, exact=True, its=0.0, version="v1")
    assert "\x1b" not in repr(bebr.Hits(hits=(hit,), documents_scanned=1, timings=bebr.Timings(0, 0, 0, 0, 0)))


def test_explanations(papers: bebr.Collection, docs: Matrix) -> None:
    hit = papers.search(docs[7], k=1, rerank=0, explain=True)[0]
    assert hit.explanation is not None and hit.explanation.estimate == pytest.approx(hit.score, rel=1e-6)
    assert sum(band.dims for band in hit.explanation.bands) > 0 and all(band.distances for band in hit.explanation.bands)
    assert papers.search(docs[7], k=1)[0].explanation is None


def test_scrolls_counts_and_facets(papers: bebr.Collection, server: Server) -> None:
    pages = list(papers.scroll(limit=300))
    ids = [document.id for page in pages for document in page]
    assert ids == sorted(f"p{i}" for i in range(1000)) and max(map(len, pages)) <= 300
    assert [document.id for page in papers.scroll(after=ids[989]) for document in page] == ids[990:]
    page = next(papers.scroll(filter={"year": 2007}, with_embeddings=True))
    assert len(page) == 40 and page[0].attributes["year"] == 2007 and page[0].vector.shape == (DIMS,)
    assert next(papers.scroll(limit=1, with_attributes=False))[0].attributes == {}
    assert papers.count(filter="year = 2007") == papers.count(filter={"year": 2007}) == 40
    facets = papers.facets("lang", filter="year >= 2000")
    assert [(facet.value, facet.documents) for facet in facets] == [("en", 666), ("de", 334)]
    assert (facets.values, facets.documents, facets.with_attribute) == (2, 1000, 1000)
    assert len(papers.facets("year", limit=3)) == 3 and papers.facets("year", limit=3).values == 25

    async def run() -> None:
        async with bebr.aio.Client(server.address) as client:
            collection = client.collection("papers")
            assert [document.id async for page in collection.scroll(limit=300) for document in page] == ids
            assert await collection.facets("lang", filter="year >= 2000") == facets and await collection.count(filter="year = 2007") == 40
            assert (await collection.search(like="p7", k=5)).ids == papers.search(like="p7", k=5).ids

    asyncio.run(run())


def test_many_ids_are_several_calls(papers: bebr.Collection) -> None:
    ids = [f"p{i}" for i in range(25_000)]
    assert [found.id for found in papers.get(ids)] == ids[:1000]
    assert len(papers.get([*ids[:1000], *ids[:10]], with_embeddings=True)) == 1010
    assert papers.get([]) == [] and papers.delete([]) == 0
    assert papers.delete([*ids[20_000:], *ids[:10_000]]) == 1000 and papers.count() == 0


def test_writes_without_vectors_and_with_conditions(papers: bebr.Collection, docs: Matrix) -> None:
    assert papers.update(["p1", "no"], set={"seen": True, "note": "x"}) == bebr.Updated(documents=1, unknown_ids=("no",))
    assert papers.update(filter={"seen": True}, set={"clock": 3}, remove=["note"]).documents == 1
    found, = papers.get(["p1"])
    assert found.attributes["clock"] == 3 and "note" not in found.attributes and len(found.attributes) > 2
    stale = papers.upsert(["p1", "fresh"], docs[:2], {"clock": [3, 3]}, if_newer_by="clock")
    assert stale == bebr.Upserted(documents=1, created=1, skipped_ids=("p1",))
    assert papers.upsert(["fresh"], docs[:1], if_absent=True).skipped_ids == ("fresh",)
    assert papers.upsert_stream([("fresh", docs[0], {"clock": 3})], if_newer_by="clock").skipped_ids == ("fresh",)
    assert "tpyo" in papers.update(filter="tpyo = 1", clear=True).warnings[0]
    assert papers.update(["p1"], set={"only": 1}, clear=True).documents == 1
    assert papers.get(["p1"])[0].attributes == {"only": 1}
    with pytest.raises(bebr.InvalidArgument, match="it matches 1001 documents all the same"):
        papers.delete(filter="NOT tpyo = 1")
    with pytest.raises(bebr.InvalidArgument, match="one of them"):
        papers.delete(["p1"], filter="only = 1")
    assert papers.delete(filter="only = 1") == 1 and papers.count() == 1000


def test_wrong_documents_of_a_batch_are_left_out(papers: bebr.Collection, server: Server, docs: Matrix) -> None:
    wrong = docs.copy()
    wrong[2345, 3] = np.nan
    ids = [f"w{i}" for i in range(3000)]
    ids[7] = "x" * 513
    for rows, batch in ((500, None), (3000, 100)):
        done = papers.upsert(ids[:rows], wrong[:rows], partial=True, batch=batch)
        places = [7] if rows == 500 else [7, 2345]
        assert done.documents == rows - len(places)
        assert [(error.row, error.id, error.code) for error in done.errors] == [(place, ids[place], "INVALID_ARGUMENT") for place in places]
    assert "nan" in done.errors[1].message.lower()
    streamed = papers.upsert_stream([("s1", docs[0]), ("", docs[0]), ("s3", docs[1], {"a": float("nan")}), ("s4", docs[1])], partial=True)
    assert streamed.documents == 2 and [error.row for error in streamed.errors] == [1, 2]
    odd = papers.upsert(["a", "b"], docs[:2], [{}, {"when": object()}], partial=True)  # what no message has room for
    assert odd.documents == 1 and odd.errors[0].row == 1 and "'when'] of document 'b' is of object" in odd.errors[0].message

    async def run() -> None:
        async with bebr.aio.Client(server.address) as client:
            done = await client.collection("papers").upsert(ids, wrong, partial=True, batch=100)
            assert [error.row for error in done.errors] == [7, 2345]

    asyncio.run(run())


def test_embeddings_of_another_model_are_refused(papers: bebr.Collection, docs: Matrix) -> None:
    checksum = papers.stats().version().model_checksum
    assert checksum and papers.search(docs[7], k=1, model_checksum=checksum).ids == ["p7"]
    assert papers.upsert(["a"], docs[:1], model_checksum=checksum).documents == 1
    calls: List[Callable[[], object]] = [
        lambda: papers.search(docs[7], model_checksum=checksum ^ 1), lambda: papers.search_batch(docs[:2], model_checksum=checksum ^ 1),
        lambda: papers.upsert(["b"], docs[:1], model_checksum=checksum ^ 1),
        lambda: papers.upsert_stream([("b", docs[0])], model_checksum=checksum ^ 1)]
    for call in calls:
        assert isinstance(rejected(call), bebr.FailedPrecondition)
    assert papers.count(filter='id = "b"') == 0


def test_versions(papers: bebr.Collection, docs: Matrix, models: Dict[str, str]) -> None:
    new = np.load(models["docs_v2"])
    papers.versions.add("v2", model=models["v2"], compatible_with="v1")
    merged = papers.upsert(["p0", "p1", "unknown"], new[[0, 1, 2]], version="v2", merge=True)
    assert merged == bebr.Upserted(documents=2, created=0, unknown_ids=("unknown",))
    papers.upsert(["both"], {"v1": docs[:1], "v2": new[:1]}, [{"year": 2030}])
    both, = papers.get(["both"], with_embeddings=True)
    assert set(both.embeddings) == {"v1", "v2"} and both.embeddings["v2"].shape == (24,)
    papers.upsert(["both"], docs[1:2], version="v1")
    assert set(papers.get(["both"], with_embeddings=True)[0].embeddings) == {"v1", "v2"}
    papers.upsert(["both"], docs[1:2], version="v1", replace_all=True)
    assert set(papers.get(["both"], with_embeddings=True)[0].embeddings) == {"v1"}
    check = papers.versions.check("v2", sample=3)
    assert check.against == "v1" and check.queries <= 3
    assert papers.versions.promote("v2", expected_default="v1").default_version == "v2"
    assert [version.state for version in papers.versions.list()] == ["ready", "default"] or papers.stats().version().name == "v2"
    with pytest.raises(bebr.FailedPrecondition):
        papers.versions.promote("v1", expected_default="v1")
    papers.versions.promote("v1")
    with pytest.raises(LookupError, match="v1"):
        papers.stats().version("v9")


def test_snapshots_and_aliases(papers: bebr.Collection, client: bebr.Client) -> None:
    kept = papers.snapshots.create("kept")
    assert kept.documents == 1000 and kept in papers.snapshots.list() and kept in client.snapshots()
    assert papers.delete(["p1", "p2", "no"]) == 2
    assert papers.snapshots.restore("kept", "back").count() == 1000 and papers.count() == 998
    papers.aliases.set("live", expected="")
    assert papers.aliases.list() == ["live"] and client.aliases() == {"live": "papers"} and client.collection("live").count() == 998
    with pytest.raises(bebr.FailedPrecondition):
        client.collection("back").aliases.set("live", expected="back")
    papers.aliases.delete("live")
    papers.snapshots.delete("kept")
    assert papers.snapshots.list() == [] and client.aliases() == {}


def test_stats(papers: bebr.Collection, client: bebr.Client) -> None:
    stats = papers.stats()
    assert (stats.name, stats.documents, stats.default_version, stats.store_floats) == ("papers", 1000, "v1", "f16")
    assert stats.version().input_dims == DIMS and stats.version().metric == "cosine" and stats.created.year >= 2020
    assert papers.estimate_memory(1_000_000).total > stats.memory.total and stats.problem == ""
    assert client.unavailable() == {}
    server = client.stats()
    assert server.counters["documents_upserted"] >= 1000
    assert server.build_version == bebr.__version__  # setup.cfg's against CMakeLists.txt's


def test_keys(start_server: Callable[..., Server], tmp_path: Path, models: Dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [{"name": role, "sha256": hashlib.sha256(f"the key of {role}".encode()).hexdigest(), "role": role} for role in ("admin", "read")]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": keys}))
    server = start_server("--keys_file", str(file))
    with pytest.raises(bebr.Unauthenticated):
        bebr.Client(server.address).collections()
    bebr.Client(server.address, api_key="the key of admin").create("papers", model=models["v1"])
    monkeypatch.setenv("BEBR_API_KEY", "the key of read")
    monkeypatch.setenv("BEBR_SERVER", server.address)
    reader = bebr.Client()
    assert [one.name for one in reader.collections()] == ["papers"]
    with pytest.raises(bebr.PermissionDenied):
        reader.drop("papers")


def test_tls(start_server: Callable[..., Server], tmp_path: Path) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out",
                    tmp_path / "cert.pem"], check=True, capture_output=True)
    server = start_server("--tls_cert_file", str(tmp_path / "cert.pem"), "--tls_key_file", str(tmp_path / "key.pem"))
    assert bebr.Client(server.address, tls_ca=str(tmp_path / "cert.pem")).collections() == []
    with pytest.raises(bebr.Unavailable, match="set tls_ca"):
        bebr.Client(f"https://{server.address}", retries=0).collections()  # by authorities that did not sign it
    with pytest.raises(bebr.Unavailable, match="https://"):
        bebr.Client(server.address, retries=0).collections()
    with pytest.raises(bebr.Unavailable, match="no TLS"):
        bebr.Client(f"https://{start_server().address}", retries=0).collections()
    with pytest.raises(bebr.InvalidArgument, match="tls_ca"):
        bebr.Client(server.address, tls_cert="cert.pem")


def test_asyncio(server: Server, papers: bebr.Collection, docs: Matrix) -> None:
    async def run() -> None:
        async with bebr.aio.Client(server.address) as client:
            collection = client.collection("papers")
            found = await asyncio.gather(*(collection.search(docs[row], k=1) for row in range(20)))
            assert [hits.ids[0] for hits in found] == [f"p{row}" for row in range(20)]

            async def records() -> AsyncIterator[Tuple[str, Matrix]]:
                for i, row in enumerate(docs):
                    yield f"a{i}", row

            assert (await collection.upsert_stream(records(), batch=50)).created == 3000
            assert (await collection.upsert([f"a{i}" for i in range(3000)], docs, batch=100)).created == 0
            batch = await collection.search_batch(docs[:5], k=3, filter={"lang": "en"})
            assert [hits.ids for hits in batch] == [hits.ids for hits in papers.search_batch(docs[:5], k=3, filter={"lang": "en"})]
            assert await collection.count() == 4000 and (await client.collections())[0].name == "papers"
            with pytest.raises(bebr.InvalidArgument) as caught:
                await collection.upsert_stream([("x", docs[0]), ("y", docs[0] * np.nan)], batch=1)
            assert caught.value.row == 1
            with pytest.raises(bebr.NotFound):
                await client.collection("none").stats()

    asyncio.run(run())


def test_asyncio_survives_a_server_that_dies(start_server: Callable[..., Server], models: Dict[str, str], docs: Matrix) -> None:
    server = start_server()

    async def run() -> None:
        async with bebr.aio.Client(server.address, retries=12) as client:
            papers = await client.create("papers", model=models["v1"])
            died: List[threading.Thread] = []

            def die(written: int) -> None:
                if written >= 500 and not died:
                    server.stop(signal.SIGKILL)
                    died.append(threading.Thread(target=server.start))
                    died[0].start()

            assert (await papers.upsert(range(3000), docs, batch=50, progress=die)).documents == 3000
            died[0].join()
            assert await papers.count() == 3000

    asyncio.run(run())


@pytest.mark.parametrize("name", ["Client", "Collection", "Versions", "Snapshots", "Aliases"])
def test_both_clients_are_alike(name: str) -> None:
    ours, theirs = (dict(inspect.getmembers(getattr(module, name), inspect.isfunction)) for module in (bebr.client, bebr.aio))
    public = {method for method in ours if not method.startswith("_")}
    assert public == {method for method in theirs if not method.startswith("_")}
    for method in public:
        assert ours[method].__doc__ == theirs[method].__doc__, method
        parameters = [[(p.name, p.default, p.kind) for p in inspect.signature(kind[method]).parameters.values()] for kind in (ours, theirs)]
        assert parameters[0] == parameters[1], method


def test_everything_public_says_what_it_is() -> None:
    for name in bebr.__all__:
        if name == "Attribute":
            continue
        thing = getattr(bebr, name)
        assert thing.__doc__ and not thing.__doc__.startswith(f"{name}("), name
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            assert method.startswith("_") or function.__doc__, f"{name}.{method}"
    text = pydoc.render_doc(bebr)
    assert 'client.create("papers", dims=384)' in text


def test_hits_print_as_a_table(papers: bebr.Collection, docs: Matrix) -> None:
    hits = papers.search(docs[7], k=2, rerank=10)
    lines = repr(hits).splitlines()
    long = bebr.types.Hit("a", 1.0, True, 1.0, "v1", {"body": "x" * 2000})
    assert len(repr(bebr.Hits(hits=(long,), documents_scanned=1, timings=hits.timings))) < 200
    assert lines[0].split() == ["score", "id", "attributes"] and lines[1] == "1.0000  p7   lang='en', year=2007" and len(lines) == 3
    papers.upsert(["<b>"], docs[:1])
    assert "<td>&lt;b&gt;</td>" in papers.search(docs[0], k=2)._repr_html_()
    assert repr(papers.search(docs[7], filter="year = 1")) == "no hits; documents scored: 0"
