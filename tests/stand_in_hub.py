"""A stand-in for the Hugging Face hub on loopback: real files of a folder, served as the hub's client asks for them.

Repositories lie in `folder/models/ORG/NAME` and `folder/datasets/ORG/NAME`; their only commit is named in `commits`. With a
token, whoever does not bring it is refused. What was asked is kept, so that a test can say how often. It takes repositories that
are sent to it, too: small files in the commit, weights and tables before it, by their digests.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NEWEST = "1" * 40
LARGE = (".safetensors", ".parquet")  # what the hub keeps by its digest


@dataclass
class Hub:
    folder: Path
    token: str | None = None
    commits: dict[str, str] = field(default_factory=dict)  # "models/ORG/NAME" → commit; NEWEST unless given
    damaged: set[str] = field(default_factory=set)  # files whose bytes come changed
    without_trees: bool = False  # it tells of a repository, and not what lies in it
    asked: list[str] = field(default_factory=list)
    private: set[str] = field(default_factory=set)  # repositories that were made so
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": f"http://127.0.0.1:{self.port}", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def commit(self, repository: str) -> str:
        return self.commits.get(repository, NEWEST)


@contextmanager
def stand_in_hub(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.asked.append(f"{self.command} {path}")
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
            elif path.startswith("api/"):
                self._information(path.removeprefix("api/"))
            else:
                self._file(path if path.startswith("datasets/") else f"models/{path}")

        def do_POST(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.asked.append(f"POST {path}")
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self._answer(401, b"{}", {"X-Error-Message": "The token may not write."})
            told = self._taken(path, sent)
            self._answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

        def _taken(self, path: str, sent: bytes) -> dict[str, object]:
            home = f"http://127.0.0.1:{hub.port}"
            if path == "api/repos/create":
                asked = json.loads(sent)
                name = f"{asked.get('type') or 'model'}s/{asked.get('organization', '')}/{asked['name']}".replace(
                    "//", "/"
                )
                (hub.folder / name).mkdir(parents=True, exist_ok=True)
                hub.private |= {name} if asked.get("private") or asked.get("visibility") == "private" else set()
                return {"url": f"{home}/{name.removeprefix('models/')}"}
            if path == "api/validate-yaml":
                return {"errors": [], "warnings": []}
            if path.endswith(".git/info/lfs/objects/batch"):
                objects = json.loads(sent)["objects"]
                actions = [{"upload": {"href": f"{home}/lfs/{each['oid']}", "header": {}}} for each in objects]
                return {
                    "transfer": "basic",
                    "objects": [{**each, "actions": action} for each, action in zip(objects, actions, strict=True)],
                }
            _, kind, organisation, name, act, *_ = path.split("/")
            if act == "preupload":
                modes = {True: "lfs", False: "regular"}
                files = [
                    {"path": each["path"], "shouldIgnore": False, "uploadMode": modes[each["path"].endswith(LARGE)]}
                    for each in json.loads(sent)["files"]
                ]
                return {"files": files}
            for line in sent.splitlines():
                self._committed(hub.folder / kind / organisation / name, json.loads(line))
            return {"commitUrl": f"{home}/{organisation}/{name}/commit/{NEWEST}", "commitOid": NEWEST, "hookOutput": ""}

        def _committed(self, repository: Path, told: dict[str, Any]) -> None:
            value = told["value"]
            if told["key"] == "header":
                return
            target = repository / value["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if told["key"] == "file":
                target.write_bytes(base64.b64decode(value["content"]))
            else:
                target.write_bytes((hub.folder / "lfs" / value["oid"]).read_bytes())

        def do_PUT(self) -> None:
            oid = urlsplit(self.path).path.rpartition("/")[2]
            content = self.rfile.read(int(self.headers["Content-Length"]))
            assert hashlib.sha256(content).hexdigest() == oid
            (hub.folder / "lfs").mkdir(parents=True, exist_ok=True)
            (hub.folder / "lfs" / oid).write_bytes(content)
            self._answer(200, b"", {})

        def _information(self, path: str) -> None:
            kind, organisation, name, *rest = path.split("/")
            repository = f"{kind}/{organisation}/{name}"
            commit = hub.commit(repository)
            revision = rest[1] if rest[:1] in (["revision"], ["tree"]) else "main"
            if not (hub.folder / repository).is_dir():
                return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if revision not in ("main", commit):
                return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            files = sorted(path for path in (hub.folder / repository).rglob("*") if path.is_file())
            if rest[:1] == ["tree"]:
                if hub.without_trees:
                    return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                told = [self._entry(file, hub.folder / repository) for file in files]
                return self._answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
            siblings = [self._sibling(file, hub.folder / repository) for file in files]
            content = {
                "id": f"{organisation}/{name}",
                "sha": commit,
                "private": False,
                "tags": [],
                "siblings": siblings,
            }
            self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _sibling(self, file: Path, root: Path) -> dict[str, object]:
            content = file.read_bytes()
            told: dict[str, object] = {"rfilename": file.relative_to(root).as_posix(), "size": len(content)}
            if file.name.endswith(LARGE):
                told["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 1}
            return told

        def _entry(self, file: Path, root: Path) -> dict[str, object]:
            """The same of a file as a line of the repository's tree."""
            told = self._sibling(file, root)
            entry: dict[str, object] = {
                "type": "file",
                "oid": "0" * 40,
                "path": told["rfilename"],
                "size": told["size"],
            }
            if "lfs" in told:
                entry["lfs"] = {
                    "size": told["size"],
                    "oid": hashlib.sha256(file.read_bytes()).hexdigest(),
                    "pointerSize": 1,
                }
            return entry

        def _file(self, path: str) -> None:
            kind, organisation, name, _resolve, _revision, *rest = path.split("/")
            file = hub.folder / kind / organisation / name / "/".join(rest)
            if not file.is_file():
                return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            content = file.read_bytes()
            tag = hashlib.sha256(content).hexdigest()
            if file.name in hub.damaged:
                content = bytes([content[0] ^ 1]) + content[1:]
            commit = hub.commit(f"{kind}/{organisation}/{name}")
            self._answer(
                200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": commit, "X-Linked-Size": str(len(content))}
            )

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
