#!/usr/bin/env python3
"""DNS over HTTPS (RFC 8484): the resolver behind nginx, a tunnel through it, and a browser's look-ups.

usage: doh.py serve PORT LOG             one line per question: the name
       doh.py tunnel HOST ZONE FILE CHUNK_BYTES POLLS PAUSE_S get|post PAD_TO SEED
       doh.py browse HOST NAMES_FILE SECONDS get|post PAD_TO SEED     prints how many it asked
"""
import base64, http.server, os, random, socketserver, struct, sys, time

import dns_wire as dns

KIND = "application/dns-message"


def answers(name, kind):
    if kind == dns.TXT:
        return [(dns.TXT, dns.text_data(os.urandom(random.choice([20, 60, 120, 180])).hex().encode()))]
    if kind == dns.A:
        return [(dns.A, os.urandom(4)) for _ in range(random.randrange(1, 5))]
    if kind == dns.AAAA and random.random() < 0.6:
        return [(dns.AAAA, os.urandom(16)) for _ in range(random.randrange(1, 3))]
    return []


class Resolver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, message):
        name, kind, _ = dns.question(message)
        log.write(name + "\n")
        body = dns.reply(message, answers(name, kind))
        body += bytes(-len(body) % 468 if random.random() < 0.5 else 0)
        self.send_response(200)
        self.send_header("Content-Type", KIND)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self):
        text = self.path.split("dns=")[1]
        self.answer(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64


def client():
    import httpx

    return httpx.Client(http2=True, verify=False, timeout=20)


def ask(http, host, method, message):
    url = f"https://{host}/dns-query"
    if method == "post":
        answer = http.post(url, content=message, headers={"Content-Type": KIND, "Accept": KIND})
    else:
        text = base64.urlsafe_b64encode(message).rstrip(b"=").decode()
        answer = http.get(url, params={"dns": text}, headers={"Accept": KIND})
    answer.raise_for_status()


def tunnel(host, zone, path, chunk, polls, pause, method, pad, seed):
    random.seed(seed)
    data = open(path, "rb").read()
    turns = list(range(0, len(data), chunk)) + [-1] * polls
    turns.sort(key=lambda at: at if at >= 0 else random.randrange(len(data)))
    with client() as http:
        for number, at in enumerate(turns):
            digits = (struct.pack("!II", number, max(at, 0)) + (data[at : at + chunk] if at >= 0 else b"")).hex()
            labels = [digits[at : at + 60] for at in range(0, len(digits), 60)]
            ask(http, host, method, dns.query(".".join(labels + [zone]), dns.TXT, pad))
            time.sleep(pause * random.uniform(0.5, 1.5))


def browse(host, names, seconds, method, pad, seed):
    random.seed(seed)
    names, asked, end = open(names).read().split(), 0, time.monotonic() + seconds
    with client() as http:
        while time.monotonic() < end:
            for name in random.sample(names, random.randrange(1, 12)):
                for kind in random.choice([[dns.A, dns.AAAA], [dns.A, dns.AAAA, dns.HTTPS], [dns.A]]):
                    ask(http, host, method, dns.query(name, kind, pad))
                    asked += 1
            time.sleep(random.uniform(0.2, 2.5))
    print(asked)


if sys.argv[1] == "serve":
    log = open(sys.argv[3], "a", buffering=1)
    print("ready", flush=True)
    Server(("127.0.0.1", int(sys.argv[2])), Resolver).serve_forever()
elif sys.argv[1] == "tunnel":
    host, zone, path, chunk, polls, pause, method, pad, seed = sys.argv[2:]
    tunnel(host, zone, path, int(chunk), int(polls), float(pause), method, int(pad), int(seed))
else:
    host, names, seconds, method, pad, seed = sys.argv[2:]
    browse(host, names, float(seconds), method, int(pad), int(seed))
