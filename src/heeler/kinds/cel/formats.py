"""The named formats that expressions can check texts against: `format.dns1123Label().validate(text)`.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library
"""

from __future__ import annotations

from collections.abc import Callable

from heeler.kinds.cel.values import Format
from heeler.kinds.custom.formats import matches
from heeler.objects import names

#: What matching against one is reckoned to cost, as the length of a regular expression; 30 for those not named here.
_PATTERN_SIZES = {
    **dict.fromkeys(("dns1123Subdomain", "qualifiedName", "dns1123SubdomainPrefix"), 60),
    "labelValue": 40,
    **dict.fromkeys(("uri", "uuid", "byte", "date", "datetime"), 120),
}


def _prefix(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """What `generateName` is checked by: what comes behind a trailing dash makes it good."""
    return lambda text: check(f"{text[:-1]}a" if text.endswith("-") else text)


def _of_schemas(form: str, words: str) -> Callable[[str], list[str]]:
    return lambda text: [] if matches(form, text) else [words]


FORMATS: dict[str, Format] = {
    name: Format(name, check, _PATTERN_SIZES.get(name, 30))
    for name, check in {
        "dns1123Label": names.label,
        "dns1123Subdomain": names.subdomain,
        "dns1035Label": names.label_1035,
        "qualifiedName": names.qualified,
        "dns1123LabelPrefix": _prefix(names.label),
        "dns1123SubdomainPrefix": _prefix(names.subdomain),
        "dns1035LabelPrefix": _prefix(names.label_1035),
        "labelValue": names.label_value,
        "uri": _of_schemas("uri", "invalid URI for request"),
        "uuid": _of_schemas("uuid", "does not match the UUID format"),
        "byte": _of_schemas("byte", "invalid base64"),
        "date": _of_schemas("date", "invalid date"),
        "datetime": _of_schemas("datetime", "invalid datetime"),
    }.items()
}
