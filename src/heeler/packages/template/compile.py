"""Trees compiled to Python closures.

A value's closure takes the frame and the dot, `(frame, dot) -> value`; in a pipeline's later stages also the value so far.
A statement's gives None, or `BREAK` or `CONTINUE` on its way to the loop. Each value's closure notes its node in the frame:
that is where an error points, and Go's errors point at the last node that was looked at.

Variables live in slots of the frame, found out here: a name's scope in the text is its scope at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from heeler.packages.template.builtins import BUILTINS
from heeler.packages.template.execution import (
    INVALID,
    LARGE,
    MAX_TEMPLATE_DEPTH,
    SIZED,
    Frame,
    Run,
    RunFunction,
    assignable,
    indirect_text,
    is_nillable,
    member_type,
    methods_of,
    missing_key,
    printed,
    truth,
    value_text,
    zero,
)
from heeler.packages.template.formatting import quote
from heeler.packages.template.nodes import (
    Action,
    Block,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Leave,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Text,
    Tree,
    Variable,
)
from heeler.packages.template.stack import in_thread, room, with_room
from heeler.packages.template.values import Function, GoError, Sized, Slice, Struct, Uint8, sorted_keys, type_name

Value = Callable[..., Any]
"""`(frame, dot)`, and `(frame, dot, final)` where a value is piped in."""
Statement = Callable[[Frame, Any], Any]

BREAK: Final = "break"
CONTINUE: Final = "continue"

_COUNTED: Final = frozenset((str, list, Slice))
"""What a function may give that can double from call to call."""

_UNSET: Final = object()
_START: Final = object()
_FRAMES_A_LEVEL: Final = 6
_FRAMES_A_CALL: Final = 16
"""Python's frames for a level of blocks and parentheses, and for what lies between two templates."""

_GO_TEMPLATE_DEPTH: Final = 100_000

_CLASSES: Final[Mapping[str, type]] = {
    "string": str,
    "int": int,
    "bool": bool,
    "float64": float,
    "map[string]interface {}": dict,
    "[]interface {}": list,
    **SIZED,
}
"""What needs no further look when it is handed to a function that wants this type."""


class Compiled:
    """A template that can run. It is compiled when it runs first, and may be shared by any who have the same functions."""

    __slots__ = ("body", "frames", "functions", "size", "slots", "tree")

    def __init__(self, tree: Tree, functions: Mapping[str, Function]) -> None:
        self.tree = tree
        self.functions = functions
        self.body: Statement | None = None
        self.slots = 0
        self.size = _text_size(tree.root)
        self.frames = _FRAMES_A_CALL + tree.depth * _FRAMES_A_LEVEL

    def execute(self, run: Run, dot: Any, out: list[str]) -> None:
        """Run the template: what it writes goes to `out`. Raises ExecError."""
        body = self.body or self._compile()
        frame = Frame(run, self.tree, self.tree.root, [dot, *[_UNSET] * self.slots], out)
        frame.step(self.size)
        before = run.stack_room
        run.stack_room = before - self.frames
        try:
            if run.stack_room < 0:
                in_thread(lambda: self._afresh(body, frame, dot))
            else:
                body(frame, dot)
        finally:
            run.stack_room = before

    def _afresh(self, body: Statement, frame: Frame, dot: Any) -> None:
        frame.run.stack_room = room() - self.frames
        body(frame, dot)

    def _compile(self) -> Statement:
        compiler = _Compiler(self.functions)
        self.body = with_room(self.tree.depth * _FRAMES_A_LEVEL + 20, lambda: compiler.block(self.tree.root))
        self.slots = compiler.slots
        return self.body


def _text_size(block: Block | None) -> int:
    """Characters of text in a block."""
    size, blocks = 0, [block]
    while blocks:
        for node in (blocks.pop() or Block(0)).nodes:
            if isinstance(node, Text):
                size += len(node.text)
            elif isinstance(node, Branch):
                blocks += [node.body, node.otherwise]
    return size


