#!/usr/bin/env python3
"""A person at a terminal: types commands key by key into a program behind a pseudo-terminal, with
pauses to read.

usage: typist.py SEED SECONDS PROGRAM ARGUMENT…      prints how many bytes the screen showed
"""
import os, pty, random, select, signal, sys, time

random.seed(int(sys.argv[1]))
end = time.monotonic() + float(sys.argv[2])
COMMANDS = ["ls -l /etc", "uptime", "ps aux | head -40", "df -h", "cat /etc/services | head -60", "free", "id", "ls -R /usr/share/doc | head -200",
            "dmesg | tail -5", "env", "cat /proc/cpuinfo", "history | tail", "echo done", "grep -c . /etc/passwd", "cd /tmp", "ip address"]
pid, screen = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
shown = 0


def watch(seconds):
    global shown
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([screen], [], [], left)[0]:
            try:
                shown += len(os.read(screen, 65536))
            except OSError:
                return


watch(1.0)
while time.monotonic() < end:
    for key in random.choice(COMMANDS) + "\r":
        os.write(screen, key.encode())
        watch(random.uniform(0.03, 0.16))
    watch(random.uniform(0.3, 1.8))
os.write(screen, b"exit\r")
watch(0.5)
try:
    os.kill(pid, signal.SIGHUP)
except ProcessLookupError:
    pass
print(shown)
