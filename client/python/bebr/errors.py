"""What goes wrong, as exceptions: one class a canonical code of proto/README.md, all of them bebr.Error."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

from bebr import _details

# What stands before a limit in the server's messages: "documents has 10001 entries; a request has 1 to 10000".
_LIMIT = re.compile(r"(?:limit(?: [a-z_ ]+)? is|_bytes is|\bto|\btakes|\bat most|\bmore than) (\d+)")
DEFAULT_PORT = 7700
_ENTRY = re.compile(r"^(documents|queries|ids)\[(\d+)\]")


class Error(Exception):
    """A call that failed.

    Args of every one: `code` is the canonical name ("NOT_FOUND"); `message` says what failed, the value, the limit and what to do;
    `field` is the part of the request that is wrong ("documents[3].id") and `limit` the number that it is held to, where the server
    names them; `row` is the row of your arrays that it is about; `retry_after` are the seconds after which the server wants to be asked
    again, where waiting helps. The client has then already waited and tried as often as it may: see Client. `acknowledged` is of
    upserts and deletes: the documents that were done when it failed, 0 where nothing was sent. What was on its way may be done too.
    """

    code = "UNKNOWN"

    def __init__(self, message: str, *, field: Optional[str] = None, limit: Optional[int] = None, row: Optional[int] = None,
                 retry_after: Optional[float] = None) -> None:
        self.acknowledged: Optional[int] = None
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit
        self.row = row
        self.retry_after = retry_after

    def __str__(self) -> str:
        place = f"row {self.row}: " if self.row is not None else ""
        again = f" (the server asks to wait {self.retry_after:g} s)" if self.retry_after else ""
        done = f" (before it failed, {self.acknowledged} documents were acknowledged)" if self.acknowledged else ""
        return f"{place}{self.message}{again}{done}"


class StaleWarning(UserWarning):
    """Of a gateway over replicas: an answer may lack the newest writes, since one with them was not to be had in time."""


class FilterWarning(UserWarning):
    """What a filter names and no document has, mostly a slip: of calls whose answer has no place for it. With strict=True an error instead."""


class InvalidArgument(Error, ValueError):
    """The request is wrong, whatever the server holds. The same again fails again."""

    code = "INVALID_ARGUMENT"


class NotFound(Error, LookupError):
    """No such collection, version, alias or snapshot. Documents that do not exist are left out instead."""

    code = "NOT_FOUND"


class AlreadyExists(Error):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(Error):
    """Right in itself, not now: rerank without stored floats, promotion of what nobody expects."""

    code = "FAILED_PRECONDITION"


class ResourceExhausted(Error):
    """A queue or rate is full (retry_after is set), or a limit of memory, disk, message or answer (it is not)."""

    code = "RESOURCE_EXHAUSTED"


class Unauthenticated(Error):
    """No valid key: api_key, or $BEBR_API_KEY."""

    code = "UNAUTHENTICATED"


class PermissionDenied(Error):
    """The key's role or collections do not allow it."""

    code = "PERMISSION_DENIED"


class DeadlineExceeded(Error, TimeoutError):
    """The timeout was too short. A write may have taken effect."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(Error):
    """The client was closed. A write may have taken effect."""

    code = "CANCELLED"


class Unavailable(Error, ConnectionError):
    """No server answers there, or it is shutting down, or its disk fails. A write may have taken effect."""

    code = "UNAVAILABLE"


class DataLoss(Error):
    """A checksum on the server's disk is wrong: its operator has an alert."""

    code = "DATA_LOSS"


class Unimplemented(Error):
    """The server has no such call: it is older than this package."""

    code = "UNIMPLEMENTED"


class Internal(Error):
    """A fault of the server."""

    code = "INTERNAL"


_CLASSES = {kind.code: kind for kind in (InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, ResourceExhausted, Unauthenticated,
                                         PermissionDenied, DeadlineExceeded, Cancelled, Unavailable, DataLoss, Unimplemented, Internal)}
_NAMES = {1: "CANCELLED", 3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 6: "ALREADY_EXISTS", 7: "PERMISSION_DENIED",
          8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 12: "UNIMPLEMENTED", 13: "INTERNAL", 14: "UNAVAILABLE", 15: "DATA_LOSS",
          16: "UNAUTHENTICATED"}


