#!/usr/bin/env python3
"""The far side of the demo: pages and downloads, name service, and a taker of uploads.

usage: servers.py FOLDER   For each upload a file FOLDER/NAME holds the bytes that arrived so far.
"""
import http.server, os, random, socket, sys, threading

ADDRESSES = {"www.example": "203.0.113.10", "news.example": "203.0.113.20", "files.example": "203.0.113.30"}
BYTES = random.Random(1).randbytes(1 << 20)
folder = sys.argv[1]


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.path.rsplit("-", 1)[-1])
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        while length > 0:
            self.wfile.write(BYTES[: min(length, len(BYTES))])
            length -= len(BYTES)

    def do_PUT(self):
        left, arrived = int(self.headers["Content-Length"]), 0
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        with open(os.path.join(folder, os.path.basename(self.path)), "w") as count:
            while left > 0:
                block = self.rfile.read1(min(left, 1 << 16))
                if not block:
                    break
                left, arrived = left - len(block), arrived + len(block)
                count.seek(0)
                count.write(str(arrived))
                count.flush()
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle_expect_100(self):
        return True

    def log_message(self, *_):
        pass


def names():
    service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("203.0.113.53", 53))
    while True:
        query, client = service.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12 : at + 5]
        address = ADDRESSES.get(".".join(labels)) if question[-4:-2] == b"\0\1" else None
        answer = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + socket.inet_aton(address) if address else b""
        service.sendto(query[:2] + b"\x81\x80\0\1\0" + bytes([bool(answer)]) + bytes(4) + question + answer, client)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


threading.Thread(target=names, daemon=True).start()
threading.Thread(target=Server(("0.0.0.0", 80), Site).serve_forever, daemon=True).start()
Server(("0.0.0.0", 8080), Site).serve_forever()
