"""The hub of open models on the loopback, as `huggingface_hub` asks it: a model's listing, and files by commit.

Small files come at once; large ones (`.safetensors`) are pointed to at another path, as the hub points to its store, with the size
and the hash of what lies there.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "Model", "pipeline"]


def pipeline(kind: str = "WanPipeline", *, shards: int = 2) -> dict[str, bytes]:
    """The files of a repository in diffusers' format, with what a pull is to leave where it is: other formats and examples."""
    index = {
        "_class_name": kind, "_diffusers_version": "0.42.1", "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"], "transformer_2": [None, None], "vae": ["diffusers", "AutoencoderKLWan"],
        "boundary_ratio": 0.9,
    }  # fmt: skip
    files = {
        "model_index.json": json.dumps(index).encode(),
        "scheduler/scheduler_config.json": b"{}",
        "tokenizer/tokenizer.json": b'{"a": 1}',
        "tokenizer/spiece.model": b"pieces",
        "text_encoder/config.json": b"{}",
        "text_encoder/model.safetensors": b"t" * 3000,
        "text_encoder/pytorch_model.bin": b"T" * 3000,
        "vae/config.json": b"{}",
        "vae/diffusion_pytorch_model.safetensors": b"v" * 500,
        "vae/diffusion_pytorch_model.fp16.safetensors": b"V" * 250,
        "transformer/config.json": b"{}",
        "transformer/diffusion_pytorch_model.safetensors.index.json": b"{}",
        "examples/i2v_input.JPG": b"j" * 700,
        "README.md": b"# a model",
        "wan2.1_t2v.safetensors": b"o" * 9000,
    }
    for number in range(1, shards + 1):
        name = f"transformer/diffusion_pytorch_model-{number:05}-of-{shards:05}.safetensors"
        files[name] = str(number).encode() * 2000
    return files


@dataclass
class Model:
    """One repository.

    Attributes:
        files: by name. gated: whether its terms have to be agreed to. private: whether only the token's owner sees it.
    """

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False

    @property
    def commit(self) -> str:
        """Changes with what is in it."""
        seen = hashlib.sha1()
        for name in sorted(self.files):
            seen.update(name.encode() + b"\0" + self.files[name])
        return seen.hexdigest()


@dataclass
class Hub:
    """A hub of these models.

    Attributes:
        models: by id. token: opens what is private; whoever has it has agreed to all terms, too.
        breaks: by file name, how often its content breaks off in the middle. down: whether every answer is a 503.
        asked: every request, as `"GET /path"`. tokens: what came as `Authorization`, and at the store.
    """

    models: dict[str, Model] = field(default_factory=dict)
    token: str = "hf_a-secret-token"
    breaks: dict[str, int] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    tokens_at_store: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        hub = self

        class Handler(_Handler):
            served = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def store(self) -> str:
        """Another host, as the hub's store is: the token does not go there."""
        return self.url.replace("127.0.0.1", "localhost")

    def fetched(self) -> list[str]:
        """Names of files whose content was asked for, in order."""
        found = [
            re.fullmatch(r"GET /(?:resolve-store/)?[^/]+/[^/]+/(?:resolve/)?[0-9a-f]{40}/(.+)", one)
            for one in self.asked
        ]
        return [match[1] for match in found if match]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        hub, path = self.served, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        given = self.headers.get("Authorization", "")
        hub.tokens |= {given} - {""}
        if path.startswith("/resolve-store/"):
            hub.tokens_at_store |= {given} - {""}
        if hub.down:
            return self._send(503, b"down", {}, with_body)
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        store = re.fullmatch(r"/resolve-store/([^/]+/[^/]+)/([^/]+)/(.+)", path)
        match = listing or file or store
        model = hub.models.get(match[1]) if match else None
        knows = given == f"Bearer {hub.token}"
        if match is None or model is None or (model.private and not knows and not store):
            return self._error(404 if knows else 401, "RepoNotFound", with_body)
        if (match[2] or "main") not in ("main", model.commit):
            return self._error(404, "RevisionNotFound", with_body)
        if listing:
            return self._list(match[1], model, with_body)
        if model.gated and not knows and not store:
            return self._error(403 if given else 401, "GatedRepo", with_body)
        content = model.files.get(match[3])
        if content is None:
            return self._error(404, "EntryNotFound", with_body, {"X-Repo-Commit": model.commit})
        if store:
            return self._content(match[3], content, with_body)
        headers = {"X-Repo-Commit": model.commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if match[3].endswith(".safetensors"):
            headers |= {
                "X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Location": f"{hub.store}/resolve-store/{match[1]}/{model.commit}/{match[3]}",
            }  # fmt: skip
            return self._send(302, b"", headers, with_body)
        return self._send(200, content, headers, with_body)

    def _list(self, name: str, model: Model, with_body: bool) -> None:
        siblings = [{"rfilename": file, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
                    for file, content in sorted(model.files.items())]  # fmt: skip
        body = {"_id": "1", "id": name, "modelId": name, "sha": model.commit, "private": model.private, "tags": [], "downloads": 0,
                "gated": "auto" if model.gated else False, "siblings": siblings}  # fmt: skip
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"}, with_body)

    def _content(self, name: str, content: bytes, with_body: bool) -> None:
        start = (
            int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        )
        headers = {"Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if with_body and self.served.breaks.get(name, 0):
            self.served.breaks[name] -= 1
            self.send_response(206 if start else 200)
            for key, value in {**headers, "Content-Length": str(len(content) - start)}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content[start : start + 10])
            self.wfile.flush()
            self.close_connection = True
            return
        self._send(206 if start else 200, content[start:], headers, with_body)

    def _error(
        self, status: int, code: str, with_body: bool, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps({"error": code}).encode()
        self._send(
            status,
            body,
            {"X-Error-Code": code, "Content-Type": "application/json", **(headers or {})},
            with_body,
        )

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
