"""Random templates, formats and values through helm and through Heeler: what differs is a fault of Heeler's.

    HELM=/path/to/helm python -m tests.peers.helm_fuzz [--kinds programs,yaml] [--cases 200] [--seed 1] [--show 5]

`programs` are templates that nest actions, pipelines and calls at random; `broken` are sound templates with characters put in,
taken out or moved (parse errors); `formats` are verbs, flags and widths of `printf` on all sorts of values; `values` are values
files, flags and a subchart's defaults over each other; `yaml` are documents in all of YAML's styles, read and written again.
Every case is a function of the seed and its number. Prints what differs and counts; exits with 1 if anything does. Not part of
`make test`: see `make peers`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.charts_differential import Answer, Difference, ask_heeler, ask_helm, shown
from tests.reference import helm_replay

CHART = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
VALUES = """\
s: text
f: 3.5
i: 7
n: null
l: [a, b, 1, null]
m: {k: v, n: null, d: {x: 1}}
t: true
e: []
em: {}
es: ""
z: 0
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A chart's files (in `app/`, and beside it), and how it is rendered."""

    files: dict[str, str]
    argv: tuple[str, ...] = ("template", "rel", "app")


# ---- programs --------------------------------------------------------------------------------------------------------

FIELDS = """
    .Values.s .Values.f .Values.i .Values.n .Values.l .Values.m .Values.m.d.x .Values.t .Values.e .Values.em
    .Values.es .Values .Values.absent .Values.absent.x .Values.m.q .Values.s.x . $ .Release.Name .Chart.Name
    .Files .Template.Name $.Values.m.k .x .k .Chart .Capabilities.KubeVersion
    .Capabilities.KubeVersion.Version .Subcharts .Values.l.a .Capabilities.APIVersions .Values.m.d.x.y
    .Release.x (.Values.m).n.x (.Values.n).x $.Values.absent (list).x .Values.m.d .Files.x
""".split()
VALUED = [
    *("(index .Values.l 0).x", '(dict "a" 1).b', '(dict "a" 1).a.c', ".Capabilities.HelmVersion.GoVersion.x", "(until 3)"),
    *('(splitList "," "a,b")', '(split "," "a,b")', "(int64 5)", "(float64 2)", '(semver "1.2.3-x+b")', '(len "abc")'),
    *('(toDate "2006-01-02" "2024-02-03")', '(toDate "2006-01-02" "2024-02-03").Year', '(semver "1.2.3").Major'),
    *('(semver "1.2.3").Foo', '(mustToDuration "1h30m")', '(mustToDuration "90m").Hours', '(split "," "a,b")._0'),
    *('(split "," "a,b")._7', '(.Files.GetBytes "values.yaml")', '(.Files.Get "x")', '(.Files.Lines "x")', "(ceil 1.5)"),
    *('(urlParse "http://a/b")', '(index "abc" 0)', "(int 3)", '(list 1 "a" nil)', "(keys .Values.m)", '(atoi "5")'),
]  # fmt: skip
CONSTANTS = [
    *("1", "0", "-3", "1.5", '"a"', '""', "`r`", "'c'", "true", "false", "nil", "0x10", "1e3", "2.0", "1i", "100"),
    *('"%d|%v|%s"', '"k"'),
]  # fmt: skip
ONE = [
    *("len", "not", "html", "js", "urlquery", "print", "println", "upper", "quote", "toString", "keys", "first", "int"),
    *("kindOf", "typeOf", "toJson", "empty", "trim", "until", "list", 'printf "%v"', 'printf "%d"', 'printf "%s"', "call"),
    *('printf "%#v"', 'printf "%T"', "index .Values.m", "index .Values.l", "eq 1", "lt 1", "and 1", "or 0", 'default "d"'),
    *('required "need"', "squote", "int64", "float64", 'include "d"', "tpl", "slice", "add 1", "repeat 2", "toYaml"),
    *("hasKey .Values.m", 'join ","', "sortAlpha", 'has "a"', "without .Values.l", "ternary 1 2", 'ne "a"', "index"),
]  # fmt: skip
TWO = [
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "index", "print", "printf", "dict", "list", "default", "ternary 1"),
    *("add", "hasKey", "slice", 'dig "a"', "append", "set", "coalesce", "trimPrefix", "contains", "join", "cat", "get"),
    *("pluck", "without", "fail", "include", "tpl", "required", "index .Values.m"),
]  # fmt: skip
SLIPS = [
    *("{{ end }}", "{{ else }}", "{{ .x", "{{ $zz }}", "{{ ) }}", "{{ 1 | 2 }}", '{{ "x }}', "{{ @ }}", "{{ nofun }}"),
    *('{{ block "bb" . }}x{{ end }}', "{{ .a..b }}", "{{ 1..2 }}", "{{ $ }}", "{{ . }}"),
]  # fmt: skip
HEAD = '{{ define "d" }}[{{ . }}]{{ end }}{{ define "q" }}{{ with . }}{{ .k }}{{ end }}{{ end }}'
MOST_DEPTH = 3


