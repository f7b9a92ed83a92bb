"""Traffic of known size for the tests: streams, datagrams and raw frames.

sink              take streams and datagrams on port 9000, tell what came
stream HOST N     send N bytes over TCP, read the answer
datagrams HOST N  send N datagrams of 1000 bytes
trickle HOST RATE [N]   send RATE bytes a second over TCP for ever, over N connections
drizzle HOST RATE       the same in datagrams of 200 bytes
call HOST         open a connection and close it, tell whether there was one
flood DEVICE N [HOSTS]  send N frames, each of a flow of its own; from so many addresses, 10.66.1.100 and on
frames DEVICE     send frames given on standard input, one a line, in hexadecimal
timed DEVICE      the same at their times: each line starts with microseconds
"""

import socket
import struct
import sys
import threading
import time

PORT = 9000

# What came to each of the sink's addresses, over all connections.
sums = {}
lock = threading.Lock()


def sink():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", PORT))
    threading.Thread(target=take_datagrams, args=(udp,), daemon=True).start()
    tcp = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    while True:
        threading.Thread(target=take_stream, args=(tcp.accept()[0],), daemon=True).start()


def say(text):
    # One write for each line: what two threads print at once gets mixed up.
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def take_datagrams(udp):
    size = 0
    while True:
        size += len(udp.recv(65536))
        say(f"datagrams {size}")


def take_stream(stream):
    size = 0
    there = stream.getsockname()[0].removeprefix("::ffff:")
    try:
        while data := stream.recv(1 << 16):
            size += len(data)
            with lock:
                sums[there] = sums.get(there, 0) + len(data)
                say(f"at {there} sum {sums[there]}\ntotal {size}")
        stream.sendall(b"x" * 5000)
    except OSError:
        pass
    stream.close()


def stream(host, size):
    connection = socket.create_connection((host, PORT))
    connection.settimeout(20)
    data = b"\x5a" * 65536
    left = int(size)
    while left:
        left -= connection.send(data[: min(left, len(data))])
        print(f"left {left}", flush=True)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def datagrams(host, count):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    for _ in range(int(count)):
        udp.sendto(b"d" * 1000, (host, PORT))


def trickle(host, rate, connections="1"):
    for number in range(int(connections)):
        each = float(rate) / int(connections)
        threading.Thread(target=trickle_one, args=(host, each, number)).start()


def trickle_one(host, rate, number):
    connection = socket.create_connection((host, PORT))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"port {connection.getsockname()[1]}", flush=True)
    # Twenty times a second, or as fast as it goes.
    part = max(int(rate / 20), 16)
    data = b"\x5a" * min(part, 65536)
    while True:
        connection.sendall(data)
        if rate < 1e8:
            time.sleep(len(data) / rate)


def drizzle(host, rate):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.connect((host, PORT))
    print(f"port {udp.getsockname()[1]}", flush=True)
    while True:
        try:
            udp.send(b"d" * 200)
        except OSError:
            pass  # What was refused before does not matter now.
        time.sleep(200 / float(rate))


def call(host):
    try:
        socket.create_connection((host, PORT), 1).close()
        print("answered", flush=True)
    except OSError as error:
        print(f"no answer: {error}", flush=True)


def packet_socket(device):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((device, 0))
    return raw


def flood(device, count, hosts=""):
    raw = packet_socket(device)
    began = time.monotonic()
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 128, 1, 0, 64, 17, 0,
                     bytes([10, 66, 1, 10]), bytes([203, 0, 113, 200]))
    frame = bytearray(b"\x02\x66\x01\x00\x00\x01\x02\x66\x01\x00\x00\x0a\x08\x00" + ip + bytes(108))
    for number in range(int(count)):
        struct.pack_into("!HHHH", frame, 34, number % 60000 + 1000, 2000 + number // 60000, 108, 0)
        if hosts:
            frame[29] = 100 + number % int(hosts)
        deliver(raw, frame)
    print(f"rate {int(int(count) / (time.monotonic() - began))}", flush=True)


def deliver(raw, frame):
    while True:
        try:
            raw.send(frame)
            return
        except OSError as error:
            if error.errno != 105:  # ENOBUFS
                raise
            time.sleep(0.001)


def frames(device):
    raw = packet_socket(device)
    for line in sys.stdin:
        deliver(raw, bytes.fromhex(line))


def timed(device):
    raw = packet_socket(device)
    # Read whole first: the sender must not wait for its input between two frames.
    lines = [line.split() for line in sys.stdin]
    start = time.monotonic()
    for micros, frame in lines:
        left = start + int(micros) / 1e6 - time.monotonic()
        if left > 0:
            time.sleep(left)
        deliver(raw, bytes.fromhex(frame))


VERBS = {"sink": sink, "stream": stream, "datagrams": datagrams, "trickle": trickle,
         "drizzle": drizzle, "call": call, "flood": flood, "frames": frames,
         "timed": timed}
VERBS[sys.argv[1]](*sys.argv[2:])
