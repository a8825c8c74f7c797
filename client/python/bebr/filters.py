"""Filters of values that come from elsewhere: what is put together here is quoted as the server wants it.

    filters.text({"lang": ["en", "de"], "draft": False})        # 'lang IN ("en", "de") AND draft = false'

Names are always those of attributes, also "id", which text has in back quotes; the documents' own ids are filters.ids(["a", "b"]).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping as MappingBase
from datetime import datetime
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np

from bebr.errors import InvalidArgument, check_utf8
from bebr.types import Ids, Scalar

Value = Union[Scalar, np.generic]

Filter = Union[str, Mapping[str, Union[Value, Sequence[Value]]]]
"""A condition: the filter language's text, or values by attributes' names. Several values mean any of them, several names all.

In text `id` is the document's id; in a mapping "id" is an attribute, as every other name.
"""

_WORDS = ("AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE", "ID")
# Of text, by the server; what is longer goes as a tree.
_MOST_TEXT_BYTES = 64 << 10


def name(attribute: str) -> str:
    """An attribute's name, in back quotes where the language would read it otherwise: its own words, and `id`, the document's id."""
    if not isinstance(attribute, str):
        raise InvalidArgument(f"a filter has the name {attribute!r}; a name is a str", field="filter")
    check_utf8(attribute, "a name in a filter", "filter")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", attribute) and attribute.upper() not in _WORDS:
        return attribute
    return "`" + attribute.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: object) -> str:
    """A value of an attribute."""
    return _literal(value, "a value")


def _literal(value: object, what: str) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):  # whose item() may be a whole number
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        check_utf8(value, f"filter: {what}", "filter")
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument(f"filter: {what} is {value}; no attribute is NaN or infinite", field="filter")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidArgument(f"filter: {what} is {value}; whole numbers have 64 bits with sign", field="filter", limit=2**63 - 1)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (datetime, np.datetime64)):
        from bebr._values import timestamp  # which imports this
        return f'TIMESTAMP "{timestamp(value, f"filter: {what}")}"'
    raise InvalidArgument(f"filter: {what} is of {type(value).__name__}; it is str, int, float, bool or datetime, or a list of these",
                          field="filter")


def _listed(values: Any, what: str) -> str:
    if not len(values):
        raise InvalidArgument(f"filter: {what} is to be one of no values", field="filter")
    return ", ".join(_literal(one, f"{what}[{index}]") for index, one in enumerate(values))


def ids(which: Ids) -> str:
    """That a document's own id is one of these. `get`, `update` and `delete` take ids as they are."""
    from bebr._values import id_list  # which imports this
    return f"id IN ({_listed(id_list(which), 'ids')})"


def contains(attribute: str, *values: Value, all: bool = False) -> str:
    """That a list has one of the values, or all of them."""
    return f"{name(attribute)} CONTAINS {'ALL' if all else 'ANY'} ({_listed(values, repr(attribute))})"


def _conditions(filter: Any) -> Dict[str, Tuple[bool, List[Any]]]:
    """By attribute: whether any of several values will do, and these."""
    if not isinstance(filter, MappingBase):
        raise InvalidArgument(f"filter is of {type(filter).__name__}; it is text, or values by attributes' names", field="filter")
    return {attribute: (True, list(value)) if isinstance(value, (list, tuple, set, frozenset)) or isinstance(value, np.ndarray) and value.ndim
            else (False, [value]) for attribute, value in filter.items()}


def text(filter: Filter) -> str:
    """The filter language's text."""
    if isinstance(filter, str):
        check_utf8(filter, "filter", "filter")
        return filter
    return " AND ".join(f"{name(attribute)} IN ({_listed(values, repr(attribute))})" if several
                        else f"{name(attribute)} = {_literal(values[0], repr(attribute))}"
                        for attribute, (several, values) in _conditions(filter).items())


def fields(filter: Filter) -> Dict[str, Any]:
    """Of a request: the text, or, of values whose text would be longer than the server takes, the same as a tree."""
    from bebr import _values, v1  # which import this
    written = text(filter)
    if isinstance(filter, str) or len(written.encode()) <= _MOST_TEXT_BYTES:
        return {"filter": written}
    tree = v1.Filter()
    for attribute, (several, values) in _conditions(filter).items():
        test = tree.all_of.filters.add().test
        test.attribute = attribute
        test.operator = v1.FILTER_OPERATOR_IN if several else v1.FILTER_OPERATOR_EQUAL
        for value in values:
            _values.to_attribute(test.values.add(), value, f"filter: {attribute!r}", in_list=True)
    return {"filter_tree": tree}
