"""Evaluate a compiled expression, and count what that costs.

The tree becomes closures once; each takes the frame of one evaluation. Errors are raised, and put off only where the language
says so: `&&`, `||` and the macros that are made of them may not need the part that failed.
Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#evaluation
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from heeler.base.aside import PATIENCE, Costly
from heeler.kinds.cel import costs
from heeler.kinds.cel.checked import Call, Fold, ListOf, Literal, Name, Node, Select, Struct, Tree
from heeler.kinds.cel.standard import Functions, key_of, optional_field, shown
from heeler.kinds.cel.values import (
    TYPE_NAMES,
    BudgetError,
    EvaluationError,
    Maybe,
    Message,
    Selectable,
    TypeValue,
    Uint,
    no_overload,
)

EXCEEDED = "operation cancelled: actual cost limit exceeded"
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
#: Names of types in the words of an error.
_GO = {int: "Int", Uint: "Uint", float: "Double", bool: "Bool", str: "String", bytes: "Bytes", type(None): "Null"}
_TYPES = frozenset(TYPE_NAMES.values()) | {"dyn"}


class _Failed:
    """A variable that has no value, and why: whoever reads it fails so."""

    __slots__ = ("error",)

    def __init__(self, error: EvaluationError) -> None:
        self.error = error


class Frame:
    """One evaluation: the variables, what it cost so far and what it may."""

    __slots__ = ("limit", "spent", "values")

    def __init__(self, values: Mapping[str, Any], limit: int) -> None:
        self.values, self.limit, self.spent = dict(values), limit, 0

    def spend(self, cost: int) -> None:
        """Raises EvaluationError beyond the limit, or Costly if that is only how long the loop waits."""
        self.spent += cost
        if self.spent > self.limit:
            if self.limit < costs.PER_CALL:
                raise Costly
            raise EvaluationError(EXCEEDED)


Step = Callable[[Frame], Any]


class Program:
    """An expression to be evaluated as often as you like."""

    def __init__(self, tree: Tree, functions: Functions) -> None:
        self._step = _Compiler(tree, functions).step(tree.root)

    def run(self, values: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value. Raises EvaluationError, and BudgetError if there is too little left of `budget`."""
        patience = PATIENCE.get()
        frame = Frame(values, costs.PER_CALL if patience is None else min(costs.PER_CALL, patience[0]))
        try:
            found = self._step(frame)
            frame.spend(0)
        except EvaluationError as error:
            if budget is not None:
                budget.take(frame.spent, error)
            raise
        except RecursionError:
            raise EvaluationError("expression is nested too deeply") from None
        finally:
            if patience is not None:
                patience[0] = max(0, patience[0] - frame.spent)
        if budget is not None:
            budget.take(frame.spent)
        return found


class Budget:
    """What several expressions may cost together."""

    def __init__(self, total: int = costs.RUNTIME_BUDGET) -> None:
        self.left = total

    def take(self, cost: int, cause: EvaluationError | None = None) -> None:
        """Raises BudgetError if there is less."""
        if cost > self.left:
            raise BudgetError(OUT_OF_BUDGET) from cause
        self.left -= cost


