"""A stand-in of llama_index.core.bridge.pydantic."""

from typing import Any


def PrivateAttr() -> Any:
    return None
