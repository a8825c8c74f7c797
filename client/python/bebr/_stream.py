"""A stream of upserts without its network: what was sent, what is acknowledged, what must be sent again."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from bebr import _values, errors, v1
from bebr import types as t
from bebr._calls import Writing, left_out
from bebr._values import LeftOut, made

# Messages on their way. The server answers four at a time unless it is set otherwise; the others fill the pause between.
WINDOW = 8
# A server that is full stays so: after so many refusals in a row waiting is no use.
_MOST_REFUSALS = 300
_REFUSAL_PAUSE_S = 0.1

Progress = Callable[[int], object]
"""Is told the number of documents that are acknowledged so far."""


def messages_of_rows(name: str, rows: _values.Rows, writing: Writing, batch: Optional[int]) -> Iterator[v1.StreamUpsertRequest]:
    """Messages of arrays; sequence numbers are those of their first documents."""
    first = 0
    while first < len(rows):
        message = made(v1.StreamUpsertRequest, collection=name, sequence=first, mode=writing.mode, options=writing.options)
        first = rows.fill(message.documents, first, batch)
        yield message


class Packer:
    """Makes messages of single documents."""

    def __init__(self, name: str, version: str, writing: Writing, batch: Optional[int]) -> None:
        self._name, self._version, self._writing, self._batch = name, version, writing, batch
        self._next = self._row = self._bytes = 0
        self.left_out = LeftOut()
        self._message = self._new()

    def _new(self) -> v1.StreamUpsertRequest:
        return made(v1.StreamUpsertRequest, collection=self._name, sequence=self._next, mode=self._writing.mode,
                    options=self._writing.options)

    def add(self, record: t.Record) -> Optional[v1.StreamUpsertRequest]:
        """The message that is full now, if one is."""
        count = len(self._message.documents)
        with _values.AtRow(self._row):
            self._bytes += _values.add_record(self._message.documents, record, self._version, self._writing.partial, self.left_out, self._row)
        self._row += 1
        self._next += len(self._message.documents) - count
        return self.rest() if _values.full(len(self._message.documents), self._bytes, self._batch) else None

    def rest(self) -> Optional[v1.StreamUpsertRequest]:
        """What there is of the last message."""
        if not len(self._message.documents):
            return None
        message, self._message, self._bytes = self._message, self._new(), 0
        return message

    def messages(self, records: Iterable[t.Record]) -> Iterator[v1.StreamUpsertRequest]:
        for record in records:
            message = self.add(record)
            if message is not None:
                yield message
        message = self.rest()
        if message is not None:
            yield message


def check_progress(progress: Any) -> None:
    """Before anything is written."""
    if progress is not None and not callable(progress):
        raise errors.InvalidArgument(f"progress is {progress!r}; it is a function that is told how many documents are written", field="progress")


class Window:
    """The messages that are not acknowledged yet."""

    def __init__(self, progress: Optional[Progress], left: LeftOut) -> None:
        self._progress = progress
        self._left = left
        self._refusals = 0
        self.written = 0
        self._created = 0
        self._unknown: List[str] = []
        self._skipped: List[str] = []
        self._errors: List[t.DocumentError] = []
        self.waiting: Dict[int, Any] = {}

    @property
    def full(self) -> bool:
        return len(self.waiting) >= WINDOW

    def sent(self, message: v1.StreamUpsertRequest) -> None:
        self.waiting[message.sequence] = message

    def take(self, answer: v1.StreamUpsertResponse) -> float:
        """Seconds to wait before the message of this answer is sent again; 0: it is written. Raises what ends the stream."""
        if answer.error_code:
            error = errors.of_answer(answer.error_code, answer.error_message, first_row=answer.sequence)
            if error.row is not None:
                error.row = self._left.row(error.row)
            self._refusals += 1
            if not isinstance(error, errors.ResourceExhausted) or self._refusals > _MOST_REFUSALS:
                raise error
            return _REFUSAL_PAUSE_S
        self._refusals = 0
        del self.waiting[answer.sequence]
        self.written += answer.documents
        self._created += answer.created
        self._unknown.extend(answer.unknown_ids)
        self._skipped.extend(answer.skipped_ids)
        self._errors.extend(left_out(answer, answer.sequence, self._left))
        if self._progress is not None:
            self._progress(self.written)
        return 0.0

    def result(self) -> t.Upserted:
        return t.Upserted(documents=self.written, created=self._created, unknown_ids=tuple(self._unknown),
                          skipped_ids=tuple(self._skipped), errors=tuple(sorted([*self._errors, *self._left.errors], key=lambda error: error.row)))
