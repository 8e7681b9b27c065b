"""The same requests to kube-apiserver and to Heeler: what differs is a fault of Heeler's, or to be explained.

    python -m tests.peers.differential --cases 500 --seed 1 [--kinds Pod,Service] [--verbs create,update,patch,apply]
    python -m tests.peers.differential --limits [--kinds Pod,Service]
    python -m tests.peers.differential --cases 1000 --seed 1,2 --record tests/reference/beside/changed.jsonl.gz

Bodies are the recorded ones with a field changed, removed or added at random, by the seed: created (a dry run), put over
the object as it was, or sent as one of the patches. Upstream's programs are built by `scripts/peers.py`. Prints the cases
that differ and a count by kind; exits with 1 if there are any. Not part of `make test`: see `make peers`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import copy
import gzip
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from heeler.kinds.kind import Kind
from heeler.kinds.registry import built_in
from tests.conftest import ROOT, ApiServerProcess
from tests.peers import limits, probes
from tests.reference import replay
from tests.unit.kinds.recorded import cases

PEERS = ROOT / "build" / "peers"
NAMESPACE = "diff"
#: Where objects go that limit what others of their namespace may be.
LIMITED = {"LimitRange": "diff-limits", "ResourceQuota": "diff-limits"}
#: What a field is given in the place of its value; `None` removes it.
VALUES: tuple[Any, ...] = (
    "",
    "x",
    "Not Valid!",
    "a" * 300,
    [],
    {},
    0,
    -1,
    5,
    8589934592,
    True,
    [None],
    ["x", "x"],
    "10Mi",
)
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
VERBS = ("create", "update", *PATCHES, "status")
#: Kinds whose status the server itself writes soon after their creation, and what it holds then.
SETTLING = {"FlowSchema": "Dangling", "CustomResourceDefinition": "NamesAccepted", "APIService": "Available"}
#: Kinds that are answered and not stored, or that would change what later cases meet.
LEFT_OUT = ("Namespace", "Node")

Case = dict[str, Any]


def bodies() -> dict[str, list[dict[str, Any]]]:
    """The recorded objects that could be created, by kind, without what was recorded twice."""
    found: dict[str, dict[bytes, dict[str, Any]]] = {}
    for area in ("defaults", "validation", "table", "apply", "patch", "subresources"):
        for case in cases(area):
            for step in case["steps"]:
                body, response = step["request"].get("body"), step.get("response") or {}
                made = step["request"]["method"] == "POST" and response.get("status") == 201
                if not made or not isinstance(body, dict) or body.get("kind") in (None, *LEFT_OUT):
                    continue
                text = json.dumps(body).replace(case["id"], "NAME")
                if kind_of(body) and any(paths(body)) and "generateName" not in text and "{{" not in text:
                    found.setdefault(body["kind"], {})[text.encode()] = json.loads(text)
    return {kind: list(texts.values()) for kind, texts in sorted(found.items())}


def kind_of(body: dict[str, Any]) -> Kind | None:
    group, _, version = str(body.get("apiVersion", "")).rpartition("/")
    kind = built_in().by_kind(group, version, str(body.get("kind", "")))
    return kind if kind is not None and "list" in kind.verbs else None


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in an object, its head left out."""
    if here and here[0] not in ("apiVersion", "kind") and here != ("metadata", "name") and here != ("metadata",):
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*here, key))


def change(body: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], tuple[Any, ...], Any]:
    """(a changed copy, where, the value; None if it was removed)."""
    out = copy.deepcopy(body)
    where = chance.choice(list(paths(body)))
    node: Any = out
    for key in where[:-1]:
        node = node[key]
    last, how = where[-1], chance.random()
    if how < 0.25:
        del node[last]
        return out, where, None
    if how < 0.32 and isinstance(node, list):
        node.append(copy.deepcopy(node[last]))
        return out, where, "twice"
    if how < 0.4 and isinstance(node, dict):
        node[f"{last}x"] = chance.choice(VALUES)
        return out, (*where[:-1], f"{last}x"), node[f"{last}x"]
    node[last] = chance.choice(VALUES)
    return out, where, node[last]


def as_patch(where: tuple[Any, ...], value: Any, body: dict[str, Any]) -> Any:
    """A merge patch that sets the value, with whole lists in its way."""
    if not where:
        return value
    key, rest = where[0], where[1:]
    if isinstance(key, int):
        items = copy.deepcopy(body)
        items[key] = as_patch(rest, value, body[key]) if rest else value
        return items
    return {key: as_patch(rest, value, body.get(key) if isinstance(body, dict) else None)}


