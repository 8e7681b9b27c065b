"""What Heeler adds to Helm's command line: commands of its own, and flags of Helm's commands that no help text of Helm's lists.

Helm's own words stay to the letter: these commands aren't in `helm --help` nor suggested for mistyped ones, and without these
flags nothing is printed that Helm doesn't print. `heeler helm diff --help`, `heeler helm test-matrix --help` and
docs/how-to/packages.md tell of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from heeler.cli.helm.flags import Flag

EXPLAIN = "explain"
EXPLAIN_VALUE = "explain-value"
KUBE_VERSIONS = "kube-versions"

_EXPLAINING = (
    Flag(EXPLAIN, "", "bool", "", "true"),  # what set the values that an error is about
    Flag(EXPLAIN_VALUE, "", "stringArray", "", None),  # where a value comes from and who reads it
)
FLAGS: Mapping[str, tuple[Flag, ...]] = {
    "template": _EXPLAINING,
    "install": _EXPLAINING,
    "upgrade": _EXPLAINING,
    "lint": (*_EXPLAINING, Flag(KUBE_VERSIONS, "", "strings", "", None)),  # several at once
    "diff": _EXPLAINING,
}
