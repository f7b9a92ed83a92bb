#!/usr/bin/env python3
"""Sends a file in datagrams, at a steady rate and without repetition.

usage: udp.py ADDRESS PORT FILE DATAGRAM_BYTES PAUSE_S
"""
import socket, sys, time

address, port, size, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[4]), float(sys.argv[5])
data = open(sys.argv[3], "rb").read()
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
for at in range(0, len(data), size):
    s.sendto(data[at : at + size], (address, port))
    time.sleep(pause)