def probed() -> list[Case]:
    """What probes one rule each: creations, and resizes of pods."""
    out: list[Case] = []
    for number, body in enumerate(probes.bodies()):
        name, kind = f"p{number}", kind_of(body)
        assert kind is not None
        body = {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        if kind.namespaced:
            body["metadata"]["namespace"] = LIMITED.get(body["kind"], NAMESPACE)
        request = {"method": "POST", "path": f"{_collection(body, kind)}?dryRun=All", "body": body}
        out.append({"id": name, "title": f"probe of {body['kind']}", "steps": [{"request": request}]})
    for number, (body, patch) in enumerate(probes.resizes()):
        name, collection = f"r{number}", f"/api/v1/namespaces/{NAMESPACE}/pods"
        body = {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        path, headers = f"{collection}/{name}/resize?dryRun=All", {"Content-Type": PATCHES["strategic"]}
        steps: list[Case] = [
            {"request": {"method": "POST", "path": collection, "body": body}, "setup": True},
            {"request": {"method": "PATCH", "path": path, "headers": headers, "body": patch}},
            {"request": {"method": "DELETE", "path": f"{collection}/{name}?gracePeriodSeconds=0"}, "cleanup": True},
        ]
        out.append({"id": name, "title": "probe of a resize", "steps": steps})
    return out


def at_limits(kind_bodies: dict[str, list[dict[str, Any]]]) -> list[Case]:
    """Creations with one field at a limit."""
    out: list[Case] = []
    for name, found in kind_bodies.items():
        for body, what in limits.bodies(found):
            kind = kind_of(body)
            if kind is None:
                continue
            if kind.namespaced:
                body["metadata"]["namespace"] = LIMITED.get(body["kind"], NAMESPACE)
            request = {"method": "POST", "path": f"{_collection(body, kind)}?dryRun=All", "body": body}
            out.append({"id": f"l{len(out)}", "title": f"probe of {name}: {what}", "steps": [{"request": request}]})
    return out


def again(file: Path) -> list[Case]:
    """The recorded cases of a file, without their answers."""
    out = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    for step in (step for case in out for step in case["steps"]):
        step.pop("response", None)
    return out


def _collection(body: dict[str, Any], kind: Kind) -> str:
    top = f"/apis/{body['apiVersion']}" if "/" in body["apiVersion"] else f"/api/{body['apiVersion']}"
    namespace = body["metadata"].get("namespace", "")
    return f"{top}/namespaces/{namespace}/{kind.plural}" if kind.namespaced else f"{top}/{kind.plural}"


def make(number: str, kind_bodies: list[dict[str, Any]], verb: str, chance: random.Random) -> Case:
    name = f"d{number}"
    body = json.loads(json.dumps(chance.choice(kind_bodies)).replace("NAME", name))
    kind = kind_of(body)
    assert kind is not None
    if kind.namespaced:
        body["metadata"]["namespace"] = LIMITED.get(body["kind"], NAMESPACE)
        if body["kind"] == "Event":
            body = json.loads(json.dumps(body).replace(f'"namespace": "{name}"', f'"namespace": "{NAMESPACE}"'))
    collection = _collection(body, kind)
    item = f"{collection}/{body['metadata']['name']}"
    changed, where, value = change(body, chance)
    title = f"{body['kind']} {verb}: {'.'.join(str(key) for key in where)} = {value!r}"
    strict = chance.choice(("", "", "&fieldValidation=Strict", "&fieldValidation=Ignore"))
    if verb == "create":
        request: Case = {"method": "POST", "path": f"{collection}?dryRun=All{strict}", "body": changed}
        return {"id": name, "title": title, "steps": [{"request": request}]}
    begun = {"request": {"method": "POST", "path": collection, "body": body}, "setup": True}
    seen: Case = {"request": {"method": "GET", "path": item, "ignoreBody": True}}
    if body["kind"] in SETTLING:
        seen["request"] |= {"until": {"contains": SETTLING[body["kind"]]}, "after": 0.3}
    again = {"request": {"method": "GET", "path": item, "ignoreBody": True}}
    last = {"request": {"method": "DELETE", "path": f"{item}?propagationPolicy=Background"}, "cleanup": True}
    if verb in ("update", "status"):
        changed = json.loads(json.dumps(changed))
        if isinstance(changed.get("metadata"), dict):
            changed["metadata"]["resourceVersion"] = "{{step3.metadata.resourceVersion}}"
        end = "/status" if verb == "status" else ""
        request = {"method": "PUT", "path": f"{item}{end}?dryRun=All{strict}", "body": changed}
    else:
        request = {"method": "PATCH", "path": f"{item}?dryRun=All{strict}", "headers": {"Content-Type": PATCHES[verb]}}
        if verb == "json":
            pointer = "/" + "/".join(str(key).replace("~", "~0").replace("/", "~1") for key in where)
            operation = "remove" if value is None else chance.choice(("add", "replace", "test"))
            request["body"] = [{"op": operation, "path": pointer, **({} if value is None else {"value": value})}]
        elif verb == "apply":
            request["path"] += (
                f"&fieldManager={chance.choice(('one', 'replay'))}&force={chance.choice(('true', 'false'))}"
            )
            request["body"] = changed
        else:
            request["body"] = as_patch(where, value, body)
    return {"id": name, "title": title, "steps": [begun, seen, again, {"request": request}, last]}


@contextlib.contextmanager
def upstream(folder: Path, users: Path, *flags: str) -> Iterator[str]:
    """kube-apiserver with etcd, started as the recorded one was. Its address. `sa.key` signs its tokens."""
    (folder / "pki").mkdir(parents=True)
    key = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    port, client, peer = (20_000 + random.SystemRandom().randrange(10_000) for _ in range(3))
    etcd_words = [
        str(PEERS / "etcd"),
        *("--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "error"),
        *(
            "--listen-client-urls",
            f"http://127.0.0.1:{client}",
            "--advertise-client-urls",
            f"http://127.0.0.1:{client}",
        ),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
    ]
    words = [
        str(PEERS / "kube-apiserver"),
        *("--etcd-servers", f"http://127.0.0.1:{client}", "--secure-port", str(port), "--bind-address", "127.0.0.1"),
        *("--cert-dir", str(folder / "pki"), "--token-auth-file", str(users), "--authorization-mode", "RBAC"),
        *("--service-cluster-ip-range", "10.0.0.0/24", "--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-key-file", str(key), "--service-account-signing-key-file", str(key)),
        *flags,
    ]
    with (folder / "log").open("w") as log:
        running = [subprocess.Popen(each, stdout=log, stderr=log) for each in (etcd_words, words)]
    try:
        client_of = replay.Client(f"https://127.0.0.1:{port}", {"admin": "admin-token"}, insecure=True)
        for _ in range(600):
            with contextlib.suppress(OSError):
                if client_of.send({"method": "GET", "path": "/readyz"}, None)[0].status == 200:
                    break
            assert all(each.poll() is None for each in running), (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        client_of.conn.close()
        yield f"https://127.0.0.1:{port}"
    finally:
        for each in reversed(running):
            each.kill()
            each.wait()


def prepare(server: str) -> None:
    client = replay.Client(server, {"admin": "admin-token"}, insecure=True)
    for path, body in (
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}),
        ("/api/v1/namespaces", {"metadata": {"name": LIMITED["LimitRange"]}}),
        (f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}}),
    ):
        replay.play(client, {"steps": [{"request": {"method": "POST", "path": path, "body": body}, "setup": True}]})
    client.conn.close()