class _Compiler:
    def __init__(self, tree: Tree, functions: Functions) -> None:
        self._tree, self._functions = tree, functions

    def step(self, node: Node) -> Step:
        name = self._tree.names.get(node.id)
        if name is not None and isinstance(node, (Name, Select)) and not (isinstance(node, Select) and node.test):
            return _name(name)
        return _STEPS[type(node)](self, node)

    def literal(self, node: Literal) -> Step:
        value = Uint(node.value) if node.unsigned else node.value
        return lambda frame: value

    def name(self, node: Name) -> Step:
        return _name(node.name)

    def select(self, node: Select) -> Step:
        operand, field = self.step(node.operand), node.field
        if node.test:
            return lambda frame: _has(operand(frame), field)

        def select(frame: Frame) -> Any:
            given = operand(frame)
            frame.spent += costs.SELECT
            if type(given) is dict:
                try:
                    return given[field]
                except KeyError:
                    raise EvaluationError(f"no such key: {field}") from None
            return _selected(given, field)

        return select

    def call(self, node: Call) -> Step:
        special = _BY_NEED.get(node.function)
        if special is not None and node.target is None:
            return special([self.step(part) for part in node.arguments])
        function, parts = node.function, list(node.arguments)
        if node.target is not None:
            qualified = _dotted(node.target, function)
            if qualified is not None and qualified in self._functions and node.target.id not in self._tree.types:
                function = qualified
            else:
                parts.insert(0, node.target)
        if function == "_[_]":
            return self._index([self.step(part) for part in parts])
        return self._plain_call(function, [self.step(part) for part in parts])

    def _index(self, steps: list[Step]) -> Step:
        call = self._functions.call

        def index(frame: Frame) -> Any:
            given = [step(frame) for step in steps]
            frame.spend(costs.SELECT)
            if isinstance(given[0], (Message, Selectable)):
                return _selected(given[0], given[1])
            return call("_[_]", given)

        return index

    def _plain_call(self, function: str, steps: list[Step]) -> Step:
        call, cost = self._functions.call, costs.call_cost(function)

        def plain_call(frame: Frame) -> Any:
            given = [step(frame) for step in steps]
            result = call(function, given)
            frame.spend(cost(given, result) if cost else 1)
            return result

        return plain_call

    def list(self, node: ListOf) -> Step:
        steps, optional = [self.step(part) for part in node.elements], node.optional
        if steps and not optional and all(isinstance(part, Literal) for part in node.elements):
            constant = [step(Frame({}, 0)) for step in steps]
            return lambda frame: constant

        def make(frame: Frame) -> Any:
            out = []
            for at, step in enumerate(steps):
                value = step(frame)
                if at not in optional:
                    out.append(value)
                elif _maybe(value).present:
                    out.append(value.value)
            frame.spend(costs.LIST)
            return out

        return make

    def struct(self, node: Struct) -> Step:
        if node.message:
            return self._message(node)
        rows = [
            (self.step(row.key), self.step(row.value), row.optional)
            for row in node.entries
            if isinstance(row.key, Node)
        ]

        def make(frame: Frame) -> Any:
            out: dict[Any, Any] = {}
            for key_step, value_step, optional in rows:
                key, value = key_of(key_step(frame)), value_step(frame)
                if not isinstance(key, (str, int)):
                    raise EvaluationError("unsupported key type")
                if key in out:
                    raise EvaluationError(f"Failed with repeated key [{shown(key)}]")
                if not optional:
                    out[key] = value
                elif _maybe(value).present:
                    out[key] = value.value
            frame.spend(costs.MAP)
            return out

        return make

    def _message(self, node: Struct) -> Step:
        rows = [(str(row.key), self.step(row.value), row.optional) for row in node.entries]
        name = self._tree.names.get(node.id, node.message)

        def make(frame: Frame) -> Any:
            fields: dict[str, Any] = {}
            for key, step, optional in rows:
                value = step(frame)
                if not optional:
                    fields[key] = value
                elif _maybe(value).present:
                    fields[key] = value.value
            frame.spend(costs.STRUCT)
            return Message(name, fields)

        return make

    def fold(self, node: Fold) -> Step:
        source, start, result = self.step(node.range), self.step(node.start), self.step(node.result)
        condition, step = self.step(node.condition), self._grow(node) or self.step(node.step)
        first, second, total = node.variable, node.second, node.result_name

        def fold(frame: Frame) -> Any:
            given, values = source(frame), frame.values
            if not isinstance(given, (list, dict)):
                raise EvaluationError(f"got 'types.{_GO.get(type(given), 'Value')}', expected iterable type")
            hidden = {name: values[name] for name in (first, second, total) if name in values}
            try:
                values[total] = _tried(start, frame)
                rows = (given.items() if isinstance(given, dict) else enumerate(given)) if second else given
                for row in rows:
                    if second:
                        values[first], values[second] = row
                    else:
                        values[first] = row
                    if condition(frame) is not True:
                        break
                    values[total] = _tried(step, frame)
                for name in (first, second):
                    values.pop(name, None)
                    if name in hidden:
                        values[name] = hidden[name]
                return result(frame)
            finally:
                for name in (first, second, total):
                    values.pop(name, None)
                values.update(hidden)

        return fold

    def _grow(self, node: Fold) -> Step | None:
        """The step of `map` and `filter`, adding to the list that the fold itself made, instead of to a copy of it."""
        test, grown = None, node.step
        if isinstance(grown, Call) and grown.function == "_?_:_" and _is_name(grown.arguments[2], node.result_name):
            test, grown = self.step(grown.arguments[0]), grown.arguments[1]
        if not (isinstance(node.start, ListOf) and isinstance(grown, Call) and grown.function == "_+_"):
            return None
        left, right = grown.arguments
        if not (_is_name(left, node.result_name) and isinstance(right, ListOf) and not right.optional):
            return None
        total, parts = node.result_name, [self.step(part) for part in right.elements]

        def grow(frame: Frame) -> Any:
            whole = frame.values[total]
            if type(whole) is _Failed:
                raise whole.error
            if test is not None:
                chosen = test(frame)
                if not isinstance(chosen, bool):
                    raise no_overload()
                if not chosen:
                    frame.spent += costs.SELECT
                    return whole
            whole.extend([part(frame) for part in parts])
            frame.spend(costs.SELECT + costs.LIST + 1)
            return whole

        return grow


