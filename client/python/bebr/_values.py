"""Between numpy, Python's values and the API's messages. What is wrong is told with the row, before anything is sent."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping as MappingBase
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union, cast

import numpy as np
import numpy.typing as npt

from bebr import v1
from bebr.errors import InvalidArgument, check_utf8
from bebr.types import Attribute, Attributes, Document, DocumentError, Examples, Explanation, Floats, Hit, Ids, Record, Scalar, ScoreBand, Vectors

if TYPE_CHECKING:
    from bebr._pool import Message

M = TypeVar("M", bound="Message")

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
# Limits of proto/bebr/v1/types.proto.
_MOST_ID_BYTES = 512
_MOST_FLOAT = 1e15
_FIRST_MOMENT, _END_OF_MOMENTS = np.datetime64("0000-01-01", "us"), np.datetime64("10000-01-01", "us")
_MOST_ATTRIBUTES, _MOST_NAME_BYTES, _MOST_ATTRIBUTE_BYTES = 64, 128, 1 << 20
# Where a message of documents ends: at so many of them, or once it has so many bytes. A document has 1 MiB of attributes at most.
_MESSAGE_ROWS, _MESSAGE_BYTES = 1000, 4 << 20
_ITS_LABELS = {v1.ITS_LABEL_CLOSE_MATCH: "close_match", v1.ITS_LABEL_VERY_HIGH: "very_high", v1.ITS_LABEL_HIGH: "high",
               v1.ITS_LABEL_MEDIUM: "medium", v1.ITS_LABEL_LOW: "low", v1.ITS_LABEL_VERY_LOW: "very_low",
               v1.ITS_LABEL_IRRELEVANT: "irrelevant"}


def made(kind: Type[M], **fields: Any) -> M:
    """A message of these fields; a value that its field cannot have is named."""
    try:
        return kind(**fields)
    except (TypeError, ValueError):
        for name, value in fields.items():
            try:
                kind(**{name: value})
            except (TypeError, ValueError) as error:
                raise InvalidArgument(f"{name} is {value!r}: {error}", field=name) from None
        raise


def _numbers(values: Any) -> npt.NDArray[Any]:
    """As an array; complex would lose a part, and text would be read as numbers."""
    array = np.asarray(values)
    if array.dtype.kind in "cSUOMm":
        raise TypeError(f"they are of type {array.dtype}")
    return array


def matrix(values: npt.ArrayLike, what: str) -> Floats:
    """Rows of float16 as they are, else of float32. A column of arrays, as of a data frame, is rows too."""
    try:
        array = np.asarray(values)
        if array.dtype == object and array.ndim:
            array = np.array([_numbers(row.tolist() if getattr(row, "dtype", None) == object else row) for row in array])
        elif array.dtype == object:
            raise TypeError(f"{what} is of {type(values).__name__}; it is an array, or a list of rows")
        array = _numbers(array)
        if array.dtype != np.float16:
            with np.errstate(over="ignore"):  # told as infinity, with the row
                array = array.astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{what} are no rows of numbers of one length: {error}", field=what) from None
    if array.shape == (0,):
        array = array.reshape(0, 0)
    if array.ndim != 2:
        one = f"; a row alone goes as [{what}]" if array.ndim == 1 else ""
        raise InvalidArgument(f"{what} has the shape {array.shape}; it is (rows, dims){one}", field=what)
    return np.ascontiguousarray(array)


def row(values: npt.ArrayLike, what: str) -> Floats:
    """One vector."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 1:
        more = "; search_batch takes several" if what == "vector" and array.ndim == 2 else ""
        raise InvalidArgument(f"{what} has the shape {array.shape}; it is (dims,){more}", field=what)
    one: Floats = matrix(array[np.newaxis], what)[0]
    return one