@dataclass(slots=True)
class Program:
    """A template as it is drawn: which variables are in sight, and how many loops are open."""

    draw: random.Random
    variables: list[str] = field(default_factory=list)
    loops: int = 0

    def operand(self, depth: int) -> str:
        draw, chance = self.draw, self.draw.random()
        if chance < 0.45:
            return draw.choice(draw.choice((FIELDS, FIELDS, VALUED)))
        if chance < 0.65 or depth > 2:
            return draw.choice(CONSTANTS)
        if chance < 0.72 and self.variables:
            return draw.choice(self.variables) + draw.choice(("", "", "", ".x", ".k"))
        return f"({self.pipeline(depth + 1)}){draw.choice(('', '', '', '', '.x'))}"

    def command(self, depth: int, *, first: bool) -> str:
        draw, chance = self.draw, self.draw.random()
        if first and chance < 0.4:
            return self.operand(depth)
        if chance < 0.7:
            return draw.choice(ONE) + (f" {self.operand(depth)}" if first or draw.random() < 0.15 else "")
        more = f" {self.operand(depth)}" if first or draw.random() < 0.1 else ""
        return f"{draw.choice(TWO)} {self.operand(depth)}{more}"

    def pipeline(self, depth: int = 0) -> str:
        text = self.command(depth, first=True)
        while self.draw.random() < 0.25:
            text += f" | {self.command(depth, first=False)}"
        return text

    def block(self, depth: int, left: str, right: str) -> str:
        draw, seen = self.draw, len(self.variables)
        word, declared = draw.choice(("if", "with", "range", "range")), ""
        if word == "range" and draw.random() < 0.4:
            declared = draw.choice(("$i, $e := ", "$e := ", "$a = ", "$i, $e = "))
            self.variables += [name for name in ("$i", "$e") if name in declared]
        elif draw.random() < 0.1:
            declared = "$w := "
            self.variables.append("$w")
        self.loops += word == "range"
        text = f"{left}{word} {declared}{self.pipeline()}{right}{self.body(depth + 1)}"
        self.loops -= word == "range"
        if word != "range" and draw.random() < 0.2:
            text += f"{{{{ else {word} {self.pipeline()} }}}}{self.body(depth + 1)}"
        if draw.random() < 0.4:
            text += "{{ else }}" + self.body(depth + 1)
        del self.variables[seen:]
        return f"{text}{left}end{right}"

    def node(self, depth: int) -> str:
        draw, chance = self.draw, self.draw.random()
        left, right = draw.choice((*[("{{ ", " }}")] * 5, ("{{- ", " }}"), ("{{ ", " -}}"), ("{{", "}}")))
        if chance < 0.35 or depth > MOST_DEPTH:
            return left + self.pipeline() + right
        if chance < 0.45:
            return draw.choice(("text", "\n", " a: ", "é", "#"))
        if chance < 0.55:
            name = draw.choice(("$a", "$b", "$c"))
            text = f"{left}{name} {draw.choice((':=', ':=', '='))} {self.pipeline()}{right}"
            self.variables.append(name)
            return text
        if chance < 0.8:
            return self.block(depth, left, right)
        if chance < 0.86:
            name, more = draw.choice(('"d"', '"q"', '"nope"')), draw.choice(("", " .", f" {self.operand(0)}"))
            return f"{left}template {name}{more}{right}"
        if chance < 0.9 and self.loops:
            word = draw.choice(("break", "continue"))
            return f"{{{{ if {self.operand(0)} }}}}{left}{word}{right}{{{{ end }}}}"
        if chance < 0.93:
            return "{{/* c */}}"
        return draw.choice(SLIPS) if draw.random() < 0.15 else "x"

    def body(self, depth: int) -> str:
        return "".join(self.node(depth) for _ in range(self.draw.choice((1, 1, 2, 3))))


def program(draw: random.Random) -> Case:
    text = (
        f'{HEAD}{{{{ define "main" }}}}{Program(draw).body(0)}{{{{ end }}}}\nout: {{{{ include "main" . | toJson }}}}\n'
    )
    return Case({"app/Chart.yaml": CHART, "app/values.yaml": VALUES, "app/templates/t.txt": text})


