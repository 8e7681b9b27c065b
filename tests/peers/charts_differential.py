"""The same charts through helm and through Heeler: output, exit code and standard error, byte for byte.

    HELM=/path/to/helm python -m tests.peers.charts_differential FOLDER… [--recorded] [--only WORD] [--show 5] [--jobs 2]

Every chart below the folders (outermost folders with a Chart.yaml, and archives) is rendered with its defaults, with the
values files that it brings for tests (`ci/`, `test*/`, `*values*.yaml`) and with flags that change what templates see; then
linted, shown and packaged. `--recorded` takes the charts of the recorded cases too. What helm answers differently from one run
to the next (keys, passwords, orders of maps) is compared as far as it stays. Prints what differs and counts; exits with 1 if
anything does. Not part of `make test`: see `make peers`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import difflib
import gzip
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.reference import helm_replay

#: How often helm is asked again where the answers differ, to see what is random.
AGAIN = 4
TIMEOUT_SECONDS = 120
#: Each is run on every chart; CHART stands for its path, VALUES for one of the values files that it brings.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("template", "rel", "CHART"),
    ("template", "rel", "CHART", "--include-crds", "--is-upgrade", "-n", "other-ns"),
    ("template", "some-longer-release-name", "CHART", "--kube-version", "1.22.3", "--skip-tests"),
    ("template", "rel", "CHART", "--api-versions", "monitoring.coreos.com/v1,networking.k8s.io/v1/Ingress", "--no-hooks"),
    ("template", "rel", "CHART", "--set", "fullnameOverride=full,replicaCount=3,ingress.enabled=true,rbac.create=false"),
    ("template", "rel", "CHART", "--set", "global.imageRegistry=registry,autoscaling.enabled=true,metrics.enabled=true"),
    ("template", "rel", "CHART", "--set-json", 'nodeSelector={"a":"b"},tolerations=[{"key":"k"}],affinity={"nodeAffinity":{}}'),
    ("install", "rel", "CHART", "--dry-run=client"),
    ("lint", "CHART"),
    ("lint", "CHART", "--strict", "--with-subcharts"),
    ("show", "all", "CHART"),
    ("package", "CHART", "-d", "packed"),
    ("dependency", "list", "CHART"),
)  # fmt: skip
WITH_VALUES: tuple[tuple[str, ...], ...] = (
    ("template", "rel", "CHART", "-f", "VALUES"),
    ("lint", "CHART", "-f", "VALUES"),
)
VALUES_FILES = ("ci/*.y*ml", "test*/*values*.y*ml", "*values*.y*ml", "examples/*.y*ml")
VALUES_MOST = 8

Answer = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    chart: str
    argv: tuple[str, ...]
    wanted: Answer
    got: Answer


@dataclass(slots=True)
class Outcome:
    """What came of one chart: how many commands were compared, succeeded in helm, are random, make helm panic;
    and what differs."""

    compared: int
    succeeded: int
    random: int
    panics: int
    differing: list[Difference]


def charts(folder: Path) -> Iterator[Path]:
    """The outermost charts below a folder: folders with a Chart.yaml, and archives beside them."""
    if (folder / "Chart.yaml").is_file():
        yield folder
        return
    if folder.is_file() and folder.name.endswith(".tgz"):
        yield folder
        return
    if folder.is_dir() and not folder.is_symlink():
        for below in sorted(folder.iterdir()):
            if below.is_dir() or below.name.endswith(".tgz"):
                yield from charts(below)


#: What a chart shows of how helm was built, which is different for each helm.
_BUILD = "HelmVersion.Git"


def recorded(into: Path) -> Iterator[Path]:
    """The charts of the recorded cases, laid below `into`."""
    for file in sorted((ROOT / "tests" / "reference" / "helm").glob("*.jsonl.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().strip("\n").split("\n"):
            case = json.loads(line)
            told = any(_BUILD in text for text in case["files"].values() if isinstance(text, str))
            if any(name.endswith("Chart.yaml") for name in case["files"]) and not told:
                folder = into / case["id"]
                helm_replay.lay(case["files"], folder)
                yield from charts(folder)


def unlike(found: Iterator[Path]) -> Iterator[Path]:
    """Charts whose files nobody had before."""
    seen = set()
    for chart in found:
        digest = hashlib.sha256()
        for file in sorted(chart.rglob("*")) if chart.is_dir() else [chart]:
            if file.is_file():
                digest.update(f"{file.relative_to(chart)}\n".encode("utf-8", "surrogateescape") + file.read_bytes())
        if digest.digest() not in seen:
            seen.add(digest.digest())
            yield chart


def commands(chart: Path) -> Iterator[tuple[str, ...]]:
    values = [file for pattern in VALUES_FILES for file in sorted(chart.glob(pattern)) if file.name != "values.yaml"]
    for argv in COMMANDS:
        yield tuple(str(chart) if word == "CHART" else word for word in argv)
    for file in values[:VALUES_MOST]:
        for argv in WITH_VALUES:
            yield tuple({"CHART": str(chart), "VALUES": str(file)}.get(word, word) for word in argv)


# ---- asking both -----------------------------------------------------------------------------------------------------


def ask_helm(helm: str, argv: Sequence[str], folder: Path) -> Answer:
    """The real helm, in an empty folder."""
    work, home = _fresh(folder)
    environment = {"PATH": os.environ["PATH"], **helm_replay.environment(str(home))}
    done = subprocess.run(
        [helm, *argv], cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_SECONDS
    )
    return _answer(done.returncode, done.stdout, done.stderr, work, home)


def ask_heeler(argv: Sequence[str], folder: Path) -> Answer:
    """Heeler, in this process."""
    from heeler.cli.helm import run

    work, home = _fresh(folder)
    os.environ.update(helm_replay.environment(str(home)))
    try:
        code, out, errors = run(list(argv), work)
    except Exception as error:  # a fault of ours is a difference, not the end of the comparison
        code, out, errors = -1, "", f"raised {type(error).__name__}: {error}"
    return _answer(code, out.encode("utf-8", "surrogateescape"), errors.encode("utf-8", "surrogateescape"), work, home)


def _fresh(folder: Path) -> tuple[Path, Path]:
    shutil.rmtree(folder, ignore_errors=True)
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    home.mkdir()
    return work, home


_LOG_TIME = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
_MOMENT = re.compile(r"^LAST DEPLOYED: .*$", re.MULTILINE)
_PANIC = "\ngoroutine 1 [running]:\n"
_ADDRESS = re.compile(r"0xc[0-9a-f]{6,}")


def _answer(code: int, out: bytes, errors: bytes, work: Path, home: Path) -> Answer:
    """An answer without the folders, log time stamps and addresses in memory; and what was packed."""
    texts = []
    for data in (out, errors):
        text = data.decode("utf-8", "surrogateescape").replace(str(work), "<dir>").replace(str(home), "<home>")
        text = _ADDRESS.sub("<address>", _LOG_TIME.sub("", _MOMENT.sub("LAST DEPLOYED: <time>", text)))
        texts.append(text)
    for file in sorted(work.glob("packed/*")):
        texts[0] += json.dumps(helm_replay.look(str(work), f"packed/{file.name}"))
    return code, texts[0], texts[1]


def same_but_random(answers: Sequence[Answer], got: Answer) -> bool:
    """Whether `got` equals helm's answers as far as these are equal among themselves: line by line, or as a set of lines."""
    if len(set(answers)) == 1:
        return got == answers[0]
    if got in answers:
        return True
    if got[0] not in {answer[0] for answer in answers}:
        return False
    for place in (1, 2):
        texts = [str(answer[place]).split("\n") for answer in answers]
        ours = str(got[place]).split("\n")
        if sorted(ours) in [sorted(text) for text in texts]:
            continue
        if any(len(text) != len(ours) for text in texts):
            return False
        for index, line in enumerate(ours):
            if len({text[index] for text in texts}) == 1 and line != texts[0][index]:
                return False
    return True