class _Compiler:
    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.slots = 0
        # Name, slot, and the slot that holds the type of the elements it takes in a loop, for errors.
        self.scope: list[tuple[str, int, int | None]] = [("$", 0, None)]
        self.dot_types: int | None = None

    def slot(self) -> int:
        self.slots += 1
        return self.slots

    def find(self, name: str) -> tuple[int, int | None] | None:
        for known, slot, types in reversed(self.scope):
            if known == name:
                return slot, types
        return None

    # --- statements

    def block(self, block: Block) -> Statement:
        statements = [self.statement(node) for node in block.nodes]
        if len(statements) == 1:
            return statements[0]

        def run(frame: Frame, dot: Any) -> Any:
            for statement in statements:
                if (signal := statement(frame, dot)) is not None:
                    return signal
            return None

        return run

    def statement(self, node: Node) -> Statement:
        match node:
            case Text():
                text = node.text

                def write(frame: Frame, dot: Any) -> None:
                    frame.out.append(text)

                return write
            case Action():
                return self.action(node)
            case Branch(word="range"):
                return self.range(node)
            case Branch():
                return self.branch(node)
            case Call():
                return self.call_template(node)
            case Leave():
                signal = BREAK if node.word == "break" else CONTINUE
                return lambda frame, dot: signal
        raise TypeError(f"no statement: {node!r}")

    def action(self, node: Action) -> Statement:
        evaluate = self.pipeline(node.pipe)
        if node.pipe.variables:

            def assign(frame: Frame, dot: Any) -> None:
                evaluate(frame, dot)

            return assign

        def write(frame: Frame, dot: Any) -> None:
            frame.write(printed(frame, node, evaluate(frame, dot)))

        return write

    def branch(self, node: Branch) -> Statement:
        """`if` or `with` and all that follow by `else if` or `else with`: the first true one runs."""
        mark = len(self.scope)
        sets_dot = node.word == "with"
        choices: list[tuple[Value, Statement]] = []
        otherwise: Statement | None = None
        while True:
            condition = self.pipeline(node.pipe)
            inner = len(self.scope)
            choices.append((condition, self.body(node.body, None if sets_dot else self.dot_types)))
            del self.scope[inner:]  # what a branch declares isn't declared in the others
            if node.otherwise is None:
                break
            nodes = node.otherwise.nodes
            following = nodes[0] if len(nodes) == 1 else None
            if not isinstance(following, Branch) or following.word != node.word:
                otherwise = self.block(node.otherwise)
                break
            node = following
        del self.scope[mark:]

        def run(frame: Frame, dot: Any) -> Any:
            for condition, body in choices:
                value = condition(frame, dot)
                if truth(value):
                    return body(frame, value if sets_dot else dot)
            return None if otherwise is None else otherwise(frame, dot)

        return run

    def body(self, block: Block, dot_types: int | None) -> Statement:
        outer, self.dot_types = self.dot_types, dot_types
        statement = self.block(block)
        self.dot_types = outer
        return statement

    def range(self, node: Branch) -> Statement:
        mark = len(self.scope)
        pipe = node.pipe
        types = self.slot()
        evaluate = self.pipeline(pipe, types)
        slots = [found[0] if (found := self.find(variable.names[0])) else 0 for variable in pipe.variables]
        index_slot = slots[0] if len(slots) > 1 else None
        element_slot = slots[-1] if slots else None
        inner = len(self.scope)
        body = self.body(node.body, types)
        del self.scope[inner:]
        otherwise = self.block(node.otherwise) if node.otherwise is not None else None
        del self.scope[mark:]
        size = _text_size(node.body)

        def run(frame: Frame, dot: Any) -> Any:
            value = evaluate(frame, dot)
            variables = frame.variables
            empty = True
            for index, element in _elements(frame, value, types, index_slot is not None):
                empty = False
                frame.step(size)
                if element_slot is not None:
                    variables[element_slot] = element
                    if index_slot is not None:
                        variables[index_slot] = index
                signal = body(frame, element)
                if signal is BREAK:
                    break
            if empty and otherwise is not None:
                return otherwise(frame, dot)
            return None

        return run

    def call_template(self, node: Call) -> Statement:
        evaluate = self.pipeline(node.pipe) if node.pipe else None
        name = node.name

        def run(frame: Frame, dot: Any) -> None:
            frame.node = node
            run = frame.run
            template = run.templates.get(name)
            if template is None:
                raise frame.fault(f"template {quote(name)} not defined")
            if run.depth >= MAX_TEMPLATE_DEPTH:
                raise frame.fault(f"exceeded maximum template depth ({_GO_TEMPLATE_DEPTH})")
            value = INVALID if evaluate is None else evaluate(frame, dot)
            run.depth += 1
            try:
                template.execute(run, value, frame.out)
            finally:
                run.depth -= 1

        return run

    # --- pipelines

    def pipeline(self, pipe: Pipe, types: int | None = None) -> Value:
        """A pipeline's value, which is never an interface's nil; variables that it declares are set.

        `types` is the slot for the type of the elements that these take, if this is a loop's pipeline.
        """
        first = self.command(pipe.commands[0], final=False)
        stages = [self.command(command, final=True) for command in pipe.commands[1:]]
        if stages:

            def evaluate(frame: Frame, dot: Any) -> Any:
                frame.node = pipe
                value = first(frame, dot)
                for stage in stages:
                    value = stage(frame, dot, INVALID if value is None else value)
                return INVALID if value is None else value

        else:

            def evaluate(frame: Frame, dot: Any) -> Any:
                frame.node = pipe
                value = first(frame, dot)
                return INVALID if value is None else value

        return self.declaring(pipe, evaluate, types) if pipe.variables else evaluate

    def declaring(self, pipe: Pipe, evaluate: Value, types: int | None) -> Value:
        slots: list[int] = []
        unknown: str | None = None
        for position, variable in enumerate(pipe.variables, 1):
            name = variable.names[0]
            if not pipe.assigns:
                slots.append(self.slot())
                self.scope.append((name, slots[-1], types if position == len(pipe.variables) else None))
            elif found := self.find(name):
                slots.append(found[0])
            elif unknown is None:
                unknown = name
                break

        def run(frame: Frame, dot: Any) -> Any:
            value = evaluate(frame, dot)
            for slot in slots:
                frame.variables[slot] = value
            if unknown is not None:
                raise frame.fault(f"undefined variable: {unknown}")
            return value

        return run

    def command(self, command: Command, *, final: bool) -> Value:
        """A command's value. `final`: it takes what is piped into it as its last argument."""
        arguments = command.arguments
        first = arguments[0]
        has_arguments = len(arguments) > 1 or final
        match first:
            case Identifier():
                return self.function(first, command, arguments[1:], final)
            case Field() | Chain() | Variable():
                rest = [self.argument(node) for node in arguments[1:]]
                return self.fields(first, rest, final)
            case Pipe():
                if has_arguments:
                    return _raising(None, f"can't give argument to non-function {first}")
                return self.pipeline(first)
            case Nil() if not has_arguments:
                return _raising(first, "nil is not a command")
        if has_arguments:
            return _raising(first, f"can't give argument to non-function {first}")
        return self.constant(first)

    def constant(self, node: Node) -> Value:
        """The dot or a constant in the type that it has by itself."""
        match node:
            case Dot():

                def dot_itself(frame: Frame, dot: Any) -> Any:
                    frame.node = node
                    return dot

                return dot_itself
            case Bool() | String():
                value: Any = node.value
            case Number():
                value = ideal(node)
                if value is None:
                    return _raising(node, f"{node.text} overflows int")
            case _:
                raise TypeError(f"no constant: {node!r}")

        def run(frame: Frame, dot: Any) -> Any:
            frame.node = node
            return value

        return run

    # --- fields and variables

    def variable(self, node: Variable) -> Value:
        found = self.find(node.names[0])
        message = f"undefined variable: {node.names[0]}"
        if found is None:
            return _raising(node, message)
        slot = found[0]

        def run(frame: Frame, dot: Any) -> Any:
            frame.node = node
            value = frame.variables[slot]
            if value is _UNSET:
                raise frame.fault(message)
            return value

        return run

    def fields(self, node: Field | Chain | Variable, arguments: list[_Argument], final: bool) -> Value:
        """A chain of fields, the last of which may be a method that takes the arguments."""
        types: int | None = None
        start: Value | None = None
        names = node.names
        match node:
            case Field():
                types = self.dot_types
            case Chain():
                start = self.operand(node.node)
            case Variable():
                start = self.variable(node)
                names = names[1:]
                if not names:
                    if arguments or final:
                        return _raising(node, f"can't give argument to non-function {node}", start)
                    return start
                found = self.find(node.names[0])
                types = found[1] if found else None
        site = _Site(node, types, arguments, final)
        if not arguments and not final:
            return _fields(node, start, names, site)
        return _fields_with_arguments(node, start, names, site)

    # --- functions

    def function(self, node: Identifier, command: Node, arguments: list[Node], final: bool) -> Value:
        function = self.functions[node.name]
        operands = [self.argument(argument) for argument in arguments]
        if function is BUILTINS["and"] or function is BUILTINS["or"]:
            return _short_circuit(node, operands, final, until=node.name == "or")
        if function is BUILTINS["call"]:
            return _call_of_value(node, command, operands, final)
        return _call(function, node, command, node.name, operands, final)

    def argument(self, node: Node) -> _Argument:
        if isinstance(node, (Nil, Bool, Number, String)):
            return _Argument(node, None)
        return _Argument(node, self.operand(node))

    def operand(self, node: Node) -> Value:
        """The value of what stands as an argument, or before a chain of fields."""
        match node:
            case Identifier():
                return self.function(node, node, [], final=False)
            case Field() | Chain() | Variable():
                return self.fields(node, [], final=False)
            case Pipe():
                return self.pipeline(node)
        return self.constant(node)


