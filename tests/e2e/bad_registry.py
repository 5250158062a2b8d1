#!/usr/bin/env python3
"""A registry on loopback that hangs: bad_registry.py PORT hang|trickle. It accepts and never answers, or sends a byte of its
answer a minute."""
import socket
import sys
import threading
import time


def trickle(connection):
    try:
        for byte in b"HTTP/1.1 200 OK\r\n":
            connection.send(bytes([byte]))
            time.sleep(60)
    except OSError:
        pass


server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
held = []
while True:
    connection, _ = server.accept()
    held.append(connection)
    if sys.argv[2] == "trickle":
        threading.Thread(target=trickle, args=(connection,), daemon=True).start()
