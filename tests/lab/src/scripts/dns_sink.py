#!/usr/bin/env python3
"""The name server of a thief's zone: writes down every name it is asked for and answers something.

usage: dns_sink.py ADDRESS LOG ANSWER   (ANSWER: address, text, nxdomain). One line per query: the name.
"""
import random, socket, struct, sys

address, log, style = sys.argv[1], open(sys.argv[2], "a", buffering=1), sys.argv[3]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
print("ready", flush=True)


def question(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    return ".".join(labels), struct.unpack("!H", query[at + 1 : at + 3])[0], query[12 : at + 5]


def record(kind):
    if kind == 16:
        text = b"ok" + bytes(random.choices(b"abcdefghijklmnop", k=random.randrange(4, 40)))
        return bytes([len(text)]) + text
    return bytes([10, *random.choices(range(1, 255), k=3)])


while True:
    query, peer = server.recvfrom(4096)
    name, kind, echo = question(query)
    log.write(name + "\n")
    answer = style != "nxdomain" and kind in (1, 16)
    flags = 0x8580 if style != "nxdomain" else 0x8583
    reply = query[:2] + struct.pack("!HHHHH", flags, 1, int(answer), 0, 0) + echo
    if answer:
        data = record(kind)
        reply += struct.pack("!HHHIH", 0xC00C, kind, 1, 1, len(data)) + data
    server.sendto(reply, peer)
