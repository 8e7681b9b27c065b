"""Templates that are made to run for ever or to take all memory: each ends at a bound, with an error that says so."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from heeler.packages.engine import RenderError, Source, render
from heeler.packages.functions import regex

DOUBLED = '{{ $d := dict "z" 1 }}{{ range until 40 }}{{ $d = dict "x" $d "y" $d }}{{ end }}'
OTHER = '{{ $e := dict "z" 1 }}{{ range until 40 }}{{ $e = dict "x" $e "y" $e }}{{ end }}'
LONG = '{{ $d := list (repeat 1000000 "x") }}{{ range until 12 }}{{ $d = list $d $d }}{{ end }}'
HOLDS_ITSELF = '{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ $_ := set $d "b" $d }}'


def fault(text: str) -> str:
    with pytest.raises(RenderError) as error:
        render([Source("t.yaml", text, "", {})])
    return str(error.value)


@pytest.mark.parametrize("value", [DOUBLED, LONG])
@pytest.mark.parametrize(
    ("call", "done"),
    [
        *[
            (f"{must}{name} $d", "written")
            for name in ("toJson", "toPrettyJson", "toRawJson", "toYaml", "toToml")
            for must in ("", "must")
        ],
        ("toYamlPretty $d", "written"),
        ("deepCopy $d", "copied"),
        ("mustDeepCopy $d", "copied"),
        ("deepEqual $d (deepCopy $d)", "copied"),
        ("print $d", "printed"),
        ('printf "%#v" $d', "printed"),
        ("quote $d", "printed"),
        ("toString $d", "printed"),
        ("cat $d", "printed"),
        ("$d", "printed"),
    ],
)
def test_values_that_double_by_sharing(value: str, call: str, done: str) -> None:
    begun = time.monotonic()
    if call.startswith("must"):
        call = "must" + call[4].upper() + call[5:]
    assert f"value is too large to be {done}" in fault(f"{value}{{{{ {call} }}}}")
    assert time.monotonic() - begun < 5


def test_two_values_that_double_by_sharing() -> None:
    assert "value is too large to be compared" in fault(f"{DOUBLED}{OTHER}{{{{ deepEqual $d $e }}}}")
    assert "maps are too large to be merged" in fault(f"{DOUBLED}{OTHER}{{{{ merge $d $e }}}}")
    assert "maps are too large to be merged" in fault(f"{DOUBLED}{OTHER}{{{{ mustMergeOverwrite $d $e }}}}")


@pytest.mark.parametrize(
    "step",
    [
        "print $s $s",
        "cat $s $s",
        'printf "%s%s" $s $s',
        "b64enc (print $s $s $s)",
        'join "" (list $s $s $s)',
        "repeat 3 $s",
    ],
)
def test_texts_that_double_in_a_loop(step: str) -> None:
    tracemalloc.start()
    try:
        said = fault(f'{{{{ $s := "xxxxxxxx" }}}}{{{{ range until 60 }}}}{{{{ $s = {step} }}}}{{{{ end }}}}')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "the template makes too much" in said or "output length overflow" in said
    assert peak < 1 << 30


def test_lists_that_double_in_a_loop() -> None:
    said = fault("{{ $l := list 1 2 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}")
    assert "the template makes too much" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{{ $s := "{{ tpl . . }}" }}{{ tpl $s $s }}', "tpl is called within itself too often"),
        ('{{ join (repeat 1000000 "x") (until 100000) }}', "strings: Join output length overflow"),
        (HOLDS_ITSELF + "{{ mustToJson $d }}", "encountered a cycle"),
        (HOLDS_ITSELF + "{{ deepCopy $d }}", "value nests too deeply to be copied"),
        (HOLDS_ITSELF + "{{ print $d }}", "value nests too deeply to be printed"),
    ],
)
def test_what_has_no_end(text: str, said: str) -> None:
    assert said in fault(text)


def test_large_values_that_are_real_are_written() -> None:
    text = "{{ $d := dict }}{{ range $i := until 20000 }}{{ $_ := set $d (toString $i) (list $i) }}{{ end }}"
    files = render([Source("t.yaml", f"{text}{{{{ toJson $d | len }}}} {{{{ toYaml $d | len }}}}", "", {})])
    assert files == {"t.yaml": "297781 317779"}


def test_expressions_of_many_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "MOST_MATCHES", 1000)
    assert "regexp: too many matches" in fault('{{ regexFindAll "a*" (repeat 2000 "ab") -1 | len }}')
    monkeypatch.setattr(regex, "MOST_BYTES", 1000)
    said = fault('{{ regexReplaceAll "a" (repeat 900 "a") (repeat 1000 "x") | len }}')
    assert "regexp: the text gets too long" in said
