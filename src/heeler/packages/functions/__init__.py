"""The functions that Helm's templates may call: sprig's and Helm's own, a file an area.

`FUNCTIONS` has them by name, but for those of text/template itself and those that need the engine (`include`, `tpl`,
`required`, `fail`, `lookup`). An area is loaded when a template first names one of its functions, and what costs more (RE2,
cryptography, time zones) when one first runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from heeler.packages.template.values import Function

#: The areas and the names of their functions.
AREAS: Final = {
    "strings": """
        hello abbrev abbrevboth trunc trim upper lower title untitle substr repeat trimall trimAll
        trimSuffix trimPrefix nospace initials swapcase snakecase kebabcase camelcase wrap wrapWith
        contains hasPrefix hasSuffix quote squote cat indent nindent replace plural toString split
        splitList splitn toStrings join sortAlpha until untilStep seq
    """,
    "math": """
        atoi int int64 float64 toDecimal add1 add sub div mod mul randInt max biggest min maxf minf ceil
        floor round add1f addf subf mulf divf
    """,
    "lists": """
        list tuple push mustPush append mustAppend prepend mustPrepend chunk mustChunk last mustLast
        first mustFirst rest mustRest initial mustInitial reverse mustReverse compact mustCompact uniq
        mustUniq without mustWithout has mustHas slice mustSlice concat
    """,
    "dicts": """
        dict get set unset hasKey pluck keys pick omit values dig merge mustMerge mergeOverwrite
        mustMergeOverwrite
    """,
    "types": """
        default empty coalesce all any ternary deepCopy mustDeepCopy deepEqual typeOf typeIs typeIsLike
        kindOf kindIs
    """,
    "encoding": """
        sha1sum sha256sum sha512sum adler32sum b64enc b64dec b32enc b32dec base dir clean ext isAbs
        osBase osDir osClean osExt osIsAbs urlParse urlJoin
    """,
    "regex": """
        regexMatch mustRegexMatch regexFind mustRegexFind regexFindAll mustRegexFindAll regexReplaceAll
        mustRegexReplaceAll regexReplaceAllLiteral mustRegexReplaceAllLiteral regexSplit mustRegexSplit
        regexQuoteMeta
    """,
    "versions": """
        semver semverCompare
    """,
    "dates": """
        now date dateInZone date_in_zone htmlDate htmlDateInZone toDate mustToDate dateModify
        date_modify mustDateModify must_date_modify unixEpoch ago duration durationRound mustToDuration
        durationWeeks durationDays durationHours durationMinutes durationSeconds durationMilliseconds
        durationMicroseconds durationNanoseconds durationRoundTo durationTruncateTo
    """,
    "crypto": """
        randAlphaNum randAlpha randAscii randNumeric randBytes shuffle uuidv4 bcrypt htpasswd
        derivePassword encryptAES decryptAES genPrivateKey buildCustomCert genCA genCAWithKey
        genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
    """,
    "helm": """
        toYaml mustToYaml toYamlPretty fromYaml fromYamlArray toJson mustToJson toPrettyJson
        mustToPrettyJson toRawJson mustToRawJson fromJson fromJsonArray mustFromJson toToml mustToToml
        fromToml
    """,
}


class Functions(Mapping[str, Function]):
    """The functions by name, each area loaded at its first use."""

    def __init__(self) -> None:
        self._areas = {name: area for area, names in AREAS.items() for name in names.split()}
        self._loaded: dict[str, Function] = {}

    def __getitem__(self, name: str) -> Function:
        function = self._loaded.get(name)
        if function is None:
            area = import_module(f"{__name__}.{self._areas[name]}")
            self._loaded.update((function.name, function) for function in area.FUNCTIONS)
            function = self._loaded[name]
        return function

    def __contains__(self, name: object) -> bool:
        return name in self._areas

    def __iter__(self) -> Iterator[str]:
        return iter(self._areas)

    def __len__(self) -> int:
        return len(self._areas)


FUNCTIONS: Final = Functions()
