"""The metrics and functions in a PromQL expression, by a parser that is not Prometheus' own."""

from collections.abc import Iterator
from typing import Any

import promql_parser


def nodes(expression: Any) -> Iterator[Any]:
    """The expression and all its parts."""
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "vs"):
        part = getattr(expression, name, None)
        if type(part).__module__.startswith("promql_parser"):
            yield from nodes(part)
    for part in getattr(expression, "args", None) or ():
        yield from nodes(part)


def selectors(expression: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Each selector's metric name and the values of its matchers."""
    for node in nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name, {matcher.name: matcher.value for matcher in node.matchers.matchers}


def metric_names(expression: Any) -> set[str]:
    """The names of the metrics in it."""
    return {name for name, _ in selectors(expression)}


def called_functions(expression: Any) -> set[str]:
    """The names of the functions in it."""
    return {node.func.name for node in nodes(expression) if isinstance(node, promql_parser.Call)}
