"""Go's fmt: the values are what helm 4.3.1 (Go 1.27) prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.packages.template import formatting
from heeler.packages.template.formatting import float_text, quote, sprint, sprintf, sprintln, text
from heeler.packages.template.values import Duration, Float32, Function, GoError, Int64, Map, Slice, Struct, Uint8

NESTED = {"z": 1, "a": ["x", {"q": 2.5}]}


class Point(Struct):
    go_type = "geo.Point"
    go_fields = {"X": "x", "Name": "name"}

    def __init__(self, x: int, name: str) -> None:
        self.x, self.name = x, name


class PointPointer(Point):
    go_type = "*geo.Point"


class Version(Point):
    go_methods = {"String": Function("String", ("geo.Point",), False, "string", lambda version: f"v{version.x}")}


@pytest.mark.parametrize(
    ("template", "values", "wanted"),
    [
        # numbers
        ("%d|%5d|%-5d|%05d|%+d|% d", (7,) * 6, "7|    7|7    |00007|+7| 7"),
        ("%b %o %O %x %X %#x %#b %#o", (10,) * 8, "1010 12 0o12 a A 0xa 0b1010 012"),
        ("%c %q %U %#U", (233,) * 4, "é 'é' U+00E9 U+00E9 'é'"),
        ("%.3d|%.0d|%4.0d", (5, 0, 0), "005||    "),
        ("%-05d|%+05d", (7, 7), "7    |+0007"),
        ("%d", (1.0,), "%!d(float64=1)"),
        ("%5t|%v|%d", (True, False, True), " true|false|%!d(bool=true)"),
        ("%#v %#v", (Uint8(200), 200), "0xc8 200"),
        ("%T %T", (Int64(1), Duration(1)), "int64 time.Duration"),
        # floats
        ("%v %v %v %v", (100000.0, 1e6, 1e-4, 1e-5), "100000 1e+06 0.0001 1e-05"),
        ("%5.2f|%08.3f|%.0f|%.0f", (3.14159, -3.14159, 2.5, 3.5), " 3.14|-003.142|2|4"),
        ("%e %E %g %G", (12345.678, 12345.678, 1e-10, 1e-10), "1.234568e+04 1.234568E+04 1e-10 1E-10"),
        ("%#g %#x %#X %#v", (100000.0, 5e-324, 100000.0, 1e6), "100000. 0x1.0000p-1074 0X1.86AP+16 1e+06"),
        ("%x %.2x %X %b", (3.75, 1.999, 0.1, 1.0), "0x1.ep+01 0x1.00p+01 0X1.999999999999AP-04 4503599627370496p-52"),
        ("%05v|%5v|%+g", (float("inf"), float("nan"), float("nan")), " +Inf|  NaN|+NaN"),
        ("%v %v", (Float32(0.10000000149011612), Float32(16777216.0)), "0.1 1.6777216e+07"),
        ("%v %.1f", (2.5j, 1 + 1j), "(0+2.5i) (1.0+1.0i)"),
        # text
        ("%8s|%-8s|%.2s|%05s", ("abc", "abc", "héé", "ab"), "     abc|abc     |hé|000ab"),
        ("%q %+q %#q %#q", ('a"\n', "日", "plain", "w`t"), '"a\\"\\n" "\\u65e5" `plain` "w`t"'),
        ("%x %X %.2x|% x|%# x", ("hi", "hi", "hello", "abc", "ab"), "6869 6869 6865|61 62 63|0x61 0x62"),
        ("%q", ("\udcff\u200b\x01",), '"\\xff\\u200b\\x01"'),
        ("%v %s %x %d %q %o", (b"ab",) * 6, '[97 98] ab 6162 [97 98] "ab" [141 142]'),
        # containers
        ("%v", (NESTED,), "map[a:[x map[q:2.5]] z:1]"),
        ("%d", (NESTED,), "map[%!d(string=a):[%!d(string=x) map[%!d(string=q):%!d(float64=2.5)]] %!d(string=z):1]"),
        ("%#v", ([1, "a", None],), '[]interface {}{1, "a", interface {}(nil)}'),
        ("%#v %T", (Map("map[string]string", {"k": "v"}), Slice("[]int")), 'map[string]string{"k":"v"} []int'),
        ("%v %d", ([None], [None]), "[<nil>] [<nil>]"),
        ("%v %+v %#v", (Point(1, "n"),) * 3, '{1 n} {X:1 Name:n} geo.Point{X:1, Name:"n"}'),
        ("%v %+v", (PointPointer(1, "n"),) * 2, "&{1 n} &{X:1 Name:n}"),
        ("%v %s %d", (Version(3, "n"),) * 3, "v3 v3 {3 %!d(string=n)}"),
        ("%v %s %q %d", (Duration(1_500_000_000),) * 4, '1.5s 1.5s "1.5s" 1500000000'),
        ("%v %t", (GoError("bad"), Duration(5)), "bad %!t(time.Duration=5)"),
        # nil
        ("%v|%5v|%s|%T|%d", (None,) * 5, "<nil>|<nil>|%!s(<nil>)|<nil>|%!d(<nil>)"),
        # arguments
        ("%[2]s %[1]s", ("a", "b"), "b a"),
        ("%[3]v %v", (1, 2, 3), "3 %!v(MISSING)"),
        ("%[5]d %[x]d %[0]d", (1,), "%!d(BADINDEX) %!d(BADINDEX) %!d(BADINDEX)"),
        ("%[1]2d %[1].2d", (1,), "%!d(BADINDEX) %!d(BADINDEX)"),
        ("%*d|%-*d|%*d|%.*f", (4, 1, 4, 1, -4, 1, 1, 2.25), "   1|1   |1   |2.2"),
        ("%*d %.*d", ("w", 1, "p", 2), "%!(BADWIDTH)1 %!(BADPREC)2"),
        ("%d %d", (1,), "1 %!d(MISSING)"),
        ("x", (1, None, "b"), "x%!(EXTRA int=1, <nil>, string=b)"),
        ("100%%|%-%|%", (), "100%|%|%!(NOVERB)"),
        ("%z %!", (1, "s"), "%!z(int=1) %!!(string=s)"),
        ("%w", ([1],), "%!w([]interface {}=[1])"),
        ("%99999999999d", (1,), "%!(NOVERB)%!(EXTRA int=1)"),
    ],
)
def test_sprintf(template: str, values: tuple[object, ...], wanted: str) -> None:
    assert sprintf(template, *values) == wanted


def test_sprint_separates_what_is_no_text() -> None:
    assert sprint("a", 1, 2, "b", None, True, []) == "a1 2b<nil> true []"
    assert sprint("a", "b") == "ab"
    assert sprintln("a", 1, "b") == "a 1 b\n"


def test_a_map_is_printed_by_the_bytes_of_its_keys() -> None:
    assert text({"b": 1, "\udcff": 2, "\uffff": 3, "B": 4}) == "map[B:4 b:1 \uffff:3 \udcff:2]"


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    with pytest.raises(GoError, match="nests too deeply"):
        text(loop)


def test_a_value_that_grows_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "MAX_MEMBERS", 10_000)
    value: list[object] = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(GoError, match="too large"):
        text(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_form_reads_back(value: float) -> None:
    for verb in "efg":
        assert float(float_text(value, verb)) == value
    assert float.fromhex(float_text(value, "x")) == value


@given(
    st.text(alphabet="%[]0123456789.*+-# vTtbcdoqxXUeEfFgGswp!"),
    st.lists(st.one_of(st.integers(-5, 5), st.floats(), st.text(), st.none(), st.booleans())),
)
def test_any_template_is_printed(template: str, values: list[object]) -> None:
    assert isinstance(sprintf(template, *values), str)


@given(st.text())
def test_quoted_text_is_printable(value: str) -> None:
    assert quote(value).isprintable()
    assert quote(value, ascii_only=True).isascii()
