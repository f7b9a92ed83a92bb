#!/usr/bin/env python3
"""One end of a video call: sound and pictures over UDP, both ways at once.

usage: call.py answer ADDRESS PORT | call.py dial ADDRESS PORT SECONDS KBIT SEED     prints bytes received
"""
import random, select, socket, sys, time


def talk(s, peer, seconds, kbit, seed):
    random.seed(seed)
    end, next_sound, next_picture, heard = time.monotonic() + seconds, 0.0, 0.0, 0
    while (now := time.monotonic()) < end:
        if now >= next_sound:
            s.sendto(b"\x80\x6f" + random.randbytes(random.randrange(80, 170)), peer)
            next_sound = now + 0.02
        if now >= next_picture:
            left = int(random.gauss(1, 0.3) * kbit * 1000 / 8 / 25)
            while left > 0:
                s.sendto(b"\x80\x60" + random.randbytes(min(left, random.randrange(1000, 1160))), peer)
                left -= 1150
            next_picture = now + 0.04
        ready = select.select([s], [], [], max(0.0, min(next_sound, next_picture) - time.monotonic()))[0]
        if ready:
            heard += len(s.recv(2000))
    print(heard, flush=True)


if sys.argv[1] == "answer":
    address, port = sys.argv[2], int(sys.argv[3])
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    print("ready", flush=True)
    _, peer = s.recvfrom(2000)
    s.connect(peer[:2])
    talk(s, peer, 3600, 900, 7)
else:
    address, port = sys.argv[2], int(sys.argv[3])
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    talk(s, (address, port), float(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
