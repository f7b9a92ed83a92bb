#!/usr/bin/env python3
"""Carries frames between the interfaces `left` and `right` as a long line would: late, at a limited
rate, with jitter and loss. Hosts have different distances. Frames of one host never overtake each
other. Runs in a namespace of its own and ends with it.

usage: wire.py DELAY_MS JITTER_MS LOSS RATE_MBIT SEED   (delay: one way, of the average host)
"""
import heapq, random, select, socket, struct, sys, time, zlib

delay, jitter, loss, rate = float(sys.argv[1]) / 1e3, float(sys.argv[2]) / 1e3, float(sys.argv[3]), float(sys.argv[4]) * 1e6 / 8
random.seed(int(sys.argv[5]))
LONGEST_QUEUE_S = 0.25
SO_RCVBUFFORCE, PACKET_IGNORE_OUTGOING, SOL_PACKET = 33, 23, 263


def open_interface(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    s.bind((name, 0))
    # Frames are for the hosts at the two ends, not for this one.
    index = socket.if_nametoindex(name)
    s.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", index, 1, 0, b""))
    s.setblocking(False)
    return s


left, right = open_interface("left"), open_interface("right")
free_at = {left: 0.0, right: 0.0}
last_due = {}
waiting = []
number = 0


def far_host(frame, outwards):
    kind = frame[12:14]
    if kind == b"\x08\x00":
        return frame[30:34] if outwards else frame[26:30]
    if kind == b"\x86\xdd":
        return frame[38:54] if outwards else frame[22:38]
    return b""


def accept(frame, source, now):
    global number
    host = far_host(frame, source is left)
    neighbour_discovery = not host or host[:1] in (b"\xff", b"\xfe")
    if neighbour_discovery:
        due = now
    else:
        if loss and random.random() < loss:
            return
        start = max(now, free_at[source])
        if start - now > LONGEST_QUEUE_S:
            return
        free_at[source] = start + len(frame) / rate
        distance = 0.5 + (zlib.crc32(host) % 100) / 100
        due = free_at[source] + delay * distance + random.random() * jitter
        due = max(due, last_due.get((source, host), 0.0))
        last_due[(source, host)] = due
    number += 1
    heapq.heappush(waiting, (due, number, frame, right if source is left else left))


print("ready", flush=True)
while True:
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, _, frame, target = heapq.heappop(waiting)
        try:
            target.send(frame)
        except OSError:
            pass  # a full queue or an oversized frame: lost, as on a line
    pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
    for source in select.select([left, right], [], [], pause)[0]:
        for _ in range(64):
            try:
                frame = source.recv(65535)
            except BlockingIOError:
                break
            accept(frame, source, time.monotonic())