def compare(task: tuple[str, Path]) -> Outcome:
    """All commands on one chart."""
    helm, chart = task
    outcome = Outcome(0, 0, 0, 0, [])
    with tempfile.TemporaryDirectory() as below:
        folder = Path(below)
        for argv in commands(chart):
            wanted = ask_helm(helm, argv, folder / "theirs")
            got = ask_heeler(argv, folder / "ours")
            outcome.compared += 1
            outcome.succeeded += wanted[0] == 0
            if wanted == got:
                continue
            if _PANIC in wanted[2]:
                outcome.panics += 1
                continue
            answers = [wanted] + [ask_helm(helm, argv, folder / "theirs") for _ in range(AGAIN)]
            outcome.random += len(set(answers)) > 1
            if not same_but_random(answers, got):
                outcome.differing.append(Difference(str(chart), argv, wanted, got))
    return outcome


def shown(difference: Difference) -> str:
    lines = [
        f"== helm {' '.join(difference.argv)}",
        f"   exit code {difference.wanted[0]}, Heeler's {difference.got[0]}",
    ]
    for name, wanted, got in zip(("stdout", "stderr"), difference.wanted[1:], difference.got[1:], strict=True):
        changes = difflib.unified_diff(
            str(wanted).split("\n"), str(got).split("\n"), "helm", "heeler", lineterm="", n=1
        )
        lines += [f"   {name}: {line[:300]}" for line in list(changes)[2:26]]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--recorded", action="store_true", help="the charts of the recorded cases too")
    parser.add_argument("--only", default="", help="charts whose path has this in it")
    parser.add_argument("--show", type=int, default=20, help="how many differences to print")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    helm = os.environ.get("HELM") or shutil.which("helm")
    if not helm:
        print("no helm: set HELM, or put it into PATH", file=sys.stderr)
        return 2
    total: Counter[str] = Counter()
    left = given.show
    with tempfile.TemporaryDirectory() as below:
        found = [chart for folder in given.folders for chart in charts(folder.resolve())]
        found += recorded(Path(below).resolve()) if given.recorded else []
        chosen = [(helm, chart) for chart in unlike(iter(found)) if given.only in str(chart)]
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
            for outcome in pool.map(compare, chosen):
                total["charts"] += 1
                total["commands"] += outcome.compared
                total["of these helm succeeds in"] += outcome.succeeded
                total["random in helm"] += outcome.random
                total["helm panics"] += outcome.panics
                total["differ"] += len(outcome.differing)
                for difference in outcome.differing[: max(left, 0)]:
                    print(shown(difference), flush=True)
                    left -= 1
    print(", ".join(f"{name}: {count}" for name, count in total.items()))
    return 1 if total["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