def _sorted_faults(text: str) -> str:
    """A message with its faults in order: upstream tells those of server-side apply in the random order of a Go map."""
    head, found, rest = text.partition("errors:\n")
    return head + found + "\n".join(sorted(rest.split("\n"))) if found else text


def diff(want: Any, got: Any, path: str = "") -> Iterator[str]:
    """A line for each place where two answers differ; of long texts what stands around the first difference."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(want.keys() | got.keys()):
            if key not in got or key not in want:
                side = "missing, want" if key not in got else "unexpected"
                yield f"{path}.{key}: {side} {json.dumps(want.get(key, got.get(key)))[:200]}"
            else:
                yield from diff(want[key], got[key], f"{path}.{key}")
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            yield f"{path}: {len(got)} items, want {len(want)}: {json.dumps(want)[:400]}"
        for at, (one, other) in enumerate(zip(want, got)):
            yield from diff(one, other, f"{path}[{at}]")
    elif isinstance(want, str) and isinstance(got, str):
        want, got = _sorted_faults(want), _sorted_faults(got)
        if want == got:
            return
        at = next((n for n, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
        start = max(0, at - 60)
        yield f"{path}: {got[start : at + 100]!r}, want {want[start : at + 250]!r}"
    elif type(want) is not type(got) or want != got:
        yield f"{path}: {json.dumps(got)[:200]}, want {json.dumps(want)[:200]}"


def differences(servers: list[str], made: list[Case], jobs: int) -> Iterator[tuple[Case, list[str]]]:
    """Each case that differs: what the second server answers, against the first."""
    local = threading.local()

    def one(case: Case) -> tuple[Case, list[str]]:
        """Leaves the first server's answers in the case, if it gave them all."""
        if not hasattr(local, "clients"):
            local.clients = [replay.Client(server, {"admin": "admin-token"}, insecure=True) for server in servers]
        answers = [replay.play(client, case) for client in local.clients]
        for _, failure in answers:
            if failure:
                return case, [str(failure)]
        for step, want in zip(case["steps"], answers[0][0]):
            step["response"] = want
        found: list[str] = []
        for number, (step, want, got) in enumerate(zip(case["steps"], answers[0][0], answers[1][0]), 1):
            if step.get("setup"):
                if want["status"] not in (200, 201):
                    return case, []  # an object that upstream doesn't take is no ground for a change
                want, got = {"status": want["status"]}, {"status": got["status"]}
            if not step.get("cleanup"):
                found += [f"step {number} {line}" for line in diff(want, got)]
        return case, found

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from (result for result in pool.map(one, made) if result[1])


