"""A small aggregated API server, as a program of its own: notes.example.com/v1, kept in memory.

It does what such servers owe: it believes a front proxy only by its certificate, asks the cluster whose a token is
(TokenReview) and what somebody may do (SubjectAccessReview), and serves discovery, lists and watches. Run by tests:
`python extension_server.py SETTINGS.json`; the settings are: server, authority and token (of the cluster), certificate and key
(files), port.
"""

from __future__ import annotations

import json
import queue
import ssl
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

GROUP, VERSION = "notes.example.com", "v1"
ROOT = f"/apis/{GROUP}/{VERSION}"
VERBS = ["create", "delete", "get", "list", "watch"]
RESOURCES = [
    {
        "name": "notes",
        "singularName": "note",
        "namespaced": True,
        "kind": "Note",
        "verbs": VERBS,
        "shortNames": ["nt"],
    }
]


class Cluster:
    """The cluster that this server belongs to."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._server, self._token = settings["server"], settings["token"]
        self._tls = ssl.create_default_context(cadata=settings["authority"])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._server + path, data, headers)
        with urllib.request.urlopen(asked, context=self._tls, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


class State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.notes: dict[tuple[str, str], dict[str, Any]] = {}
        self.watchers: list[queue.Queue[dict[str, Any]]] = []
        self.revision = 100

    def changed(self, kind: str, note: dict[str, Any]) -> None:
        for one in self.watchers:
            one.put({"type": kind, "object": note})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster
    state: State
    allowed_names: list[str]

    def user(self) -> dict[str, Any] | None:
        """Who asks, as the front proxy says or as the cluster knows the token."""
        subject = dict(pair[0] for pair in (self.connection.getpeercert() or {}).get("subject", ()))
        if subject.get("commonName") in self.allowed_names:
            extra: dict[str, list[str]] = {}
            for name, value in self.headers.items():
                if name.lower().startswith("x-remote-extra-"):
                    extra.setdefault(unquote(name[len("x-remote-extra-") :].lower()), []).append(value)
            groups = self.headers.get_all("X-Remote-Group") or []
            name, uid = self.headers["X-Remote-User"], self.headers.get("X-Remote-Uid", "")
            return {"user": name, "groups": groups, "uid": uid, "extra": extra}
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = self.cluster.ask("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        if not status.get("authenticated"):
            return None
        found = status["user"]
        return {"user": found["username"], "groups": found.get("groups", []), "uid": found.get("uid", ""), "extra": {}}

    def may(self, user: dict[str, Any], verb: str, namespace: str, name: str) -> bool:
        asked = {"verb": verb, "group": GROUP, "version": VERSION, "resource": "notes", "namespace": namespace}
        spec = {**user, "resourceAttributes": {**asked, "name": name}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(self.cluster.ask("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, reason: str, message: str) -> None:
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.answer(status, {**head, "message": message, "reason": reason, "code": status})

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_DELETE(self) -> None:
        self.handle_any()

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = self.user()
        if user is None:
            return self.refuse(401, "Unauthorized", "Unauthorized")
        parts = urlsplit(self.path)
        if parts.path == ROOT:
            head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
            return self.answer(200, {**head, "resources": RESOURCES})
        if parts.path == f"{ROOT}/echo" and self.headers.get("Upgrade") == "echo":
            return self.echo()
        if parts.path == f"{ROOT}/redirect":
            self.send_response(302)
            self.send_header("Location", "https://elsewhere.example.com/")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if parts.path == "/openapi/v3":
            return self.answer(200, {"paths": {ROOT[1:]: {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=A"}}})
        if parts.path == "/openapi/v2":
            document = {"swagger": "2.0", "paths": {ROOT + "/notes": {"get": {}}, "/version": {}}, "definitions": {}}
            return self.answer(200, document)
        if parts.path == f"/openapi/v3{ROOT}":
            return self.answer(200, {"openapi": "3.0.0", "info": {"title": "notes", "version": "1"}, "paths": {}})
        if parts.path == f"{ROOT}/whoami":
            seen = {k.lower(): v for k, v in self.headers.items()}
            return self.answer(200, {**user, "headers": seen})
        steps = parts.path.removeprefix(ROOT).strip("/").split("/")
        namespace = steps[1] if steps[0] == "namespaces" else ""
        name = steps[3] if len(steps) > 3 else ""
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        verb = {"POST": "create", "DELETE": "delete"}.get(self.command) or ("get" if name else "list")
        verb = "watch" if verb == "list" and query.get("watch") in ("1", "true") else verb
        if not self.may(user, verb, namespace, name):
            return self.refuse(403, "Forbidden", f'notes is forbidden: User "{user["user"]}" cannot {verb} notes')
        return getattr(self, verb)(namespace, name, body)

    def echo(self) -> None:
        """An upgraded connection on which what comes is sent back."""
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "echo")
        self.end_headers()
        self.close_connection = True
        while data := self.rfile.readline():
            self.wfile.write(b"echo " + data)

    def list(self, namespace: str, name: str, body: bytes) -> None:
        with self.state.lock:
            items = [n for (space, _), n in sorted(self.state.notes.items()) if namespace in ("", space)]
            meta = {"resourceVersion": str(self.state.revision)}
        self.answer(200, {"kind": "NoteList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": meta, "items": items})

    def get(self, namespace: str, name: str, body: bytes) -> None:
        found = self.state.notes.get((namespace, name))
        if found is None:
            self.refuse(404, "NotFound", f'notes.{GROUP} "{name}" not found')
            return
        self.answer(200, found)

    def create(self, namespace: str, name: str, body: bytes) -> None:
        note = json.loads(body)
        with self.state.lock:
            self.state.revision += 1
            moment = {"uid": f"u{self.state.revision}", "creationTimestamp": "2026-01-01T00:00:00Z"}
            note["metadata"] |= {"namespace": namespace, "resourceVersion": str(self.state.revision), **moment}
            self.state.notes[namespace, note["metadata"]["name"]] = note
            self.state.changed("ADDED", note)
        self.answer(201, note)

    def delete(self, namespace: str, name: str, body: bytes) -> None:
        with self.state.lock:
            found = self.state.notes.pop((namespace, name), None)
            if found is not None:
                self.state.changed("DELETED", found)
        if found is None:
            self.refuse(404, "NotFound", f'notes.{GROUP} "{name}" not found')
            return
        self.answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def watch(self, namespace: str, name: str, body: bytes) -> None:
        events: queue.Queue[dict[str, Any]] = queue.Queue()
        with self.state.lock:
            for note in self.state.notes.values():
                events.put({"type": "ADDED", "object": note})
            self.state.watchers.append(events)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                data = json.dumps(events.get()).encode() + b"\n"
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
                self.wfile.flush()
        except OSError:
            self.state.watchers.remove(events)

    def log_message(self, *_: object) -> None: ...


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    Handler.cluster, Handler.state = Cluster(settings), State()
    trust = Handler.cluster.ask("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")["data"]
    Handler.allowed_names = json.loads(trust["requestheader-allowed-names"])
    assert json.loads(trust["requestheader-username-headers"]) == ["X-Remote-User"]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(settings["certificate"], settings["key"])
    tls.load_verify_locations(cadata=trust["requestheader-client-ca-file"])
    tls.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", settings["port"]), Handler)
    server.daemon_threads = True
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
