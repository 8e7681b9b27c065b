"""A result as an SVG picture: a lane a workload with its ready pods over time, faults and actions marked above them all.

What is wanted is a thin line, what is ready a filled area under it; where it falls short the gap is red. It needs no script
and no font of its own, and reads in black and white.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from heeler.testing.simulation.play import Result
from heeler.testing.simulation.report import moment
from heeler.testing.simulation.timeline import Lane, Mark, Point

WIDTH, LEFT, RIGHT = 1200, 230, 70
LANE, GAP, TOP, BOTTOM = 44, 14, 92, 64
#: Lanes and marks that are drawn; the report has all.
MAX_LANES, MAX_MARKS = 40, 400
#: Lines to a pixel are more than anybody sees.
MAX_POINTS = 2 * WIDTH
COLOURS = {"fault": "#b35900", "action": "#2257a3", "broken": "#c00020", "unmet": "#c00020"}
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222 } .title { font-size: 17px; font-weight: 600 } .quiet { fill: #666 }
.ready { fill: #7fb69a } .short { fill: #e8a0a0 } .wanted { stroke: #345; stroke-width: 1; fill: none } .grid { stroke: #ddd }
.lane { fill: #f6f7f8 }
"""


def svg(result: Result) -> str:
    """The picture, as a whole document."""
    lanes = [lane for lane in [result.timeline.nodes, *result.timeline.lanes.values()] if lane.points][:MAX_LANES]
    height = TOP + len(lanes) * (LANE + GAP) + BOTTOM
    seconds = max(result.scenario.seconds, 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(result.scenario.name)}</title><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text class="title" x="16" y="28">{escape(result.scenario.name)}</text>',
        f'<text class="quiet" x="16" y="48">{escape(_summary(result))}</text>',
        *_grid(seconds, height),
    ]
    for number, lane in enumerate(lanes):
        parts += _lane(lane, TOP + number * (LANE + GAP), seconds)
    parts += _marks(result.timeline.marks[:MAX_MARKS], seconds, height)
    parts += _legend(height)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _summary(result: Result) -> str:
    verdict = "held" if not result.broken else f"{len(result.violations)} broken, {len(result.unmet)} unmet"
    return f"{moment(result.scenario.seconds)} on {len(result.scenario.nodes)} nodes, seed {result.seed}: {verdict}"


def _x(at: float, seconds: float) -> float:
    return LEFT + min(max(at, 0.0) / seconds, 1.0) * (WIDTH - LEFT - RIGHT)


def _grid(seconds: float, height: int) -> Iterator[str]:
    """Lines at round times, eight or so."""
    steps = (10, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000)
    step = next((one for one in steps if seconds / one <= 9), steps[-1])
    for number in range(int(seconds // step) + 1):
        x = _x(number * step, seconds)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - BOTTOM + 4}"/>'
        yield f'<text class="quiet" x="{x:.1f}" y="{height - BOTTOM + 20}" text-anchor="middle">{moment(number * step)}</text>'


def _lane(lane: Lane, y: float, seconds: float) -> Iterator[str]:
    points = _thinned(lane.points)
    most = max(1, *(max(point.ready, point.wanted) for point in points))
    last = points[-1]
    yield f'<rect class="lane" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{LANE}"/>'
    yield f'<text x="{LEFT - 10}" y="{y + LANE / 2 + 4}" text-anchor="end">{escape(_shortened(lane.name))}</text>'
    yield f'<text class="quiet" x="{WIDTH - RIGHT + 8}" y="{y + LANE / 2 + 4}">{last.ready}/{last.wanted}</text>'
    ends = [point.at for point in points[1:]] + [seconds]
    for kind, height_of in (("short", _wanted), ("ready", _ready)):
        boxes = []
        for point, until in zip(points, ends):
            tall = height_of(point) / most * LANE
            wide = _x(until, seconds) - _x(point.at, seconds)
            if tall > 0 and wide > 0:
                boxes.append(f"M{_x(point.at, seconds):.1f} {y + LANE:.1f}v{-tall:.1f}h{wide:.1f}v{tall:.1f}z")
        if boxes:
            yield f'<path class="{kind}" d="{"".join(boxes)}"/>'
    line = "".join(
        f"{'M' if not number else 'L'}{_x(point.at, seconds):.1f} {y + LANE - point.wanted / most * LANE:.1f}"
        f"H{_x(until, seconds):.1f}"
        for number, (point, until) in enumerate(zip(points, ends))
    )
    yield f'<path class="wanted" d="{line}"/>'


def _wanted(point: Point) -> int:
    """Nothing of what is there already: the ready area is drawn over it."""
    return point.wanted if point.ready < point.wanted else 0


def _ready(point: Point) -> int:
    return min(point.ready, point.wanted) if point.wanted else point.ready


def _thinned(points: list[Point]) -> list[Point]:
    step = len(points) // MAX_POINTS + 1
    return points if step == 1 else [*points[:-1:step], points[-1]]


def _shortened(name: str, most: int = 32) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _marks(marks: list[Mark], seconds: float, height: int) -> Iterator[str]:
    for mark in marks:
        x, wide = _x(mark.at, seconds), max(1.2, _x(mark.until, seconds) - _x(mark.at, seconds))
        colour = COLOURS[mark.kind]
        tip = f"<title>{escape(f'{moment(mark.at)} {mark.text}')}</title>"
        if mark.kind == "action":
            yield f'<path d="M{x:.1f} {TOP - 8}l-4 -8h8z" fill="{colour}">{tip}</path>'
        else:
            strong = 0.10 if mark.kind == "fault" else 0.5
            yield (
                f'<rect x="{x:.1f}" y="{TOP - 22}" width="{wide:.1f}" height="{height - BOTTOM - TOP + 24}" '
                f'fill="{colour}" fill-opacity="{strong}">{tip}</rect>'
            )
            yield f'<rect x="{x:.1f}" y="{TOP - 28}" width="{wide:.1f}" height="6" fill="{colour}">{tip}</rect>'


def _legend(height: int) -> Iterator[str]:
    x, y = LEFT, height - 22
    for colour, text in (
        ("#7fb69a", "ready"),
        ("#e8a0a0", "short of what is wanted"),
        (COLOURS["fault"], "fault"),
        (COLOURS["action"], "action"),
        (COLOURS["broken"], "broken or unmet"),
    ):
        yield f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 18}" y="{y + 11}">{text}</text>'
        x += 40 + 7 * len(text)
