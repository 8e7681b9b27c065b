"""Takes log lines from all nodes and keeps the newest: POST / with JSON lines, GET /?node=…&pod=… gives them back."""

import collections
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

MAX_LINES, MAX_BODY = 20_000, 4 * 1024 * 1024
lines = collections.deque(maxlen=MAX_LINES)
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            return self.answer(413, "")
        taken = [json.loads(line) for line in self.rfile.read(length).splitlines()]
        with lock:
            lines.extend(taken)
        return self.answer(200, "")

    def do_GET(self):
        wanted = dict(parse_qsl(urlsplit(self.path).query))
        with lock:
            found = [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]
        return self.answer(200, "".join(json.dumps(line) + "\n" for line in found))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