def record(made: list[Case], file: Path) -> None:
    """Write the cases with upstream's answers; those are left out that it didn't answer, or whose object it didn't take.

    Ports of services are given at random: a case in whose answer one is shown within a text tells nothing."""
    lines = []
    for case in made:
        steps = case["steps"]
        if any("response" not in step for step in steps):
            continue
        if any(step.get("setup") and step["response"]["status"] not in (200, 201) for step in steps):
            continue
        if "odePort\\\\" in json.dumps([step["response"] for step in steps]):
            continue
        area = case.get("area") or ("probed" if case["title"].startswith("probe of ") else "changed")
        for step in steps:
            if step.get("setup"):
                step["response"] = {"status": step["response"]["status"]}
            if step.get("cleanup"):
                del step["response"]
        lines.append(orjson.dumps({"id": case["id"], "area": area, "title": case["title"], "steps": steps}))
    file.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", default="1", help="one or more, comma-separated")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--kinds", default="", help="comma-separated; all without it")
    parser.add_argument("--verbs", default=",".join(VERBS))
    parser.add_argument("--lines", type=int, default=6, help="differing lines shown of a case")
    parser.add_argument("--record", type=Path, help="write upstream's answers here, as recorded cases (.jsonl.gz)")
    parser.add_argument("--again", type=Path, help="ask what is recorded there, nothing else")
    parser.add_argument("--limits", action="store_true", help="each field of each kind at its limits (9,800 cases)")
    parser.add_argument("--json", type=Path, help="also write what differs here, with the requests")
    told = parser.parse_args()
    known = bodies()
    kinds = [kind for kind in known if not told.kinds or kind in told.kinds.split(",")]
    verbs = told.verbs.split(",")
    made = again(told.again) if told.again else probed() if not told.kinds else []
    if told.limits:
        made = at_limits({kind: known[kind] for kind in kinds})
    for seed in told.seed.split(",") if not told.again and not told.limits else ():
        chance = random.Random(int(seed))
        for n in range(told.cases):
            made.append(make(f"{seed}-{n}", known[chance.choice(kinds)], chance.choice(verbs), chance))
    with tempfile.TemporaryDirectory() as folder:
        mine = ApiServerProcess(Path(folder), "--authorization-mode", "RBAC")
        mine.start()
        try:
            with upstream(Path(folder) / "upstream", Path(folder) / "users.csv") as theirs:
                for server in (theirs, mine.url):
                    prepare(server)
                found = list(differences([theirs, mine.url], made, told.jobs))
        finally:
            mine.stop()
    if told.record:
        record(made, told.record)
    for case, lines in found:
        print(f"{case['id']}: {case['title']}")
        for line in lines[: told.lines]:
            print(f"    {line}")
    if told.json:
        told.json.write_bytes(orjson.dumps(found))
    print(
        f"{len(found)} of {len(made)} differ:",
        dict(Counter(case["title"].split()[0] for case, _ in found).most_common()),
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
