#!/usr/bin/env python3
"""Stores files the way scripts do it, with ftplib.

usage: ftp.py ADDRESS FILE…
"""
import ftplib, sys
from os.path import basename

with ftplib.FTP(timeout=50) as ftp:
    ftp.connect(sys.argv[1], 21)
    ftp.login("user", "correct-horse")
    for path in sys.argv[2:]:
        with open(path, "rb") as file:
            ftp.storbinary(f"STOR {basename(path)}", file)
