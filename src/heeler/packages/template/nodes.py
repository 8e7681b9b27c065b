"""The tree of a template. `str()` of a node is how Go writes it, which is what errors show of it.

`at` is where the node stands in the source, in characters; who tells it counts bytes, as Go does (`Source.place`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Source:
    """A text that was parsed, under the name that its errors tell."""

    name: str
    text: str

    def place(self, at: int) -> str:
        """`NAME:LINE:COLUMN`; lines count from 1, columns from 0 and in bytes."""
        start = self.text.rfind("\n", 0, at) + 1
        column = len(self.text[start:at].encode("utf-8", "surrogateescape"))
        return f"{self.name}:{self.text.count(chr(10), 0, at) + 1}:{column}"


@dataclass(slots=True, eq=False)
class Node:
    at: int


@dataclass(slots=True, eq=False)
class Text(Node):
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, eq=False)
class Block(Node):
    """What stands between two of the control words."""

    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


# --- operands


@dataclass(slots=True, eq=False)
class Identifier(Node):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass(slots=True, eq=False)
class Nil(Node):
    def __str__(self) -> str:
        return "nil"


@dataclass(slots=True, eq=False)
class Bool(Node):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(slots=True, eq=False)
class String(Node):
    value: str
    quoted: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(slots=True, eq=False)
class Number(Node):
    """A constant in all the types that can hold it; None for those that can't."""

    text: str
    integer: int | None = None
    unsigned: int | None = None
    floating: float | None = None
    complex: complex | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True, eq=False)
class Field(Node):
    """`.a.b`"""

    names: list[str]

    def __str__(self) -> str:
        return "." + ".".join(self.names)


@dataclass(slots=True, eq=False)
class Variable(Node):
    """`$x.a.b`; the first name is the variable's with its dollar."""

    names: list[str]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(slots=True, eq=False)
class Chain(Node):
    """`(…).a.b`, or a function's result's fields."""

    node: Node
    names: list[str]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return f"{inner}.{'.'.join(self.names)}"


@dataclass(slots=True, eq=False)
class Command(Node):
    arguments: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join([f"({node})" if isinstance(node, Pipe) else str(node) for node in self.arguments])


@dataclass(slots=True, eq=False)
class Pipe(Node):
    assigns: bool = False
    variables: list[Variable] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def __str__(self) -> str:
        commands = " | ".join(map(str, self.commands))
        if not self.variables:
            return commands
        return f"{', '.join(map(str, self.variables))} {'=' if self.assigns else ':='} {commands}"


# --- what is run


@dataclass(slots=True, eq=False)
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(slots=True, eq=False)
class Branch(Node):
    """`if`, `with` or `range`. The further branches of `else if` stand in `otherwise`, as a single Branch each."""

    word: str
    pipe: Pipe
    body: Block
    otherwise: Block | None = None

    def __str__(self) -> str:
        parts: list[str] = []
        branch: Branch = self
        ends = 0
        while True:  # chains of else may be long: no recursion over them
            parts.append(f"{{{{{branch.word} {branch.pipe}}}}}{branch.body}")
            ends += 1
            if branch.otherwise is None:
                break
            parts.append("{{else}}")
            nodes = branch.otherwise.nodes
            if len(nodes) != 1 or not isinstance(nodes[0], Branch):
                parts.append(str(branch.otherwise))
                break
            branch = nodes[0]
        return "".join(parts) + "{{end}}" * ends


@dataclass(slots=True, eq=False)
class Leave(Node):
    """`break` or `continue`."""

    word: str

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


@dataclass(slots=True, eq=False)
class Call(Node):
    """`template`: another template, run in place."""

    name: str
    pipe: Pipe | None
    quoted: str

    def __str__(self) -> str:
        return f"{{{{template {self.quoted}{f' {self.pipe}' if self.pipe else ''}}}}}"


@dataclass(slots=True, eq=False)
class Tree:
    """A template as it was parsed. `depth` is how deep its blocks and parentheses nest."""

    name: str
    source: Source
    root: Block
    depth: int

    def is_empty(self) -> bool:
        """Nothing but blanks and comments: such a one never replaces another of its name."""
        return all(isinstance(node, Text) and not node.text.strip(BLANKS) for node in self.root.nodes)


BLANKS = (
    " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go's strings.TrimSpace takes away."""
