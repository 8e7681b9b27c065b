"""A result as text for people, and as JSON for programs."""

from __future__ import annotations

from typing import Any

from heeler.testing.simulation.invariants import LIST
from heeler.testing.simulation.play import Result
from heeler.testing.simulation.timeline import Lane, Mark

#: Lines of what happened that are shown as text; JSON has all.
MAX_LINES = 60
_SIGNS = {"fault": "!", "action": ">", "broken": "X", "unmet": "X"}


def moment(seconds: float) -> str:
    """A time of the run: `1d 03:04:05`."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def text(result: Result) -> str:
    """The whole report."""
    scenario = result.scenario
    told = result.told
    head = f"{scenario.name}: {moment(scenario.seconds)} on {len(scenario.nodes)} nodes, seed {result.seed}"
    parts = [head]
    if told is not None:
        speed = scenario.seconds / result.took if result.took else 0.0
        parts.append(
            f"  {told.writes} writes (history {told.digest[:16]}) in {result.took:.1f} s, {speed:.0f} times real time"
        )
    parts += ["", *_workloads(result), "", *_happened(result.timeline.marks)]
    parts += ["", *_judgement(result)]
    return "\n".join(parts)


def _workloads(result: Result) -> list[str]:
    rows = [("workload", "ready at the end", "fewest", "time short of pods")]
    for lane in [*result.timeline.lanes.values(), result.timeline.nodes]:
        if lane.points:
            rows.append(_row(lane, result.scenario.seconds))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _row(lane: Lane, end: float) -> tuple[str, str, str, str]:
    last, short = lane.points[-1], lane.short(end)
    return lane.name, f"{last.ready}/{last.wanted}", str(lane.least()), moment(short) if short else "-"


def _happened(marks: list[Mark]) -> list[str]:
    if not marks:
        return ["nothing happened"]
    lines = ["what happened"]
    for mark in marks[:MAX_LINES]:
        lasted = mark.until - mark.at
        lines.append(
            f"  {moment(mark.at):>12} {_SIGNS[mark.kind]} {mark.text}{f' ({moment(lasted)})' if lasted >= 1 else ''}"
        )
    if len(marks) > MAX_LINES:
        lines.append(f"  … and {len(marks) - MAX_LINES} more (-o json has all)")
    return lines


def _judgement(result: Result) -> list[str]:
    lines = []
    expected = len(result.scenario.expectations)
    if expected:
        lines.append(f"expectations: {expected - len(result.unmet)} of {expected} met")
        lines += [f"  {moment(one.at)}  {one}" for one in result.unmet]
    if result.failed_actions:
        lines.append("actions that could not be done:")
        lines += [f"  {text}" for text in result.failed_actions[:MAX_LINES]]
    if result.violations:
        lines.append(f"broken: {len(result.violations)} times something that must hold did not")
        lines += [
            f"  {moment(one.at)}  {one.invariant}: {one.subject} {one.message}".rstrip() for one in result.violations
        ]
    else:
        lines.append(f"{len(LIST) + 1} invariants held at every write")
    if result.converged is not None and not result.broken:
        lines.append(
            "everything was as it should be at the end"
            + (f", {result.converged:.0f} s later" if result.converged else "")
        )
    return lines


def as_json(result: Result) -> dict[str, Any]:
    """Everything, times in seconds since the run began."""
    told, scenario, line = result.told, result.scenario, result.timeline
    return {
        "name": scenario.name,
        "seed": result.seed,
        "seconds": scenario.seconds,
        "nodes": len(scenario.nodes),
        "held": not result.broken,
        "writes": told.writes if told else 0,
        "history": told.digest if told else "",
        "tookSeconds": round(result.took, 3),
        "convergedAfterSeconds": result.converged,
        "violations": [
            {"at": one.at, "invariant": one.invariant, "subject": one.subject, "message": one.message}
            for one in result.violations
        ],
        "expectations": {
            "count": len(scenario.expectations),
            "unmet": [{"at": one.at, "expectation": str(one.expectation), "found": one.found} for one in result.unmet],
        },
        "failedActions": result.failed_actions,
        "events": [{"at": m.at, "until": m.until, "kind": m.kind, "text": m.text} for m in line.marks],
        "timeline": [
            {"name": lane.name, "points": [[point.at, point.ready, point.wanted] for point in lane.points]}
            for lane in [*line.lanes.values(), line.nodes]
        ],
    }
