#!/usr/bin/env python3
"""A host among devices: asks and announces services by multicast (RFC 6762), now and then in long messages.

usage: mdns.py ADDRESS SECONDS SEED      (ADDRESS: the host's own) prints how many messages it sent
"""
import random, socket, struct, sys, time

import dns_wire as dns

address, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
random.seed(int(sys.argv[3]))
SERVICES = ["_airplay._tcp", "_ipp._tcp", "_googlecast._tcp", "_spotify-connect._tcp", "_smb._tcp", "_companion-link._tcp", "_hap._tcp"]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, 5353))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)


def ask():
    names = random.sample(SERVICES, random.randrange(1, 5))
    body = b"".join(dns.pack_name(name + ".local") + struct.pack("!HH", 12, random.choice([1, 0x8001])) for name in names)
    return struct.pack("!HHHHHH", 0, 0, len(names), 0, 0, 0) + body


def announce():
    service = random.choice(SERVICES) + ".local"
    text = b"".join(dns.text_data(f"{key}={random.getrandbits(random.choice([16, 64, 128])):x}".encode()) for key in ("id", "md", "fv", "pk", "flags"))
    own = dns.pack_name(f"Living-Room-{random.randrange(99)}.{service}")
    records = [(dns.pack_name(service), 12, own), (own, dns.TXT, text)]
    body = b"".join(name + struct.pack("!HHIH", kind, 1, 4500, len(data)) + data for name, kind, data in records)
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + body


sent = 0
while time.monotonic() < end:
    s.sendto(random.choice([ask, ask, announce])(), ("224.0.0.251", 5353))
    sent += 1
    time.sleep(random.uniform(0.05, 1.0))
print(sent)
