"""Sockets that go past tc and those that do not: `sockets.py VERB [DEVICE]`. Says its pid first."""

import os
import socket
import sys

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
AF_XDP, SOL_XDP, XDP_TX_RING = 44, 283, 3
FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(1_486)
FRAMES = 700


def packet_socket(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((device, 0))
    return sock


def send(sock):
    for _ in range(FRAMES):
        sock.send(FRAME)


def bypass(device):
    """Sends 1 MB that tc does not see."""
    sock = packet_socket(device)
    sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    send(sock)


def ordinary(device):
    """Sends the same through tc, and sets options of every kind."""
    sock = packet_socket(device)
    sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 0)
    send(sock)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    # Longer than what the kernel shows a program of it: it must arrive all the same.
    own = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    other = b"reno" if own.rstrip(b"\0") != b"reno" else b"cubic"
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, other.ljust(8_192, b"\0"))
    assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == other
    # The option of another kind of socket is none.
    try:
        tcp.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    except OSError:
        pass


def ring(_device):
    """Opens a ring of AF_XDP."""
    sock = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_XDP, XDP_TX_RING, 64)


def flood(device):
    """Asks without end."""
    sock = packet_socket(device)
    for _ in range(100_000):
        sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)


print(os.getpid(), flush=True)
verb = {"bypass": bypass, "ordinary": ordinary, "ring": ring, "flood": flood}[sys.argv[1]]
verb(sys.argv[2] if len(sys.argv) > 2 else "lo")
