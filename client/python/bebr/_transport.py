"""The way to a server: address, keys, TLS, the channel's settings, and when a call is sent again."""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import grpc

from bebr import errors

DEFAULT_PORT = errors.DEFAULT_PORT
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
# A message may have 64 MiB unless the server is set otherwise; its limit is the one that counts.
_MESSAGE_BYTES = -1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


@dataclass(frozen=True)
class Options:
    """How to talk to a server."""

    server: str
    timeout: Optional[float]
    retries: int
    api_key: str
    tls_ca: str
    tls_cert: str
    tls_key: str

    @staticmethod
    def of(server: Optional[str], timeout: Optional[float], retries: int, api_key: Optional[str], tls_ca: Optional[str],
           tls_cert: Optional[str], tls_key: Optional[str]) -> Options:
        """What is None comes from the environment, by the names that the command `bebr` takes."""

        def known(value: Optional[str], variable: str, default: str = "") -> str:
            return value if value is not None else os.environ.get(variable) or default

        return Options(server=known(server, "BEBR_SERVER", DEFAULT_SERVER), timeout=timeout, retries=retries,
                       api_key=known(api_key, "BEBR_API_KEY"), tls_ca=known(tls_ca, "BEBR_TLS_CA"),
                       tls_cert=known(tls_cert, "BEBR_TLS_CERT"), tls_key=known(tls_key, "BEBR_TLS_KEY"))

    def metadata(self) -> List[Tuple[str, str]]:
        return [("authorization", f"Bearer {self.api_key}")] if self.api_key else []

    def credentials(self, tls: bool) -> Any:
        """None: no TLS."""
        if not (tls or self.tls_ca):
            if self.tls_cert or self.tls_key:
                raise errors.InvalidArgument("tls_cert and tls_key are for TLS: set tls_ca, the authority of the server's certificate, or "
                                             "https:// before the server's name", field="tls_ca")
            return None

        def read(path: str, what: str) -> Optional[bytes]:
            return errors.file_bytes(path, what) if path else None

        return grpc.ssl_channel_credentials(root_certificates=read(self.tls_ca, "tls_ca"), private_key=read(self.tls_key, "tls_key"),
                                            certificate_chain=read(self.tls_cert, "tls_cert"))

    def open_channel(self, grpc_module: Any) -> Any:
        """`grpc_module`: grpc or grpc.aio."""
        settings = [("grpc.max_send_message_length", _MESSAGE_BYTES), ("grpc.max_receive_message_length", _MESSAGE_BYTES),
                    # A connection that died silently is noticed while calls wait for it.
                    ("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000), ("grpc.http2.max_pings_without_data", 0),
                    # The pauses between tries are Patience's.
                    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 1000),
                    ("grpc.max_reconnect_backoff_ms", 2000)]
        scheme, _, address = self.server.rpartition("://")
        if scheme not in ("", "http", "https"):
            raise errors.InvalidArgument(f"server is {self.server!r}; it is HOST:PORT, or https://HOST:PORT for TLS", field="server")
        credentials = self.credentials(tls=scheme == "https")
        if re.fullmatch(r"[^:]+|\[[^\]]*\]", address) and scheme != "https":
            address += f":{DEFAULT_PORT}"
        port = address.rpartition(":")[2] if re.search(r":[^\]]*$", address) else None
        if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            raise errors.InvalidArgument(f"server is {self.server!r}, whose port is {port!r}; it is HOST:PORT with a port of 1 to 65535, "
                                         f"or HOST alone for {DEFAULT_PORT}", field="server")
        if credentials is None:
            return grpc_module.insecure_channel(address, options=settings)
        return grpc_module.secure_channel(address, credentials, options=settings)


class Contact:
    """Whether a client's server has answered it yet: one that has will again, and one that never did may not be there."""

    def __init__(self) -> None:
        self.made = False

    def tell(self, error: errors.Error) -> None:
        """Most errors are answers."""
        self.made = self.made or not isinstance(error, (errors.Unavailable, errors.DeadlineExceeded, errors.Cancelled))


class Patience:
    """Decides, for one call or stream, whether and when it is sent again.

    Sent again is what the server has refused before it began (RESOURCE_EXHAUSTED with RetryInfo), whatever it is; and what got no answer
    (UNAVAILABLE), if that is harmless: reads, and writes of documents, which are there once however often they are sent. Pauses double
    to 2 s and are never shorter than the server asks. It goes on until the timeout, since a server may take long to start; but where the
    server has never answered this client, for `retries` tries alone. With 0 retries nothing is sent again.
    """

    def __init__(self, options: Options, contact: Contact, timeout: Optional[float], again: bool) -> None:
        self._retries = options.retries
        self._contact = contact
        self._again = again
        self.timeout = timeout
        self.progress()

    def left(self) -> Optional[float]:
        """Seconds of the timeout; None: no end."""
        return max(0.0, self._end - time.monotonic()) if self._end is not None else None

    def progress(self) -> None:
        """Something went well: the tries and the timeout begin anew."""
        self._tries = 0
        self._end = time.monotonic() + self.timeout if self.timeout is not None else None

    def pause_after(self, error: errors.Error) -> Optional[float]:
        """Seconds to wait before the next try; None: there is none."""
        self._contact.tell(error)
        refused = isinstance(error, errors.ResourceExhausted) and error.retry_after is not None
        lost = isinstance(error, errors.Unavailable) and self._again
        enough = self._retries <= 0 if self._contact.made else self._tries >= self._retries
        if not (refused or lost) or enough:
            return None
        asked = error.retry_after or 0.0
        doubled = max(_FIRST_PAUSE_S, asked) * 2**min(self._tries, 10)
        pause: float = max(asked, min(_LONGEST_PAUSE_S, doubled) * random.uniform(0.75, 1.25))
        left = self.left()
        if left is not None and pause >= left:
            return None
        self._tries += 1
        return pause
