"""A local server that speaks the few addresses of the Hugging Face Hub that a download needs."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, how it behaves, and what it was asked for.

    Attributes:
        folders: every repository's files.
        gated: repositories that answer 403.
        break_after: bytes of a file after which the connection breaks, once per file.
        requests: method, path and range of every request so far.
        created: what each new repository was asked to be.
        uploaded: content of each file that was committed.
    """

    folders: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    break_after: int | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    created: list[dict[str, object]] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    broken: set[str] = field(default_factory=set)

    def fetched(self) -> list[tuple[str, str | None]]:
        """The files whose content was asked for, and from which byte."""
        return [
            (path.rpartition("/")[2], span)
            for method, path, span in self.requests
            if method == "GET" and "/resolve/" in path
        ]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the server while the block runs."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        """Make a repository, say how files are sent, and take a commit of small files."""
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, None))
        lines = self._body().splitlines()
        document = json.loads(lines[0])
        if path == "/api/repos/create":
            self.hub.created.append(document)
            url = f"{self.hub.url}/{document.get('organization')}/{document['name']}"
            self._send(200, json.dumps({"url": url, "id": "1"}).encode())
        elif "/preupload/" in path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in document["files"]
            ]
            self._send(200, json.dumps({"files": files}).encode())
        else:
            name = "/".join(path.split("/")[3:5])
            for line in lines[1:]:
                value = json.loads(line)["value"]
                self.hub.uploaded[value["path"]] = base64.b64decode(value["content"])
            answer = {
                "commitUrl": f"{self.hub.url}/{name}/commit/{COMMIT}",
                "commitOid": COMMIT,
                "success": True,
            }
            self._send(200, json.dumps(answer).encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            what, *revision = parts[4:] or ["revision", "main"]
            self._api("/".join(parts[2:4]), what, "/".join(revision))
        else:
            self._file("/".join(parts[:2]), "/".join(parts[4:]))

    def _api(self, name: str, what: str, revision: str) -> None:
        if name in self.hub.gated:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif name not in self.hub.folders:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif what == "revision":
            self._send(200, json.dumps({"id": name, "sha": COMMIT, "siblings": []}).encode())
        else:
            self._send(200, json.dumps(self._tree(self.hub.folders[name])).encode())

    def _tree(self, folder: Path) -> list[dict[str, object]]:
        return [
            {
                "type": "file",
                "path": str(file.relative_to(folder)),
                "size": file.stat().st_size,
                "oid": _etag(file),
            }
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]

    def _file(self, name: str, path: str) -> None:
        file = self.hub.folders.get(name, Path()) / path
        if name not in self.hub.folders or not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content = file.read_bytes()
        headers = {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT}
        span = self.headers.get("Range")
        if span is None:
            self._send(200, content, headers)
            return
        begin = int(span.removeprefix("bytes=").partition("-")[0])
        headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._send(206, content[begin:], headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = self.hub.break_after
        if limit is not None and len(content) > limit and self.path not in self.hub.broken:
            self.hub.broken.add(self.path)
            self.wfile.write(content[:limit])
            self.close_connection = True
            return
        self.wfile.write(content)


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