def check_floats(values: Floats, what: str) -> None:
    """Refuses NaN, infinity and what is too large, by the row."""
    size = max(1, _MESSAGE_BYTES // max(1, values.shape[1] * values.itemsize))  # what is made besides stays small
    for first in range(0, len(values), size):
        wrong = ~(np.abs(values[first:first + size]) <= _MOST_FLOAT)
        if wrong.any():
            row, place = (int(index) for index in np.argwhere(wrong)[0])
            row += first
            raise InvalidArgument(f"{what}: value {place} is {values[row, place]}; NaN and infinity are refused, and magnitudes above "
                                  f"{_MOST_FLOAT:g}", field=f"{what}[{row}]", row=row)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def to_vector(vector: v1.Vector, values: Floats) -> None:
    """Field 1 of a Vector is packed, so its bytes on the wire are those of the array: no float becomes a Python object."""
    if values.dtype == np.float16:
        vector.float16 = values.astype("<f2", copy=False).tobytes()
    else:
        data = values.astype("<f4", copy=False).tobytes()
        vector.MergeFromString(b"\x0a" + _varint(len(data)) + data)


def from_vector(vector: v1.Vector) -> Floats:
    if vector.float16:
        return np.frombuffer(vector.float16, dtype="<f2").astype(np.float32)
    count = len(vector.values)
    return np.frombuffer(vector.SerializeToString(), dtype=np.uint8)[-4 * count:].copy().view("<f4") if count else np.empty(0, np.float32)


def absent(value: object) -> bool:
    """None, and the NaT of numpy and of pandas, which is a datetime."""
    return value is None or isinstance(value, (datetime, np.datetime64)) and bool(value != value)


def timestamp(value: Union[datetime, np.datetime64], what: str) -> str:
    """RFC 3339. numpy's times are in UTC."""
    if absent(value):
        raise InvalidArgument(f"{what} is {value!r}, which is no time", field=what)
    if isinstance(value, np.datetime64):
        return _numpy_timestamp(value, what)
    if value.tzinfo is None:
        raise InvalidArgument(f"{what} is {value!r}, a time without a zone; datetime.now(timezone.utc) has one", field=what)
    if getattr(value, "nanosecond", 0):  # of pandas
        raise InvalidArgument(f"{what} is {value!r}; times are of whole microseconds: .floor('us') makes it one", field=what)
    try:
        utc = value.astimezone(timezone.utc)
    except OverflowError:
        raise InvalidArgument(f"{what} is {value!r}, in UTC beyond the years 1 to 9999", field=what) from None
    return utc.strftime(f"{utc.year:04}-%m-%dT%H:%M:%S.%fZ")


def _numpy_timestamp(value: np.datetime64, what: str) -> str:
    moment = value.astype("M8[us]")
    if moment.astype(value.dtype) != value:  # finer, or so far away that microseconds wrap around
        raise InvalidArgument(f"{what} is {value!r}; times are of whole microseconds: .astype('M8[us]') makes it one", field=what)
    if not _FIRST_MOMENT <= moment < _END_OF_MOMENTS:
        raise InvalidArgument(f"{what} is {value!r}, beyond the years 0 to 9999", field=what)
    return f"{moment}Z"


def _moment(text: str) -> Union[datetime, np.datetime64]:
    """The time of an answer; numpy's where Python has no such year."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{whole}.{fraction:0<6}+00:00")
    except ValueError:
        return np.datetime64(text.rstrip("Z"), "us")


def to_attribute(target: v1.AttributeValue, value: object, what: str, in_list: bool = False) -> None:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (list, tuple, np.ndarray)) and not in_list:
        target.list_value.CopyFrom(v1.AttributeList())  # also of no values
        for index, one in enumerate(value):
            to_attribute(target.list_value.values.add(), one, f"{what}[{index}]", in_list=True)
        return
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):  # whose item() may be a whole number
        value = value.item()
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        check_utf8(value, what, what)
        target.string_value = value
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise InvalidArgument(f"{what} is {value}; whole numbers have 64 bits with sign", field=what, limit=_INT_MAX)
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, (datetime, np.datetime64)):
        target.timestamp_value = timestamp(value, what)
    else:
        raise InvalidArgument(f"{what} is of {type(value).__name__}; it is str, int, float, bool or datetime, a list of these, or None for no "
                              "value", field=what)


def _attribute_bytes(value: object, what: str) -> int:
    """As the server counts them; refuses what is no attribute."""
    made = v1.AttributeValue()
    to_attribute(made, value, what)
    if made.HasField("list_value"):
        return sum(_scalar_bytes(one, f"{what}[{index}]") + 8 * one.HasField("string_value") for index, one in enumerate(made.list_value.values))
    return _scalar_bytes(made, what)


def _scalar_bytes(value: v1.AttributeValue, what: str) -> int:
    if value.HasField("double_value") and not np.isfinite(value.double_value):
        raise InvalidArgument(f"{what} is {value.double_value}; NaN and infinity are refused, None is no value", field=what)
    return len(value.string_value.encode()) if value.HasField("string_value") else 8


def check_attributes(values: Mapping[str, object], of: str) -> None:
    """Refuses what the server would."""
    if not isinstance(values, MappingBase):
        raise InvalidArgument(f"attributes of {of} are of {type(values).__name__}; they are values by names", field="attributes")
    size = count = 0
    for name, value in values.items():
        check_name(name, of)
        if not 1 <= len(name.encode()) <= _MOST_NAME_BYTES:
            raise InvalidArgument(f"attributes of {of} have the name {name!r}; a name is a str of 1 to {_MOST_NAME_BYTES} bytes",
                                  field="attributes", limit=_MOST_NAME_BYTES)
        if not absent(value):
            count += 1
            size += len(name.encode()) + _attribute_bytes(value, f"attributes[{name!r}] of {of}")
    if count > _MOST_ATTRIBUTES or size > _MOST_ATTRIBUTE_BYTES:
        raise InvalidArgument(f"{of} has {count} attributes of {size} bytes; at most {_MOST_ATTRIBUTES} of {_MOST_ATTRIBUTE_BYTES}",
                              field="attributes", limit=_MOST_ATTRIBUTES if count > _MOST_ATTRIBUTES else _MOST_ATTRIBUTE_BYTES)


def check_name(name: object, of: str) -> None:
    if not isinstance(name, str):
        raise InvalidArgument(f"attributes of {of} have the name {name!r}; a name is a str", field="attributes")
    check_utf8(name, f"a name among the attributes of {of}", "attributes")


def check_sendable(id: str, attributes: Mapping[str, object]) -> None:
    """Refuses what no message has room for: of a partial write the server judges the rest, and leaves out what is wrong."""
    for name, value in attributes.items():
        check_name(name, f"document {id!r}")
        if not absent(value):
            to_attribute(v1.AttributeValue(), value, f"attributes[{name!r}] of document {id!r}")


def _set_attributes(document: v1.Document, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if not absent(value):
            to_attribute(document.attributes[name], value, f"attributes[{name!r}] of document {document.id!r}")


def from_attribute(value: v1.AttributeValue) -> Attribute:
    return _scalar(value) if not value.HasField("list_value") else [_scalar(one) for one in value.list_value.values]


def _scalar(value: v1.AttributeValue) -> Scalar:
    if value.HasField("timestamp_value"):
        return _moment(value.timestamp_value)
    found: Scalar = getattr(value, value.WhichOneof("kind") or "string_value")
    return found


def from_attributes(values: Any) -> Dict[str, Attribute]:
    return {name: from_attribute(value) for name, value in values.items()}


def one_id(value: object, what: str, checked: bool = True) -> str:
    if isinstance(value, str):
        if checked:
            check_utf8(value, what, what)
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(int(value))
    raise InvalidArgument(f"{what} is of {type(value).__name__}; an id is a str, or a whole number: str(id) makes one", field=what)


def check_id(id: str, what: str) -> None:
    size = len(id.encode())
    if not 1 <= size <= _MOST_ID_BYTES:
        raise InvalidArgument(f"{what} has {size} bytes; an id has 1 to {_MOST_ID_BYTES}", field=what, limit=_MOST_ID_BYTES)


def id_list(ids: Any, what: str = "ids", checked: bool = True) -> List[str]:
    """A string or a number alone is one id. Not checked: of a partial write, which leaves out what no message has room for."""
    if isinstance(ids, (str, int, np.integer)):
        return [one_id(ids, what, checked)]
    if not isinstance(ids, Iterable):
        raise InvalidArgument(f"{what} is of {type(ids).__name__}; it is ids, as strings or whole numbers", field=what)
    found = []
    for index, value in enumerate(ids):
        with AtRow(index):
            found.append(one_id(value, f"{what}[{index}]", checked))
    return found


def _attributes_of(attributes: Optional[Attributes], count: int) -> Callable[[int], Mapping[str, object]]:
    """What gives a row's attributes."""
    if attributes is None:
        return lambda index: {}
    if isinstance(attributes, MappingBase) or hasattr(attributes, "columns"):  # a mapping, or a data frame
        frame: Any = attributes
        columns: Dict[str, Any] = {}
        for name in frame:
            column = frame[name]
            single = isinstance(column, str) or not isinstance(column, Iterable)
            # Those of data frames are indexed by their own labels, not by the row; their times are numpy's, though they come out of it as datetimes.
            if getattr(getattr(column, "dtype", None), "kind", "") == "M":
                column = np.asarray(column)
            columns[name] = [] if single else column if type(column) in (list, tuple, np.ndarray) else list(column)
            if single or len(columns[name]) != count:
                size = "a single value" if single else f"{len(columns[name])} values"
                raise InvalidArgument(f"attributes[{name!r}] has {size}; there are {count} ids", field=f"attributes[{name!r}]", limit=count)
        return lambda index: {name: column[index] for name, column in columns.items()}
    if not isinstance(attributes, Iterable):
        raise InvalidArgument(f"attributes is of {type(attributes).__name__}; it is a mapping a row, or a column an attribute", field="attributes")
    rows: List[Any] = list(attributes)
    if len(rows) != count:
        raise InvalidArgument(f"attributes has {len(rows)} rows; there are {count} ids", field="attributes", limit=count)
    return lambda index: rows[index] or {}


class AtRow:
    """Errors from within are of a row: of the caller's, or of an entry of what it gave."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, InvalidArgument):
            error.row = self.index


class LeftOut:
    """Documents of a partial write that are wrong before anything is sent, and so the rows of those that are sent."""

    def __init__(self) -> None:
        self.errors: List[DocumentError] = []
        self._sent_before: List[int] = []

    def add(self, row: int, id: str, error: InvalidArgument) -> None:
        """Rows come in their order."""
        self._sent_before.append(row - len(self.errors))
        self.errors.append(DocumentError(row=row, id=id, code=error.code, message=error.message))

    def row(self, sent: int) -> int:
        """Of the document that is sent as this one."""
        return sent + bisect_right(self._sent_before, sent)


class Rows:
    """Documents to write, as arrays: ids, one matrix a version, attributes. All that can be wrong without the server's knowledge is
    told here, by the row, so that nothing of it is written. With `partial` this is what no message has room for, and it is left out."""

    def __init__(self, ids: Ids, vectors: Vectors, attributes: Optional[Attributes], version: str, partial: bool) -> None:
        self.left_out = LeftOut()
        self.ids = id_list(ids, checked=not partial)
        if isinstance(vectors, MappingBase):
            if version:
                raise InvalidArgument("vectors names versions, and version is set; give one of them", field="version")
            self.embeddings = [(name, matrix(values, f"vectors[{name!r}]")) for name, values in vectors.items()]
        else:
            self.embeddings = [(version, matrix(vectors, "vectors"))]
        for name, values in self.embeddings:
            check_utf8(name, "version", "version")
            if len(values) != len(self.ids):
                of = f" of version {name!r}" if name else ""
                raise InvalidArgument(f"vectors{of} has {len(values)} rows; there are {len(self.ids)} ids", field="vectors",
                                      limit=len(self.ids))
        self._attributes = _attributes_of(attributes, len(self.ids))
        self._seen: Dict[str, int] = {}
        self._sent = list(self._checked(partial))
        for name, values in self.embeddings if not partial else []:
            check_floats(values, f"vectors[{name!r}]" if name else "vectors")

    def _checked(self, partial: bool) -> Iterator[int]:
        """The rows that are sent."""
        for index, id in enumerate(self.ids):
            try:
                with AtRow(index):
                    self._check(index, id, partial)
                yield index
            except InvalidArgument as error:
                if not partial:
                    raise
                self.left_out.add(index, id, error)

    def _check(self, index: int, id: str, partial: bool) -> None:
        one_id(id, f"ids[{index}]")
        if self._seen.setdefault(id, index) != index:
            raise InvalidArgument(f"ids[{index}] and ids[{self._seen[id]}] are both {id!r}; a document is there once", field=f"ids[{index}]")
        if partial:
            check_sendable(id, self._attributes(index))
        else:
            check_id(id, f"ids[{index}]")
            check_attributes(self._attributes(index), f"document {id!r}")

    def __len__(self) -> int:
        return len(self._sent)

    def fill(self, documents: Any, first: int, batch: Optional[int]) -> int:
        """Adds documents to a message's, from the one that is sent as `first` until it is full; the one after them."""
        size = 0
        for sent in range(first, len(self)):
            index = self._sent[sent]
            document = documents.add(id=self.ids[index])
            _set_attributes(document, self._attributes(index))
            for version, values in self.embeddings:
                to_vector(document.embeddings.add(version=version).vector, values[index])
            size += document.ByteSize()
            if full(len(documents), size, batch):
                return sent + 1
        return len(self)


def full(count: int, size: int, batch: Optional[int]) -> bool:
    """Whether a message of so many documents, of so many bytes together, is: by `batch`, the documents it is to have, or by what suits."""
    return count >= batch if batch else count >= _MESSAGE_ROWS or size >= _MESSAGE_BYTES


def add_record(documents: Any, record: Record, version: str, partial: bool, left_out: LeftOut, row_number: int) -> int:
    """Adds a document of a stream; its bytes. With `partial` one that no message has room for is left out, and has none."""
    attributes: Mapping[str, object] = {}
    if isinstance(record, Document):
        id, attributes = record.id, record.attributes
        embeddings: List[Tuple[str, npt.ArrayLike]] = list(record.embeddings.items())
    elif isinstance(record, tuple) and len(record) in (2, 3):
        parts: Tuple[Any, ...] = record
        id, embeddings, attributes = parts[0], [("", parts[1])], parts[2] if len(parts) == 3 else {}
    else:
        raise InvalidArgument(f"a document of a stream is of {type(record).__name__}; it is a bebr.Document, (id, vector) or "
                              "(id, vector, attributes)")
    try:
        document = _document(one_id(id, "id"), embeddings, attributes or {}, version, partial)
    except InvalidArgument as error:
        if not (partial and isinstance(id, str)):
            raise
        left_out.add(row_number, id, error)
        return 0
    documents.append(document)
    return int(document.ByteSize())


def _document(id: str, embeddings: List[Tuple[str, npt.ArrayLike]], attributes: Mapping[str, object], version: str, partial: bool) -> v1.Document:
    if partial:
        check_sendable(id, attributes)
    else:
        check_id(id, "id")
        check_attributes(attributes, f"document {id!r}")
    document = made(v1.Document, id=id)
    _set_attributes(document, attributes)
    for name, values in embeddings:
        check_utf8(name or version, "version", "version")
        array = row(values, f"vector of document {id!r}")
        if not partial:
            check_floats(array[np.newaxis], f"vector of document {id!r}")
        to_vector(document.embeddings.add(version=name or version).vector, array)
    return document


def to_examples(ids: Any, vectors: Any, examples: Examples, what: str) -> None:
    """Adds examples to a request's ids and vectors."""
    for index, one in enumerate([examples] if isinstance(examples, (str, int, np.integer)) else examples):  # type: ignore[arg-type]
        if isinstance(one, (str, int, np.integer)):
            ids.append(one_id(one, f"{what}[{index}]"))
        elif np.ndim(one) == 0:
            raise InvalidArgument(f"{what}[{index}] is of {type(one).__name__}; it is an id or a vector (a vector alone goes into a list)",
                                  field=what)
        else:
            to_vector(vectors.add(), row(one, f"{what}[{index}]"))


def from_explanation(value: v1.Explanation) -> Explanation:
    bands = tuple(ScoreBand(dims=band.dims, dot=band.dot, weight=band.weight, distances=tuple(band.distances)) for band in value.bands)
    return Explanation(estimate=value.estimate, bands=bands, scale=value.scale, offset=value.offset, query_offset=value.query_offset,
                       query_factor=value.query_factor, shard=value.shard, segment=value.segment, row=value.row, group=value.group,
                       nearer_share=value.nearer_share)


def from_document(document: v1.Document) -> Document:
    return Document(id=document.id, attributes=from_attributes(document.attributes),
                    embeddings={embedding.version: from_vector(embedding.vector) for embedding in document.embeddings})


def from_hits(hits: Any) -> Iterator[Hit]:
    for hit in hits:
        yield Hit(id=hit.id, score=hit.score, exact=hit.score_kind == v1.SCORE_KIND_EXACT, its=hit.its, version=hit.version,
                  attributes=from_attributes(hit.attributes), its_label=_ITS_LABELS.get(hit.its_label, ""),
                  explanation=from_explanation(hit.explanation) if hit.HasField("explanation") else None,
                  group=cast(Any, from_attribute(hit.group)) if hit.HasField("group") else None)
