#!/usr/bin/env python3
"""Posts a file the way scripts do it, with requests and its own user agent.

usage: post.py URL FILE raw|form TIMES PAUSE_S
"""
import sys, time

import requests

url, path, style, times, pause = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
body = open(path, "rb").read()
for _ in range(times):
    if style == "form":
        answer = requests.post(url, files={"file": ("log.zip", body)}, timeout=50, verify=False)
    else:
        answer = requests.post(url, data=body, timeout=50, verify=False)
    answer.raise_for_status()
    time.sleep(pause)