# --- closures


def _raising(node: Node | None, message: str, first: Value | None = None) -> Value:
    """A closure that fails, at `node` or where the last error would have been. `first` is looked at before."""

    def run(frame: Frame, dot: Any, final: Any = None) -> Any:
        if first is not None:
            first(frame, dot)
        if node is not None:
            frame.node = node
        raise frame.fault(message)

    return run


def ideal(node: Number) -> Any:
    """A number constant in the type that it has where none is asked for; None if no int holds it."""
    if node.complex is not None:
        return node.complex
    text = node.text
    prefixed = text.lstrip("+-")[:2].lower() == "0x" and "p" not in text.lower()
    if node.floating is not None and not prefixed and text[0] != "'" and any(char in ".eEpP" for char in text):
        return node.floating
    return node.integer


class _Argument:
    """What stands as an argument: a constant, or an operand's closure."""

    __slots__ = ("evaluate", "node")

    def __init__(self, node: Node, evaluate: Value | None) -> None:
        self.node = node
        self.evaluate = evaluate

    def typed(self, go_type: str) -> Value:
        """The argument as a parameter of the type takes it."""
        if self.evaluate is not None:
            return _converted(self.evaluate, go_type)
        node = self.node
        if isinstance(node, Nil):
            if go_type == "reflect.Value":
                return _constant(node, INVALID)
            if is_nillable(go_type):
                return _constant(node, zero(go_type))
            return _raising(node, f"cannot assign nil to {go_type}")
        if go_type in ("interface {}", "reflect.Value"):
            value = ideal(node) if isinstance(node, Number) else node.value  # type: ignore[attr-defined]
            return _raising(node, f"{node} overflows int") if value is None else _constant(node, value)
        return _typed_constant(node, go_type)


