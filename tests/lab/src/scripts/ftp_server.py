#!/usr/bin/env python3
"""An FTP server for one user, whose passive data ports are known beforehand.

usage: ftp_server.py ROOT FIRST_PASSIVE_PORT PASSIVE_PORTS
"""
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

root, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
users = DummyAuthorizer()
users.add_user("user", "correct-horse", root, perm="elradfmw")
FTPHandler.authorizer = users
FTPHandler.banner = "(vsFTPd 3.0.3)"
FTPHandler.passive_ports = range(first, first + count)
server = FTPServer(("::", 21), FTPHandler)
print("ready", flush=True)
server.serve_forever()