def _is_name(node: Node, name: str) -> bool:
    return isinstance(node, Name) and node.name == name


def _dotted(node: Node, last: str) -> str | None:
    """`a.b.last` for the names a.b."""
    if isinstance(node, Name):
        return f"{node.name}.{last}"
    if isinstance(node, Select) and not node.test:
        return _dotted(node.operand, f"{node.field}.{last}")
    return None


def _tried(step: Step, frame: Frame) -> Any:
    try:
        return step(frame)
    except EvaluationError as error:
        if frame.spent > frame.limit or isinstance(error, BudgetError):
            raise
        return _Failed(error)


def _name(name: str) -> Step:
    def read(frame: Frame) -> Any:
        frame.spent += costs.SELECT
        try:
            value = frame.values[name]
        except KeyError:
            if name in _TYPES:
                return TypeValue(name)
            raise EvaluationError(f"no such attribute(s): {name}") from None
        if type(value) is _Failed:
            raise value.error
        return value

    return read


def _selected(given: Any, field: str) -> Any:
    if isinstance(given, dict):
        if field in given:
            return given[field]
        raise EvaluationError(f"no such key: {field}")
    if isinstance(given, Message):
        if field in given.fields:
            return given.fields[field]
        raise EvaluationError(f"no such key: {field}")
    if isinstance(given, Maybe):
        return optional_field(given, field)
    if isinstance(given, Selectable):
        return given.select(field)
    raise EvaluationError(f"no such key: {field}")


def _has(given: Any, field: str) -> bool:
    if isinstance(given, dict):
        return field in given
    if isinstance(given, Message):
        return field in given.fields
    if isinstance(given, Maybe):
        return given.present and optional_field(given.value, field).present
    return isinstance(given, Selectable) and given.has(field)


def _maybe(value: Any) -> Maybe:
    if not isinstance(value, Maybe):
        raise no_overload()
    return value


# What evaluates its arguments by need.


def _decided_by(verdict: bool) -> Callable[[list[Step]], Step]:
    """`||` (True decides) and `&&` (False decides): one side that decides makes up for an error of the other."""

    def make(steps: list[Step]) -> Step:
        left, right = steps

        def decide(frame: Frame) -> Any:
            failed: EvaluationError | None = None
            for step in (left, right):
                try:
                    value = step(frame)
                except EvaluationError as error:
                    if frame.spent > frame.limit or isinstance(error, BudgetError):
                        raise
                    failed = failed or error
                    continue
                if value is verdict:
                    return verdict
                if not isinstance(value, bool):
                    failed = failed or no_overload()
            if failed is not None:
                raise failed
            return not verdict

        return decide

    return make


def _conditional(steps: list[Step]) -> Step:
    test, then, otherwise = steps

    def choose(frame: Frame) -> Any:
        chosen = test(frame)
        if not isinstance(chosen, bool):
            raise no_overload()
        return then(frame) if chosen else otherwise(frame)

    return choose


def _not_strictly_false(steps: list[Step]) -> Step:
    (step,) = steps

    def check(frame: Frame) -> bool:
        value = _tried(step, frame)
        frame.spend(1)
        return value is not False

    return check


_BY_NEED: dict[str, Callable[[list[Step]], Step]] = {
    "_&&_": _decided_by(False),
    "_||_": _decided_by(True),
    "_?_:_": _conditional,
    "@not_strictly_false": _not_strictly_false,
    "__not_strictly_false__": _not_strictly_false,
}

_STEPS: dict[type[Node], Callable[[_Compiler, Any], Step]] = {
    Literal: _Compiler.literal,
    Name: _Compiler.name,
    Select: _Compiler.select,
    Call: _Compiler.call,
    ListOf: _Compiler.list,
    Struct: _Compiler.struct,
    Fold: _Compiler.fold,
}
