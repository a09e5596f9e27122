"""A server that speaks as much of the OpenAI protocol as a streamed chat needs, and says what a test wrote for it."""

import json
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class OpenAIServer:
    """Answers every chat with `script`: text is sent as a piece, a number is a pause in seconds, bytes are sent as they are.

    `ends`: whether it finishes the stream or drops the connection; `status`: other than 200, nothing is streamed.
    """

    def __init__(self, script: Sequence[str | float | bytes] = (), status: int = 200, ends: bool = True) -> None:
        self.script, self.status, self.ends = script, status, ends
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.dropped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> "OpenAIServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(json.loads(handler.rfile.read(int(handler.headers["content-length"]))))
        self.keys.append(handler.headers["authorization"])
        if self.status != 200:
            handler.send_error(self.status)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        try:
            for item in self.script:
                self._send(handler, item)
            if self.ends:
                self._send(handler, b"data: [DONE]\n\n")
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.dropped.set()

    def _send(self, handler: BaseHTTPRequestHandler, item: str | float | bytes) -> None:
        if isinstance(item, int | float):
            time.sleep(item)
            return
        if isinstance(item, str):
            delta = {"index": 0, "delta": {"role": "assistant", "content": item}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "stand-in", "choices": [delta]}
            item = f"data: {json.dumps(chunk)}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(item), item))
        handler.wfile.flush()