def code_name(number: int) -> str:
    """The canonical name of a status code."""
    return _NAMES.get(number, "UNKNOWN")


def file_bytes(path: Any, what: str) -> bytes:
    """The file of an argument."""
    try:
        with open(path, "rb") as file:
            return bytes(file.read())
    except (OSError, TypeError) as error:
        raise InvalidArgument(f"{what} is {path!r}, which cannot be read: {error}", field=what) from None


def check_utf8(text: str, what: str, field: str) -> None:
    """Refuses what no message has room for: half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"{what} is {text if len(text) < 80 else text[error.start:error.start + 20]!r}, which is no UTF-8: it has half of a "
                              f"surrogate pair at {error.start}", field=field) from None


@contextmanager
def telling(acknowledged: Callable[[], int]) -> Iterator[None]:
    """Errors from within say how much was acknowledged."""
    try:
        yield
    except Error as error:
        error.acknowledged = acknowledged()
        raise


def of(code: str, message: str, *, field: Optional[str] = None, retry_after: Optional[float] = None, first_row: int = 0) -> Error:
    """The exception of a code's name. `first_row` is the row of the request's first entry."""
    kind = _CLASSES.get(code, Error)
    entry = _ENTRY.match(field or message) if kind is InvalidArgument else None
    limit = _LIMIT.search(message.partition(";")[2] or message) if kind in (InvalidArgument, ResourceExhausted) else None
    return kind(message, field=field, limit=int(limit.group(1)) if limit else None, row=first_row + int(entry.group(2)) if entry else None,
                retry_after=retry_after)


def of_answer(code: int, message: str, first_row: int) -> Error:
    """Of a message of StreamUpsert, which has no details: its field stands at the beginning."""
    field = re.match(r"[a-z][a-z0-9_.\[\]]*(?=[ :])", message) if code == 3 else None
    return of(code_name(code), message, field=field.group(0) if field else None, first_row=first_row)


def _connection(message: str) -> str:
    """What gRPC says of a connection that did not come about, in words that help."""
    text = message
    if "wrong version number" in text.lower().replace("_", " "):
        return f"{text}; it seems to have no TLS: then leave out https:// and tls_ca"
    if "certificate verify failed" in text.lower().replace("_", " "):
        return f"{text}; set tls_ca to the authority that signed the server's certificate"
    if "tcp handshaker shutdown" in text:  # of refusals that another thread saw, of TLS without an answer in TLS, of ports that speak HTTP/1
        return (f"{text}: the connection was refused or ended at once; is a server there, is it the port of gRPC ({DEFAULT_PORT} unless set otherwise), "
                "and has it TLS (https:// before its name, or tls_ca) or none?")
    if "Socket closed" in text and text != "Socket closed":  # alone it is the end of a connection that was there
        return f"{text}; if it has TLS, write https:// before its name or set tls_ca"
    return text


def of_call(failure: Any, server: str, first_row: int = 0) -> Error:
    """Of a grpc.RpcError, with the details that came with it."""
    code, message = failure.code().name, failure.details() or ""
    field = retry_after = None
    metadata = failure.trailing_metadata() or ()
    for key, value in metadata:
        if key != "grpc-status-details-bin":
            continue
        for detail in _details.Status.FromString(value).details:
            kind = detail.type_url.rpartition("/")[2]
            if kind == "google.rpc.BadRequest":
                field = _details.BadRequest.FromString(detail.value).field_violations[0].field
            elif kind == "google.rpc.RetryInfo":
                delay = _details.RetryInfo.FromString(detail.value).retry_delay
                retry_after = delay.seconds + delay.nanos / 1e9
    if field is None and code == "INVALID_ARGUMENT" and message.startswith("filter,"):
        field = "filter"
    if code == "CANCELLED" and message != "Channel closed!":  # not by this client: the server ends its calls when it stops
        code = "UNAVAILABLE"
    if code == "UNAVAILABLE":
        message = f"{server} does not answer: {_connection(message)}"
    elif code == "DEADLINE_EXCEEDED":
        message = f"{server} has not answered in time: {message}; allow more by timeout="
    return of(code, message, field=field, retry_after=retry_after, first_row=first_row)