def _typed_constant(node: Node, go_type: str) -> Value:
    """A constant for a parameter of a basic type."""
    wanted = "integer"
    value: Any = None
    if go_type in ("string", "bool"):
        wanted = go_type
        if isinstance(node, String if go_type == "string" else Bool):
            value = node.value
    elif go_type in ("float64", "float32"):
        wanted = "float"
        value = node.floating if isinstance(node, Number) else None
    elif go_type == "complex128":
        wanted = "complex"
        value = node.complex if isinstance(node, Number) else None
    elif go_type == "int":
        value = node.integer if isinstance(node, Number) else None
    elif go_type in SIZED:
        kind = SIZED[go_type]
        wanted = "integer" if kind.signed else "unsigned integer"
        if isinstance(node, Number):
            number = node.integer if kind.signed else node.unsigned
            value = None if number is None else kind.wrapped(number)
    else:
        return _raising(node, f"can't handle {node} for arg of type {go_type}")
    return _raising(node, f"expected {wanted}; found {node}") if value is None else _constant(node, value)


def _constant(node: Node, value: Any) -> Value:
    def run(frame: Frame, dot: Any) -> Any:
        frame.node = node
        return value

    return run


def _converted(evaluate: Value, go_type: str) -> Value:
    """The closure's value, checked to be of a parameter's type."""
    if go_type == "reflect.Value":
        return evaluate
    if go_type == "interface {}":

        def run(frame: Frame, dot: Any) -> Any:
            value = evaluate(frame, dot)
            return None if value is INVALID else value

        return run
    wanted = _CLASSES.get(go_type)

    def checked(frame: Frame, dot: Any) -> Any:
        value = evaluate(frame, dot)
        return value if value.__class__ is wanted else _convert(frame, value, go_type)

    return checked


