"""A repository of charts over HTTP for tests: a folder, with a login and TLS if wanted, and paths that misbehave."""

from __future__ import annotations

import base64
import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from heeler.base import pki

LOGIN = ("me", "secret")
#: Bytes of a body that is cut off, and what its head promises.
CUT, PROMISED = b"half of it", 1000


class Server:
    """`asked` has (path, what the Authorization header said) of each request; `elsewhere` is where `/elsewhere` leads to."""

    def __init__(self, folder: Path, *, login: bool = False, tls: Path | None = None) -> None:
        self.folder, self.login = folder, login
        self.asked: list[tuple[str, str]] = []
        self.elsewhere = ""
        self.stopped = threading.Event()
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.httpd.daemon_threads = True
        scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.crt", tls / "server.key")
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://localhost:{self.httpd.server_port}"

    def _handler(self) -> type[http.server.SimpleHTTPRequestHandler]:
        server = self
        wanted = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(server.folder))  # type: ignore[arg-type]

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                said = self.headers.get("Authorization", "")
                server.asked.append((self.path, said))
                first = self.path.split("/")[1]
                if first in ("loop", "elsewhere", "file"):
                    to = {"loop": "/loop", "file": "file:///etc/passwd"}.get(first)
                    self.send_response(302)
                    self.send_header("Location", to or server.elsewhere + self.path.removeprefix("/elsewhere"))
                    self.end_headers()
                elif first == "cut":
                    self.send_response(200)
                    self.send_header("Content-Length", str(PROMISED))
                    self.end_headers()
                    self.wfile.write(CUT)
                elif first == "drip":
                    self.send_response(200)
                    self.end_headers()
                    while not server.stopped.wait(0.1):
                        self.wfile.write(b"#")
                        self.wfile.flush()
                elif first == "endless":
                    self.send_response(200)
                    self.end_headers()
                    with contextlib.suppress(OSError):
                        while not server.stopped.is_set():
                            self.wfile.write(b"#" * (1 << 20))
                elif first == "hang":
                    server.stopped.wait(60)
                elif server.login and said != wanted:
                    self.send_response(401)
                    self.end_headers()
                else:
                    super().do_GET()

        return Handler


@contextlib.contextmanager
def served(folder: Path, *, login: bool = False, tls: Path | None = None) -> Iterator[Server]:
    """A server of a folder; `tls` is a folder that gets `ca.crt`, which signs for localhost."""
    folder.mkdir(parents=True, exist_ok=True)
    if tls is not None:
        tls.mkdir(exist_ok=True)
        authority = pki.new_authority("charts", time.time())
        authority.save(tls / "ca.crt", tls / "ca.key")
        made = pki.issue(authority, "server", time.time(), server_names=["localhost"])
        made.save(tls / "server.crt", tls / "server.key")
    server = Server(folder, login=login, tls=tls)
    thread = threading.Thread(target=server.httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.httpd.shutdown()
        server.httpd.server_close()
        thread.join()
