#!/usr/bin/env python3
"""Carries a file in the payloads of ICMP echo requests. The receiver's kernel answers them as usual.

usage: icmp.py send ADDRESS FILE CHUNK_BYTES PAUSE_S SEED
       icmp.py receive FAMILY(4|6) FILE       writes the payloads that arrived, in order of sequence
"""
import os, random, socket, struct, sys, time

HEADER = 4  # our own: offset of the chunk


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def raw(six):
    return socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)


def send(address, path, chunk, pause, seed):
    random.seed(seed)
    six = ":" in address
    s, identity, data = raw(six), random.randrange(1, 65535), open(path, "rb").read()
    for number, at in enumerate(range(0, len(data), chunk)):
        body = struct.pack("!I", at) + data[at : at + chunk]
        kind = 128 if six else 8
        head = struct.pack("!BBHHH", kind, 0, 0, identity, number & 0xFFFF)
        if not six:
            head = struct.pack("!BBHHH", kind, 0, checksum(head + body), identity, number & 0xFFFF)
        s.sendto(head + body, (address, 0))
        time.sleep(pause * random.uniform(0.5, 1.5))


def receive(six, path):
    s, out = raw(six), os.open(path, os.O_CREAT | os.O_WRONLY)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    print("ready", flush=True)
    while True:
        packet = s.recv(65535)
        icmp = packet if six else packet[(packet[0] & 15) * 4 :]
        if icmp[0] == (128 if six else 8) and len(icmp) > 8 + HEADER:
            os.pwrite(out, icmp[8 + HEADER :], struct.unpack("!I", icmp[8 : 8 + HEADER])[0])


if sys.argv[1] == "send":
    send(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
else:
    receive(sys.argv[2] == "6", sys.argv[3])
