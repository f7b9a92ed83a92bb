#!/usr/bin/env python3
"""A name server whose answers are as large as signed zones make them: RRSIG beside every record, DNSKEY
sets of a kilobyte. The signatures are noise of the right size.

usage: signed_zone.py ADDRESS
"""
import os, random, socket, sys

import dns_wire as dns


def signature():
    return os.urandom(18) + dns.pack_name("example.net") + os.urandom(random.choice([64, 128, 256]))


def answers(kind):
    if kind == dns.DNSKEY:
        keys = [(dns.DNSKEY, b"\x01\x01\x03\x08" + os.urandom(size)) for size in (132, 260, 260)]
        return keys + [(dns.RRSIG, signature()), (dns.RRSIG, signature())]
    if kind == dns.TXT:
        return [(dns.TXT, dns.text_data(b"v=DKIM1; k=rsa; p=" + os.urandom(180).hex().encode())), (dns.RRSIG, signature())]
    return [(dns.A, os.urandom(4)), (dns.RRSIG, signature())] if kind == dns.A else []


s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    message, peer = s.recvfrom(4096)
    s.sendto(dns.reply(message, answers(dns.question(message)[1])), peer)