def _convert(frame: Frame, value: Any, go_type: str) -> Any:
    """A value for a parameter of the type, or Go's error."""
    if value is INVALID:
        if go_type == "reflect.Value":
            return value
        if is_nillable(go_type):
            return zero(go_type)
        raise frame.fault(f"invalid value; expected {go_type}")
    if go_type in ("interface {}", "reflect.Value"):
        return value
    if value is None:
        raise frame.fault(f"wrong type for value; expected {go_type}; got interface {{}}")
    if assignable(value, go_type) or type_name(value) == f"*{go_type}":
        return value
    raise frame.fault(f"wrong type for value; expected {go_type}; got {type_name(value)}")


def _call(
    function: Function, node: Node | None, command: Node, name: str, arguments: list[_Argument], final: bool
) -> Value:
    """A call. `node` is where errors of counting point, `command` where the function's own do."""
    fault = _count_fault(function, name, len(arguments), final)
    if fault:
        return _raising(node, fault)
    parameters = function.parameters
    count = len(arguments) + final
    types = [parameters[min(index, len(parameters) - 1)] for index in range(count)]
    typed = [argument.typed(go_type) for argument, go_type in zip(arguments, types)]
    invoke, with_run = function.call, isinstance(function, RunFunction)

    def failed(frame: Frame, error: Exception) -> Exception:
        frame.node = command
        told = "value nests too deeply" if isinstance(error, RecursionError) else error
        return frame.fault(f"error calling {name}: {told}")

    if final:
        final_type = types[-1]

        def run_final(frame: Frame, dot: Any, final: Any) -> Any:
            if node is not None:
                frame.node = node
            values = [evaluate(frame, dot) for evaluate in typed]
            values.append(
                None if final is INVALID and final_type == "interface {}" else _convert(frame, final, final_type)
            )
            try:
                made = invoke(frame.run, *values) if with_run else invoke(*values)
            except (GoError, RecursionError) as error:
                raise failed(frame, error) from error
            if type(made) in _COUNTED and len(made) > LARGE:
                frame.count(made)
            return made

        return run_final
    if with_run or node is None or len(typed) not in (1, 2):

        def run(frame: Frame, dot: Any) -> Any:
            if node is not None:
                frame.node = node
            values = [evaluate(frame, dot) for evaluate in typed]
            try:
                made = invoke(frame.run, *values) if with_run else invoke(*values)
            except (GoError, RecursionError) as error:
                raise failed(frame, error) from error
            if type(made) in _COUNTED and len(made) > LARGE:
                frame.count(made)
            return made

        return run
    if len(typed) == 1:
        (single,) = typed

        def run_one(frame: Frame, dot: Any) -> Any:
            frame.node = node
            value = single(frame, dot)
            try:
                made = invoke(value)
            except (GoError, RecursionError) as error:
                raise failed(frame, error) from error
            if type(made) in _COUNTED and len(made) > LARGE:
                frame.count(made)
            return made

        return run_one
    left, right = typed

    def run_two(frame: Frame, dot: Any) -> Any:
        frame.node = node
        first, second = left(frame, dot), right(frame, dot)
        try:
            made = invoke(first, second)
        except (GoError, RecursionError) as error:
            raise failed(frame, error) from error
        if type(made) in _COUNTED and len(made) > LARGE:
            frame.count(made)
        return made

    return run_two


