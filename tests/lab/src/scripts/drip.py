#!/usr/bin/env python3
"""A connection that says little for long: a file drop by drop, or a heartbeat with its answers.

usage: drip.py serve PORT FILE|-                                  FILE: what arrived; -: answers each beat with one
       drip.py send ADDRESS PORT FILE BYTES_PER_DROP PAUSE_S JITTER SEED
       drip.py beat ADDRESS PORT SECONDS BYTES PERIOD_S SEED     prints how many beats were answered
"""
import random, socket, sys, time

verb = sys.argv[1]
if verb == "serve":
    listener = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    peer, _ = listener.accept()
    out = None if sys.argv[3] == "-" else open(sys.argv[3], "wb", buffering=0)
    while data := peer.recv(65536):
        if out:
            out.write(data)
        else:
            peer.send(data[:2])
elif verb == "send":
    address, port, path, drop, pause, jitter, seed = sys.argv[2:]
    random.seed(int(seed))
    with socket.create_connection((address, int(port))) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = open(path, "rb").read()
        for at in range(0, len(data), int(drop)):
            s.sendall(data[at : at + int(drop)])
            time.sleep(float(pause) * (1 + random.uniform(-1, 1) * float(jitter)))
else:
    address, port, seconds, size, period, seed = sys.argv[2:]
    random.seed(int(seed))
    beat, answered, end = random.randbytes(int(size)), 0, time.monotonic() + float(seconds)
    with socket.create_connection((address, int(port))) as s:
        while time.monotonic() < end:
            s.sendall(beat)
            answered += bool(s.recv(100))
            time.sleep(float(period) * random.uniform(0.95, 1.05))
    print(answered)