# ---- broken ones -----------------------------------------------------------------------------------------------------

SOUND = [
    "{{ if .Values.a }}\nx: {{ .Values.b | quote }}\n{{ else if eq 1 2 }}\ny\n{{- else }}\nz\n{{ end }}",
    "{{- range $i, $e := .Values.l }}\n- {{ $i }}: {{ $e.x.y }}\n{{- end }}",
    '{{ define "a" }}x{{ end }}\n{{ include "a" . | nindent 4 }}',
    '{{ $x := dict "a" 1 "b" (list 1 2) }}{{ $x.a }}{{ with $x }}{{ .b }}{{ else }}n{{ end }}',
    "{{/* c */}}a: {{ 'x' }} {{ `raw\nraw` }} {{ \"s\\n\" }} {{ 1.5e3 }} {{ -0x1F }}\n",
    '{{ block "q" . }}b{{ end }}{{ template "q" (print 1 2) }}{{ range 3 }}{{ break }}{{ continue }}{{ end }}',
]
PUT_IN = [
    *("{{", "}}", "{{-", "-}}", " ", "\n", ".", "$", "|", "(", ")", ",", '"', "'", "`", "\\", ":=", "=", "1", "x", "end"),
    *("else", "if", "/*", "*/", "é", "²", "@", "#", "-", "+", "0x", "_", "nil", "true", ".x", "$x", "range", "with"),
    *("define", '"a"', "..", "%", "\t", "\r", "&", "\x00", "\u200b", "1i", "1e", "\\x4", "{", "}"),
]  # fmt: skip


def broken(draw: random.Random) -> Case:
    text = draw.choice(SOUND) + (draw.choice(SOUND) if draw.random() < 0.2 else "")
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at, chance = draw.randrange(len(text) + 1), draw.random()
        if chance < 0.45:
            text = text[:at] + draw.choice(PUT_IN) + text[at:]
        elif chance < 0.85:
            text = text[:at] + text[at + draw.choice((1, 1, 2, 3, 6)) :]
        else:
            start = draw.randrange(len(text) + 1)
            text = text[:at] + text[start : start + draw.randrange(8)] + text[at:]
    if draw.random() < 0.5:
        text = f'a: {{{{ include "main" . | toJson }}}}{{{{ define "main" }}}}{text}{{{{ end }}}}'
    return Case(
        {"app/Chart.yaml": CHART, "app/values.yaml": "a: 1\nb: x\nl: [{x: {y: 1}}]\n", "app/templates/t.txt": text}
    )


# ---- formats ---------------------------------------------------------------------------------------------------------

VERBS = "vvvvTtbcdoOqqxXUeEfFgGsswz%!é"
FORMATTED = [
    *("1", "-1", "0", "42", "120", "128512", "-128512", "9007199254740993", "1.5", "-0.0", "2.5", "1e6", "1e20", "1e21"),
    *("123456789.125", "1e-5", "1e-4", "3.14159", "-3.14159", "1e300", "5e-324", '"hi"', '""', '"é<"', '"a\\"b\\n\\x01"'),
    *('"日本"', '"w`t"', '"😀"', '"\\u200b\\u00a0"', "true", "false", "(int64 7)", "(int64 -7)", "nil", "(list)", "(dict)"),
    *('(list 1 "a" 2.5 nil true)', '(dict "z" 1 "a" (list "x" (dict "q" 2.5)))', "(until 3)", '(splitList "," "a,b")'),
    *('(split "," "a,b")', "(1.0 | float64)", '(len "abc")', "(100000.0)", "(999999.5)", "(1i)", "(2.5i)", "'x'", "0x1F"),
    *("(list (list 1 2) (list 3))", "(0.1)", '(float64 "nan")', '(float64 "inf")', '(float64 "-inf")'),
]  # fmt: skip
FORMATS_A_CASE = 40


def formats(draw: random.Random) -> Case:
    lines = []
    for number in range(FORMATS_A_CASE):
        text = ""
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            text += draw.choice(("", "", "a", "[", "é")) + "%"
            text += "".join(draw.choice("#0+- ") for _ in range(draw.choice((0, 0, 0, 1, 1, 2, 3))))
            if draw.random() < 0.1:
                text += draw.choice(("[1]", "[2]", "[3]", "[0]", "[x]", "[", "[1", "[]", "[-1]"))
            if draw.random() < 0.3:
                text += draw.choice(("5", "8", "20", "1", "0", "*", "07", "30000000001"))
            if draw.random() < 0.3:
                text += "." + draw.choice(("", "0", "1", "2", "3", "5", "15", "*", "[1]*"))
            if draw.random() < 0.1:
                text += draw.choice(("[1]", "[2]", "[3]", "[0]"))
            text += draw.choice(VERBS)
        operands = " ".join(draw.choice(FORMATTED) for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3))))
        lines.append(f"f{number}: {{{{ printf {json.dumps(text, ensure_ascii=False)} {operands} | toJson }}}}\n")
    return Case({"app/Chart.yaml": CHART, "app/templates/t.txt": "".join(lines)})