def _count_fault(function: Function, name: str, given: int, final: bool, *, hidden: int = 0) -> str | None:
    """What is wrong with the number of arguments. `hidden` of them aren't told: a method's receiver."""
    given -= hidden
    count, wanted = given + final, len(function.parameters) - hidden
    if function.variadic:
        if count < wanted - 1:
            return f"wrong number of args for {name}: want at least {wanted - 1} got {given}"
    elif count != wanted:
        return f"wrong number of args for {name}: want {wanted} got {count}"
    return None


def _short_circuit(node: Identifier, arguments: list[_Argument], final: bool, *, until: bool) -> Value:
    """`and` and `or`: the first argument that decides, or the last; those behind it aren't looked at."""
    if not arguments and not final:
        return _raising(node, f"wrong number of args for {node.name}: want at least 1 got 0")
    operands = [argument.typed("reflect.Value") for argument in arguments]

    def run(frame: Frame, dot: Any, last: Any = None) -> Any:
        frame.node = node
        value: Any = INVALID
        for operand in operands:
            value = operand(frame, dot)
            if truth(value) is until:
                return value
        return last if final else value

    return run


def _call_of_value(node: Identifier, command: Node, arguments: list[_Argument], final: bool) -> Value:
    """`call`: a function that is a value, with its arguments. Templates hardly ever meet one."""
    fault = _count_fault(BUILTINS["call"], "call", len(arguments), final)
    if fault:
        return _raising(node, fault)
    operands = [argument.typed("reflect.Value") for argument in arguments]
    shown_name = str(arguments[0].node) if arguments else None

    def run(frame: Frame, dot: Any, last: Any = None) -> Any:
        frame.node = node
        values = [operand(frame, dot) for operand in operands]
        if final:
            values.append(last)
        function = values[0]
        if function is None or function is INVALID:
            message = "call of nil"
        elif not isinstance(function, Function):
            message = f"non-function {shown_name or _go_value_text(function)} of type {type_name(function)}"
        else:
            count = len(values) - 1
            wanted = len(function.parameters) - function.variadic
            if count == wanted or (function.variadic and count >= wanted):
                try:
                    return function.call(*[None if value is INVALID else value for value in values[1:]])
                except GoError as error:
                    message = str(error)
            else:
                least = "at least " if function.variadic else ""
                message = f"wrong number of args for {shown_name}: got {count} want {least}{wanted}"
        frame.node = command
        raise frame.fault(f"error calling call: {message}") from GoError(message)

    return run


def _go_value_text(value: Any) -> str:
    """reflect.Value's own form: the text of a string, the type of anything else."""
    return value if isinstance(value, str) else f"<{type_name(value)} Value>"


# --- fields


