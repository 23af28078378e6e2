"""A stand-in for W&B's server on the loopback: answers what the client needs and records what it was asked."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER = {"id": "u", "name": "tester", "username": "tester", "entity": "tester", "email": "t@example.org", "admin": False}
USER |= {"flags": "{}", "teams": {"edges": []}, "apiKeys": {"edges": []}}


class Server(ThreadingHTTPServer):
    """Attributes: `operations`, the GraphQL operations asked for, in order, as (name, variables); `files`, what was
    uploaded, by name; `history` and `summaries`, the rows and the last values of every run, by its id; `leaves_after`,
    the name of the operation after which it is gone; `gone`, whether it is; `instead`, what it does to a request then.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.operations: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[str, bytes] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.summaries: dict[str, str] = {}
        self.leaves_after = ""
        self.gone = False
        self.instead: Callable[[Handler], None] = hang_up
        self.over = threading.Event()

    def handle_error(self, *arguments: object) -> None:
        """A client that hangs up is no error."""

    def named(self, name: str) -> list[dict[str, Any]]:
        """The variables of each operation of that name."""
        return [variables for asked, variables in self.operations if asked == name]

    def answer(self, name: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What W&B would say, as far as its client reads it."""
        run = str(variables.get("name"))
        project = {"id": "p", "name": "sinefield", "entity": {"id": "e", "name": "tester"}}
        bucket = {"id": f"id-{run}", "name": run, "displayName": run, "config": "{}", "sweepName": None}
        bucket |= {"project": project, "historyLineCount": 0}
        files = [
            {"name": f, "uploadUrl": f"{self.url}/upload/{variables.get('run')}/{f}"}
            for f in variables.get("files") or []
        ]
        created = {"runID": "r", "uploadHeaders": [], "files": files}
        view = {"view": {"id": "v", "name": variables.get("name")}, "inserted": True}
        return {
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "CreateRunFiles": {"createRunFiles": created},
            "UpsertView2": {"upsertView": view},
            "ServerFeaturesQuery": {"serverInfo": {"features": []}},
            "RunResumeStatus": {"model": project | {"bucket": self.known(run, bucket)}},
            "Viewer": {"viewer": USER},
        }.get(name, {field: USER if field == "viewer" else None for field in re.findall(r"\{\s*(\w+)", query)[:1]})

    def stream(self, run: str, files: dict[str, dict[str, Any]]) -> None:
        """Take what a run streams: lines of its history, from an offset on, and its summary, which is one line."""
        history = files.get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows, start = [json.loads(line) for line in history["content"]], history["offset"]
        if rows:
            self.history.setdefault(run, [])[start : start + len(rows)] = rows
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summaries[run] = line

    def known(self, run: str, bucket: dict[str, Any]) -> dict[str, Any] | None:
        """What a client that goes on with a run is told of it; None where there is none."""
        if run not in self.history:
            return None
        tail = [json.dumps(row) for row in self.history[run][-1:]]
        lines = {"historyLineCount": len(self.history[run]), "eventsLineCount": 0, "logLineCount": 0}
        tails = {"historyTail": json.dumps(tail), "eventsTail": "[]"}
        more = {"summaryMetrics": self.summaries.get(run, "{}"), "tags": [], "wandbConfig": '{"t": 1}'}
        return bucket | lines | tails | more


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.server.gone:
            return self.server.instead(self)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        asked = json.loads(body or "{}")
        if "/file_stream" in self.path:
            self.server.stream(self.path.split("/")[-2], asked.get("files", {}))
            return self.say({"exitcode": None, "limits": {}})
        query = asked.get("query", "")
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = asked.get("operationName") or (found[1] if found else "")
        variables = asked.get("variables") or {}
        self.server.operations.append((name, variables))
        self.server.gone = name == self.server.leaves_after
        return self.say({"data": self.server.answer(name, query, variables)})

    def do_PUT(self) -> None:
        if self.server.gone:
            return self.server.instead(self)
        name = self.path.removeprefix("/upload/").split("?")[0]
        self.server.files[name] = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.say({})

    def do_GET(self) -> None:
        if self.server.gone:
            return self.server.instead(self)
        return self.say({})

    def say(self, answer: dict[str, Any]) -> None:
        self.send(200, "application/json", json.dumps(answer).encode())

    def send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def hang_up(request: Handler) -> None:
    """Close the connection without a word."""
    request.close_connection = True


def hang(request: Handler) -> None:
    """Keep the connection and say nothing."""
    request.server.over.wait()
    request.close_connection = True


def fail(request: Handler) -> None:
    """An error of the server's own."""
    request.rfile.read(int(request.headers.get("Content-Length") or 0))
    request.send(500, "text/plain", b"it broke")


def babble(request: Handler) -> None:
    """Success, but not in W&B's language: a proxy's login page."""
    request.rfile.read(int(request.headers.get("Content-Length") or 0))
    request.send(200, "text/html", b"<html>Please log in</html>")


@contextmanager
def serving() -> Iterator[Server]:
    """A server for the length of a block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