# ---- values ----------------------------------------------------------------------------------------------------------

KEYS = ("a", "b", "c", "sub", "global", "two words", "a.b", "9")
LEAVES = (
    "1",
    "2.50",
    "null",
    "text",
    "true",
    '""',
    "[]",
    "{}",
    "[1, {a: 2}]",
    "0x1F",
    "1e3",
    "yes",
    "2024-01-02",
    '"a,b"',
)
SET = (
    "a=1",
    "a.b=x",
    "b[0]=1",
    "b[1].c=2",
    "sub.a=null",
    "global.a=5",
    "c={1,2,x}",
    "sub.global.b=q",
    "a=null",
    "a\\.b=1",
)
AS_JSON = ('a={"b":null}', "b=[1,null]", "sub={}", 'c.d="x"')


def table(draw: random.Random, indent: str = "", depth: int = 0) -> str:
    out = ""
    for key in draw.sample(KEYS, draw.randrange(0 if depth else 1, 5)):
        shown_key = json.dumps(key) if draw.random() < 0.3 or "9" in key else key
        if depth < 3 and draw.random() < 0.45 and (inner := table(draw, indent + "  ", depth + 1)):
            out += f"{indent}{shown_key}:\n{inner}"
        else:
            out += f"{indent}{shown_key}: {draw.choice(LEAVES)}\n"
    return out


def values(draw: random.Random) -> Case:
    shows = "{{ .Chart.Name }}: {{ .Values | toJson }}\n{{- if false }}{{ end }}\n"
    needs = draw.choice(
        (
            "",
            "dependencies: [{name: sub, version: 1.x.x, condition: 'sub.a,a'}]\n",
            "dependencies: [{name: sub, version: '>=1', alias: b, import-values: [{child: a, parent: c}, global]}]\n",
            "dependencies: [{name: sub, version: '*', tags: [a, b]}]\n",
        )
    )
    files = {
        "app/Chart.yaml": CHART + needs,
        "app/values.yaml": table(draw),
        "app/templates/t.txt": shows,
        "app/charts/sub/Chart.yaml": CHART.replace("app", "sub"),
        "app/charts/sub/values.yaml": table(draw),
        "app/charts/sub/templates/t.txt": shows,
        "one.yaml": table(draw),
        "two.yaml": table(draw),
    }
    argv = ["template", "rel", "app"]
    for words in (("-f", "one.yaml"), ("-f", "two.yaml")):
        argv += words if draw.random() < 0.6 else ()
    for flag, choices in (("--set", SET), ("--set-string", SET), ("--set-json", AS_JSON), ("--set-literal", SET)):
        argv += (flag, draw.choice(choices)) if draw.random() < 0.35 else ()
    return Case(files, tuple(argv))


# ---- YAML ------------------------------------------------------------------------------------------------------------

WORDS = [
    *("a", "b c", "- x", "key: value", "#no", "a #c", "'", "\"", "''", "\\", "\\n", "é", "日本", "😀", "\t"),
    *("  lead", "trail ", "", "~", "null", "true", "No", "on", "0o17", "017", "1_000", "1.", ".5", "-.inf"),
    *(".nan", "1e3", "+1", "0b11", "12:30:45", "2024-01-02", "2024-01-02T03:04:05Z", "=", "!x", "&a", "*a", "%"),
    *("@", "`", "?", "? x", "-", "--- x", "...", ",", "[", "]", "{", "}", "{{ x }}", ":", "a:", ":a", "|", ">"),
    *("long " * 20, "x" * 90, "w" * 40 + " " + "v" * 50, "\u2028", "\u007f", "\u00a0", "\u0085", "$(X)", "a\nb"),
    *("a\n", "\n", "a\n\nb\n\n", " a\nb", "a \nb", "a\n  b\nc", "\ta\nb", "\n\na", "#\n"),
]  # fmt: skip


def quoted(draw: random.Random, text: str) -> str:
    """A scalar that means `text`, or at least tries to, in one of YAML's styles."""
    style = draw.random()
    if style < 0.35 and "\n" not in text:
        return text
    if style < 0.55 and "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=draw.random() < 0.5)