class _Site:
    """A chain of fields in the text: what is asked of it when a step isn't the plain one."""

    __slots__ = ("arguments", "calls", "final", "node", "types")

    def __init__(self, node: Node, types: int | None, arguments: list[_Argument], final: bool) -> None:
        self.node = node
        self.types = types
        self.arguments = arguments
        self.final = final
        self.calls: dict[int, tuple[Function, Value]] = {}

    def type_of(self, frame: Frame, holder: Any, value: Any) -> str:
        """The type that errors tell of a value: an interface's if it came out of a map or list of such."""
        if holder is not _START:
            return member_type(holder, value)
        if self.types is not None and isinstance(known := frame.variables[self.types], str):
            return known
        return "interface {}" if value is None else type_name(value)

    def step(self, frame: Frame, dot: Any, receiver: Any, name: str, holder: Any, last: bool, final: Any) -> Any:
        """`.name` of the receiver: a method, a struct's field or a map's element."""
        if receiver is INVALID:
            if frame.run.missing_key_error:
                raise frame.fault(f"nil data; no entry for key {quote(name)}")
            return INVALID
        if receiver is None:
            raise frame.fault(f"nil pointer evaluating {self.type_of(frame, holder, None)}.{name}")
        has_arguments = last and bool(self.arguments or self.final)
        methods = methods_of(receiver)
        if methods and name in methods:
            return self.call(frame, dot, methods[name], receiver, name, last, final)
        if isinstance(receiver, Struct):
            if name in receiver.go_fields:
                if name[0].islower():
                    raise frame.fault(f"{name} is an unexported field of struct type {receiver.go_type}")
                if has_arguments:
                    raise frame.fault(f"{name} has arguments but cannot be invoked as function")
                return getattr(receiver, receiver.go_fields[name])
        elif isinstance(receiver, dict):
            if has_arguments:
                raise frame.fault(f"{name} is not a method but has arguments")
            if frame.run.watch is not None:
                frame.run.watch(frame, self.node, receiver, name)
            return receiver[name] if name in receiver else missing_key(frame, receiver, name)
        raise frame.fault(f"can't evaluate field {name} in type {self.type_of(frame, holder, receiver)}")

    def call(self, frame: Frame, dot: Any, method: Function, receiver: Any, name: str, last: bool, final: Any) -> Any:
        """A method with the arguments that stand in the text, if it is the chain's last field."""
        final_given = last and self.final
        key = id(method) if last else -id(method)
        known = self.calls.get(key)
        if known is None or known[0] is not method:
            # The receiver goes first, as it is.
            bound = Function(
                name, ("reflect.Value", *method.parameters[1:]), method.variadic, method.result, method.call
            )
            own = _Argument(self.node, lambda frame, dot: frame.receiver)
            arguments = [own, *self.arguments] if last else [own]
            fault = _count_fault(bound, name, len(arguments), final_given, hidden=1)
            if fault:
                closure = _raising(None, fault)
            else:
                closure = _call(bound, None, self.node, name, arguments, final_given)
            known = self.calls[key] = (method, closure)
        frame.receiver = receiver
        return known[1](frame, dot, final) if final_given else known[1](frame, dot)


def _fields(node: Node, start: Value | None, names: Iterable[str], site: _Site) -> Value:
    step = site.step
    last = tuple(names)[-1]
    if start is None:

        def of_dot(frame: Frame, dot: Any) -> Any:
            frame.node = node
            value, holder = dot, _START
            for name in names:
                if value.__class__ is dict and name in value:
                    holder, value = value, value[name]
                else:
                    holder, value = value, step(frame, dot, value, name, holder, name is last, None)
            return value

        return of_dot

    def of_start(frame: Frame, dot: Any) -> Any:
        frame.node = node
        value, holder = start(frame, dot), _START
        for name in names:
            if value.__class__ is dict and name in value:
                holder, value = value, value[name]
            else:
                holder, value = value, step(frame, dot, value, name, holder, name is last, None)
        return value

    return of_start


def _fields_with_arguments(node: Node, start: Value | None, names: list[str], site: _Site) -> Value:
    ahead, last = names[:-1], names[-1]

    def run(frame: Frame, dot: Any, final: Any = None) -> Any:
        frame.node = node
        value = dot if start is None else start(frame, dot)
        holder: Any = _START
        for name in ahead:
            holder, value = value, site.step(frame, dot, value, name, holder, False, None)
        return site.step(frame, dot, value, last, holder, True, final)

    return run


# --- loops


def _elements(frame: Frame, value: Any, types: int, pairs: bool) -> Iterable[tuple[Any, Any]]:
    """Index and element of all that `range` runs over. Their type, as errors tell it, goes into the slot `types`."""
    variables = frame.variables
    if value is INVALID:
        return ()
    if isinstance(value, dict):
        variables[types] = member_type(value, None)
        return [(key, value[key]) for key in sorted_keys(value)]
    if isinstance(value, list):
        variables[types] = member_type(value, None)
        return enumerate(list(value))
    if isinstance(value, bytes):
        variables[types] = "uint8"
        return enumerate(map(Uint8, value))
    if isinstance(value, int) and not isinstance(value, bool):
        if pairs:
            raise frame.fault(f"can't use {value_text(value)} to iterate over more than one variable")
        variables[types] = type_name(value)
        if isinstance(value, Sized):
            kind = type(value)
            return ((kind(number), kind(number)) for number in range(value))
        return ((number, number) for number in range(value))
    raise frame.fault(f"range can't iterate over {indirect_text(value)}")
