"""`helm show`: what a chart says of itself."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.locate import locate
from heeler.packages.charts.chart import Chart, ChartError, File
from heeler.packages.charts.load import load
from heeler.packages.charts.metadata import as_map


def _chart(call: Call) -> Chart:
    try:
        return load(locate(call, call.arguments[0]), call.log)
    except ChartError as error:
        raise HelmError(str(error)) from None


def _definition(call: Call, chart: Chart) -> None:
    from heeler.packages.yaml.write import dump

    call.write(dump(as_map(chart.metadata)) + "\n")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _values(chart: Chart) -> str:
    return "".join(_text(file.data) + "\n" for file in chart.raw if file.name == "values.yaml")


def _readme(chart: Chart) -> File | None:
    names = ("readme.md", "readme.txt", "readme")
    return next((file for file in chart.files if file.name.lower() in names), None)


def _crds(call: Call, chart: Chart) -> None:
    for _, _, data in chart.crds():
        text = _text(data)
        call.write(f"{'' if text.startswith('---') else '---' + chr(10)}{text}\n")


def show_all(call: Call) -> int:
    chart = _chart(call)
    _definition(call, chart)
    if any(file.name == "values.yaml" for file in chart.raw):
        call.write("---\n" + _values(chart))
    if (readme := _readme(chart)) is not None:
        call.write(f"---\n{_text(readme.data)}\n")
    _crds(call, chart)
    return 0


def chart(call: Call) -> int:
    _definition(call, _chart(call))
    return 0


def values(call: Call) -> int:
    loaded = _chart(call)
    if path := call.flags.text("jsonpath"):
        from heeler.cli.helm.jsonpath import JsonPathError, execute

        try:
            call.write(execute(path, loaded.values))
        except JsonPathError as error:
            raise HelmError(f"error parsing jsonpath {path}: {error}") from None
        return 0
    call.write(_values(loaded))
    return 0


def readme(call: Call) -> int:
    if (file := _readme(_chart(call))) is not None:
        call.write(f"{_text(file.data)}\n")
    return 0


def crds(call: Call) -> int:
    _crds(call, _chart(call))
    return 0
