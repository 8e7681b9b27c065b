"""Kubernetes' protobuf against the published Go types: what they write of any object is what Heeler writes, byte for byte."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import orjson
import pytest

from heeler.kinds.protobuf import envelope
from tests.peers.test_clients import build_go
from tests.unit.kinds.any_object import drawn_object
from tests.unit.kinds.test_protobuf import KINDS, same, typed

pytestmark = pytest.mark.timeout(300)
#: Objects of each kind.
COUNT = 20


def test_go_writes_and_reads_every_kind_as_heeler_does(tmp_path: Path) -> None:
    program = tmp_path / "program"
    build_go(Path(__file__).parent / "protobuf", program)
    given, lines = [], []
    for kind, version in (param.values for param in KINDS):
        for seed in range(COUNT):
            api_version = kind.api_version(version)
            value = typed(kind, version, drawn_object(kind.type(version), kind.kind, api_version, seed))
            document = envelope.whole(value)
            assert document is not None
            given.append((kind, version, value, document))
            lines.append(orjson.dumps({"json": value, "protobuf": base64.b64encode(document).decode()}))
    done = subprocess.run([str(program)], input=b"\n".join(lines) + b"\n", capture_output=True, check=True, timeout=120)
    answers = done.stdout.splitlines()
    assert len(answers) == len(given)
    for (kind, version, value, document), answer in zip(given, answers, strict=True):
        made = orjson.loads(answer)
        assert "errors" not in made, (value, made)
        assert base64.b64decode(made["protobuf"]) == document, value
        assert same(typed(kind, version, made["json"]), value), value