def block_scalar(draw: random.Random, indent: str) -> str:
    lines = [draw.choice(WORDS).replace("\n", "").replace("\x85", "") for _ in range(draw.randrange(1, 5))]
    head = draw.choice("|>") + draw.choice(("", "", "-", "+", "2", "2-", " # c"))
    return (
        f"{head}\n"
        + "".join(f"{indent}  {line}\n" if line else "\n" for line in lines)
        + draw.choice(("", "\n", "\n\n"))
    )


def node(draw: random.Random, indent: str = "", depth: int = 0) -> str:
    """What may stand after `key:` or `-`, with its line's end."""
    chance = draw.random()
    if depth < 3 and chance < 0.2:
        return "\n" + mapping(draw, indent + "  ", depth + 1)
    if depth < 3 and chance < 0.35:
        below = indent + draw.choice(("", "  "))
        return "\n" + "".join(
            f"{below}-{' ' * draw.choice((1, 1, 3))}{node(draw, below, depth + 1).lstrip()}" for _ in range(2)
        )
    if chance < 0.5:
        return f" {block_scalar(draw, indent)}"
    if chance < 0.6:
        items = ", ".join(quoted(draw, draw.choice(WORDS)) for _ in range(draw.randrange(3)))
        return f" [{items}]\n" if draw.random() < 0.5 else f" {{k: {quoted(draw, draw.choice(WORDS))}}}\n"
    if chance < 0.65:
        return draw.choice(
            (" &x 1\n", " *x\n", " !!str 5\n", ' !!int "5"\n', " !!binary aGk=\n", " &m {a: 1}\n", " !t v\n")
        )
    end = draw.choice(("", "", " # c", "  "))
    return f" {quoted(draw, draw.choice(WORDS))}{end}\n"


def mapping(draw: random.Random, indent: str = "", depth: int = 0) -> str:
    out = ""
    for number in range(draw.randrange(1, 4)):
        key = draw.choice(
            (
                f"k{number}",
                f"k{number}",
                f"k{number}",
                quoted(draw, draw.choice(WORDS)),
                "<<" if draw.random() < 0.05 else "k",
            )
        )
        out += f"{indent}{key}:{node(draw, indent, depth)}"
    return out


def yaml(draw: random.Random) -> Case:
    shows = """\
{{ range $p, $d := .Files.Glob "f/*" }}{{ $v := fromYaml (toString $d) }}
{{ $p }}: {{ toJson $v }}
{{ toYaml $v }}
{{ toYamlPretty $v }}
{{ printf "%v" $v }}
{{ toToml $v }}
{{ end }}
"""
    files = {f"app/f/{number:02}": mapping(draw) for number in range(12)}
    return Case({"app/Chart.yaml": CHART, "app/templates/t.txt": shows, **files}, ("template", "rel", "app", "--debug"))


# ---- comparing -------------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[random.Random], Case]] = {
    "programs": program,
    "broken": broken,
    "formats": formats,
    "values": values,
    "yaml": yaml,
}


def comparable(answer: Answer) -> Answer:
    """Without what is different at each run: addresses, the order of a map printed as Go source, and that of warnings."""
    texts = [re.sub(r"0x[0-9a-f]{9,}", "<address>", text) for text in answer[1:]]
    texts[1] = "\n".join(sorted(texts[1].split("\n"))) if "level=INFO" in texts[1] else texts[1]
    return answer[0], *(re.sub(r"map\[string\]interface \{\} ?\{.*", "<map>", text) for text in texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--cases", type=int, default=200, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="how many differences to print")
    given = parser.parse_args()
    helm = os.environ.get("HELM") or shutil.which("helm")
    if not helm:
        print("no helm: set HELM, or put it into PATH", file=sys.stderr)
        return 2
    differing = 0
    for kind in given.kinds.split(","):
        here = accepted = 0
        for number in range(given.cases):
            case = KINDS[kind](random.Random(f"{kind} {given.seed} {number}"))
            with tempfile.TemporaryDirectory() as below:
                helm_replay.lay(case.files, below)
                argv = tuple(f"{below}/{word}" if Path(below, word).exists() else word for word in case.argv)
                wanted = comparable(ask_helm(helm, argv, Path(below, "theirs")))
                got = comparable(ask_heeler(argv, Path(below, "ours")))
            accepted += wanted[0] == 0
            if wanted != got:
                here += 1
                differing += 1
                if differing <= given.show:
                    print(f"{kind} {given.seed} {number}\n{shown(Difference('', argv, wanted, got))}")
                    print("".join(f"   {name}: {text!r}\n" for name, text in case.files.items() if len(text) < 1500))
        print(f"{kind}: {given.cases} cases, helm accepts {accepted}, differ: {here}", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
