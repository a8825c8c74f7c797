"""A stand-in of llama_index.core.schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional


@dataclass
class BaseNode:
    text: str
    id_: str
    metadata: Dict[str, Any] = field(default_factory=dict)
    embedding: Optional[List[float]] = None
    ref_doc_id: str = ""

    @property
    def node_id(self) -> str:
        return self.id_

    def get_embedding(self) -> List[float]:
        if self.embedding is None:
            raise ValueError("embedding not set.")
        return self.embedding
