"""A stand-in of llama_index.core.vector_stores.utils: a node as flat metadata, and back."""

from __future__ import annotations

import json
from typing import Any, Dict

from llama_index.core.schema import BaseNode


def node_to_metadata_dict(node: BaseNode, remove_text: bool = False, flat_metadata: bool = False) -> Dict[str, Any]:
    assert flat_metadata and all(isinstance(value, (str, int, float, type(None))) for value in node.metadata.values())
    content = json.dumps({"text": "" if remove_text else node.text, "id_": node.id_, "metadata": node.metadata})
    return {**node.metadata, "_node_content": content, "_node_type": "TextNode", "document_id": node.ref_doc_id, "doc_id": node.ref_doc_id,
            "ref_doc_id": node.ref_doc_id}


def metadata_dict_to_node(metadata: Dict[str, Any]) -> BaseNode:
    return BaseNode(**json.loads(metadata["_node_content"]), ref_doc_id=metadata["ref_doc_id"])
