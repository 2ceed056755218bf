"""Formulas that users write over named arrays: arithmetic, comparison, and, or, not. Nothing else parses."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError

LENGTH_MAX = 500
DEPTH_MAX = 20
NUMBER_MAX = 10**18

Array = NDArray[Any]

_BINARY: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class InvalidFormula(WattkeeperError):
    """Raised when a text is no formula."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula: true for what is in order, as in ``max < 3 * mean and zero_count < 20``."""

    text: str
    _body: ast.expr = field(compare=False, repr=False)

    def holds(self, named: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Return where the formula is true; a division by zero is true: nothing was shown to be wrong."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.asarray(_evaluate(self._body, named))
        if value.dtype == np.bool_:
            return value
        result: NDArray[np.bool_] = np.isnan(value) | (value != 0)
        return result


def parse_formula(text: str, names: frozenset[str]) -> Formula:
    """Return the formula of a text that uses only `names`.

    :raises InvalidFormula: if it does not parse, or holds anything else
    """
    if len(text) > LENGTH_MAX:
        raise InvalidFormula("vee.formula-too-long", length_max=LENGTH_MAX)
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidFormula("vee.formula-syntax", text=text) from error
    _check(body, names, text, DEPTH_MAX)
    return Formula(text, body)


def _check(node: ast.expr, names: frozenset[str], text: str, depth: int) -> None:
    if depth == 0:
        raise InvalidFormula("vee.formula-too-long", length_max=LENGTH_MAX)
    if isinstance(node, ast.Name) and node.id not in names:
        raise InvalidFormula("vee.formula-name", name=node.id, names=", ".join(sorted(names)))
    for part in _parts(node, text):
        _check(part, names, text, depth - 1)


def _parts(node: ast.expr, text: str) -> list[ast.expr]:
    """Return the parts of a node, refusing what is not arithmetic."""
    match node:
        case ast.Name():
            return []
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number) if -NUMBER_MAX <= number <= NUMBER_MAX:
            return []
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return [left, right]
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            return [operand]
        case ast.BoolOp(_, values):
            return values
        case ast.Compare(left, ops, comparators) if all(type(op) in _COMPARE for op in ops):
            return [left, *comparators]
    raise InvalidFormula("vee.formula-syntax", text=text)


def _evaluate(node: ast.expr, named: Mapping[str, Array]) -> Any:
    match node:
        case ast.Name(name):
            return named[name]
        case ast.Constant(int() | float() as value):
            return np.float64(value)
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_number(left, named), _number(right, named))
        case ast.UnaryOp(op, operand):
            if isinstance(op, ast.USub):
                return -_number(operand, named)
            return ~np.asarray(_evaluate(operand, named), dtype=np.bool_)
        case ast.BoolOp(op, values):
            parts = [np.asarray(_evaluate(each, named), dtype=np.bool_) for each in values]
            joined = np.broadcast_arrays(*parts)
            return np.all(joined, axis=0) if isinstance(op, ast.And) else np.any(joined, axis=0)
    return _compare(node, named)


def _number(node: ast.expr, named: Mapping[str, Array]) -> Array:
    """Return a part of arithmetic: what is true counts 1, what is false 0."""
    return np.asarray(_evaluate(node, named), dtype=np.float64)


def _compare(node: ast.expr, named: Mapping[str, Array]) -> Any:
    assert isinstance(node, ast.Compare)
    values = [_evaluate(each, named) for each in (node.left, *node.comparators)]
    holds: Any = True
    for compare, (left, right) in zip(node.ops, pairwise(values), strict=True):
        is_unknown = np.isnan(left) | np.isnan(right)
        holds = holds & (_COMPARE[type(compare)](left, right) | is_unknown)
    return holds
