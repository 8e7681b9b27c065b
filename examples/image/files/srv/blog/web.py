"""The blog's web tier: a page of posts, a form, `/posts` as JSON. Settings come from the environment."""

import contextlib
import html
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pymysql

PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>
<form method="post"><input name="author" placeholder="your name"> <input name="text" size="60"> <button>Post</button></form>
{posts}<footer><small>answered by {pod}</small></footer>
"""
MAX_BODY = 64 * 1024


def connection():
    """One for each request: after the database's restart the next request simply connects again."""
    return pymysql.connect(
        host=os.environ["DATABASE"],
        user="blog",
        password=os.environ["PASSWORD"],
        database="blog",
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=2,
    )


def posts():
    with contextlib.closing(connection()) as made, made.cursor() as cursor:
        cursor.execute("SELECT id, author, text FROM posts ORDER BY id DESC LIMIT 500")
        return [{"id": row[0], "author": row[1], "text": row[2]} for row in cursor.fetchall()]


def add(author, text):
    with contextlib.closing(connection()) as made, made.cursor() as cursor:
        cursor.execute("INSERT INTO posts (author, text) VALUES (%s, %s)", (author, text))
        return cursor.lastrowid


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, "ok")
        try:
            found = posts()
        except pymysql.Error as error:
            return self.answer(503, f"the database doesn't answer: {error}")
        if self.path == "/readyz":
            return self.answer(200, "ok")
        if self.path == "/posts":
            return self.answer(200, json.dumps(found), "application/json")
        shown = "".join(f"<p><b>{html.escape(p['author'])}</b>: {html.escape(p['text'])}</p>" for p in found)
        title = html.escape(os.environ.get("TITLE", "A blog"))
        return self.answer(200, PAGE.format(title=title, posts=shown, pod=os.environ["POD_NAME"]), "text/html")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            return self.answer(413, "too long")
        form = parse_qs(self.rfile.read(length).decode())
        try:
            made = add(form.get("author", ["somebody"])[0][:100], form.get("text", [""])[0])
        except pymysql.Error as error:
            return self.answer(503, f"the database doesn't answer: {error}")
        return self.answer(201, str(made))

    def answer(self, status, text, kind="text/plain"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        if "/readyz" not in self.path and "/healthz" not in self.path:
            super().log_message(*words)


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
