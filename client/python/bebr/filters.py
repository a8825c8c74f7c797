"""Filters of values that come from elsewhere: what is put together here is quoted as the server wants it.

    filters.text({"lang": ["en", "de"], "draft": False})        # 'lang IN ("en", "de") AND draft = false'
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingBase
from datetime import datetime
from typing import Mapping, Sequence, Union

import numpy as np

from bebr.errors import InvalidArgument
from bebr.types import Scalar

Value = Union[Scalar, np.generic]

Filter = Union[str, Mapping[str, Union[Value, Sequence[Value]]]]
"""A condition on attributes: the filter language's text, or values by names. Several values mean any of them, several names all."""


def name(attribute: str) -> str:
    """An attribute's name, in back quotes where it needs them."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", attribute) and attribute.upper() not in ("AND", "OR", "NOT", "IN", "EXISTS", "TRUE", "FALSE"):
        return attribute
    return "`" + attribute.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(value: object) -> str:
    """A value of an attribute."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):  # whose item() may be a whole number
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (datetime, np.datetime64)):
        from bebr._values import timestamp  # which imports this
        return f'TIMESTAMP "{timestamp(value, "filter")}"'
    raise InvalidArgument(f"a filter has a value of {type(value).__name__}; it is str, int, float, bool or datetime, or a list of these",
                          field="filter")


def contains(attribute: str, *values: Value, all: bool = False) -> str:
    """That a list has one of the values, or all of them."""
    if not values:
        raise InvalidArgument(f"filter: {attribute!r} is to contain one of no values", field="filter")
    return f"{name(attribute)} CONTAINS {'ALL' if all else 'ANY'} ({', '.join(literal(one) for one in values)})"


def text(filter: Filter) -> str:
    """The filter language's text."""
    if isinstance(filter, str):
        return filter
    if not isinstance(filter, MappingBase):
        raise InvalidArgument(f"filter is of {type(filter).__name__}; it is text, or values by attributes' names", field="filter")
    conditions = []
    for attribute, value in filter.items():
        if isinstance(value, (list, tuple, set, frozenset)) or isinstance(value, np.ndarray) and value.ndim:
            if not len(value):
                raise InvalidArgument(f"filter: {attribute!r} is to be one of no values", field="filter")
            conditions.append(f"{name(attribute)} IN ({', '.join(literal(one) for one in value)})")
        else:
            conditions.append(f"{name(attribute)} = {literal(value)}")
    return " AND ".join(conditions)
