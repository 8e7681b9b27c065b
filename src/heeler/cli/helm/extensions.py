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

ABOUT: Mapping[str, str] = {
    EXPLAIN: "say after an error which file and line or flag set the values behind it; also by HEELER_EXPLAIN=1, and at a "
    "terminal (HEELER_EXPLAIN=0 turns that off)",
    EXPLAIN_VALUE: "tell on standard error what a value is, all that had a say in it, and which templates read it (can specify "
    "multiple), as image.tag or hosts[0].name",
    KUBE_VERSIONS: "lint for several versions of Kubernetes; what isn't said for all of them names those it is said for",
}
WHERE_USED: Mapping[str, tuple[str, ...]] = {
    name: tuple(command for command, flags in FLAGS.items() if any(flag.name == name for flag in flags))
    for name in ABOUT
}
