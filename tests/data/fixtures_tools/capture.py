"""A server that keeps what clients send, and answers as their servers would: python capture.py PORT FILE"""

import base64
import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        kept = {"method": self.command, "path": self.path, "type": self.headers.get("Content-Type", "")}
        try:
            kept["body"] = json.loads(body or b"null")
        except ValueError:
            kept["base64"] = base64.b64encode(body).decode()
        with Path(FILE).open("a", encoding="utf-8") as out:
            out.write(json.dumps(kept) + "\n")
        told = {"batch_ingest_config": {"use_multipart_endpoint": False}, "version": "0.13.0"}
        told |= {"successes": [], "errors": [], "projects": [], "meta": {}}
        told["data"] = [{"id": "p", "name": "p", "organization": {"id": "o", "name": "o"}}]
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = take

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    FILE = sys.argv[2]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
