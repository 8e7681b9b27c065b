"""Charts: rendered in a process and warm, and by a whole process; beside it what helm takes, where `HELM` names one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import HEELER, Figures

ROUNDS = 15


def helm(figures: Figures) -> None:
    """A new chart, 20 and 60 plain subcharts, and a chart on which helm's time grows with the square of its size."""
    from heeler.cli.helm import run

    peer = os.environ.get("HELM") or shutil.which("helm") or ""
    with tempfile.TemporaryDirectory(prefix="heeler-bench-") as folder:
        work = Path(folder)
        run(["create", "new"], work)
        umbrella(work / "twenty", 20)
        umbrella(work / "sixty", 60)
        templated(work / "templated", 60, 20)
        warm = best(lambda: run(["template", "rel", "new"], work))
        figures.add("helm template of a new chart, in process and warm", warm * 1000, "ms", "<= 3")
        for chart, words, aim in (
            ("new", "a new chart", "<= 0.15"),
            ("twenty", "20 plain subcharts", ""),
            ("sixty", "60 plain subcharts", ""),
            ("templated", "20 tpl calls in each of 60 subcharts", "< peer"),
        ):
            ours = best(lambda chart=chart: call([*HEELER, "helm", "template", "rel", chart], work))  # type: ignore[misc]
            theirs = ""
            if peer:
                took = best(lambda chart=chart: call([peer, "template", "rel", chart], work))  # type: ignore[misc]
                theirs = f"{took:.2f} s (helm)"
            figures.add(f"helm template of {words}, whole process", ours, "s", aim or "<= 3x", theirs)


def best(step: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least of a few tries, in seconds, after one that warms up."""
    step()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
        if sum(took) > 10:
            break
    return min(took)


def call(words: list[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def umbrella(folder: Path, count: int) -> None:
    """A chart with `count` subcharts of a Deployment and a Service each."""
    write(folder, {"Chart.yaml": chart_yaml("umbrella"), "values.yaml": "global: {domain: example.com}\n"})
    for number in range(count):
        write(
            folder / "charts" / f"sub{number}",
            {
                "Chart.yaml": chart_yaml(f"sub{number}"),
                "values.yaml": f"replicas: {number}\nimage: {{name: web, tag: v1}}\nlabels: {{a: b, c: d}}\n",
                "templates/_helpers.tpl": '{{- define "name" -}}{{ .Release.Name }}-{{ .Chart.Name }}{{- end -}}\n',
                "templates/deployment.yaml": (
                    'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include "name" . }}\n'
                    "  labels: {{- toYaml .Values.labels | nindent 4 }}\nspec:\n  replicas: {{ .Values.replicas }}\n"
                    '  template:\n    spec:\n      containers:\n      - image: "{{ .Values.image.name }}:'
                    '{{ .Values.image.tag | default .Chart.AppVersion }}"\n'
                ),
                "templates/service.yaml": (
                    'apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ include "name" . }}\n'
                    "spec:\n  externalName: {{ .Values.global.domain | quote }}\n"
                ),
            },
        )


def templated(folder: Path, count: int, calls: int) -> None:
    """Subcharts with helpers of their own that call `tpl` often: helm copies all templates of all charts at each call."""
    write(folder, {"Chart.yaml": chart_yaml("templated"), "values.yaml": "global: {k: v}\n"})
    helpers = "".join(f'{{{{- define "%s.{n}" -}}}}{{{{ .Values.global.k }}}}{{{{- end -}}}}\n' for n in range(calls))
    values = "".join(f"line{n}: '{{{{ .Values.global.k }}}} of {{{{ .Chart.Name }}}} {n}'\n" for n in range(calls))
    for number in range(count):
        name = f"sub{number}"
        write(
            folder / "charts" / name,
            {
                "Chart.yaml": chart_yaml(name),
                "values.yaml": f"lines:\n{indented(values)}",
                "templates/_helpers.tpl": helpers.replace("%s", name),
                "templates/t.yaml": (
                    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Name }}\ndata:\n"
                    "{{- range $key, $line := .Values.lines }}\n  {{ $key }}: {{ tpl $line $ | quote }}\n{{- end }}\n"
                ),
            },
        )


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def chart_yaml(name: str) -> str:
    return f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    helm(Figures())
