#!/usr/bin/env python3
"""An HTTP server that takes whatever is uploaded and writes down what really arrived.

usage: sink.py PORT LOG   One line per request: method, path, bytes of the body, SHA-256 of the body.
"""
import hashlib, http.server, json, random, socket, sys, threading

log, lock = open(sys.argv[2], "a", buffering=1), threading.Lock()


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def take(self):
        left, seen, digest = int(self.headers.get("Content-Length") or 0), 0, hashlib.sha256()
        while left > 0:
            block = self.rfile.read(min(left, 1 << 16))
            if not block:
                break
            digest.update(block)
            left, seen = left - len(block), seen + len(block)
        with lock:
            log.write(f"{self.command} {self.path} {seen} {digest.hexdigest()}\n")
        answer = b""
        if "/api/" in self.path:
            answer = json.dumps({"ok": True, "items": [random.getrandbits(60) for _ in range(random.randrange(2, 80))]}).encode()
        self.send_response(200 if answer else 201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_PROPFIND = do_MKCOL = take

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
    daemon_threads = True


Server(("::", int(sys.argv[1])), Sink).serve_forever()
