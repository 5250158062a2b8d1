#!/usr/bin/env python3
"""Clients that ask too much of an API server, while another client goes on as ever.

  overload.py ATTACK --port PORT --data DIR --pid PID [--growth MIB] [--latency MS]

Prints what the server's resident memory grew by and the longest that the other client waited for an answer; fails when
either is past its bound, when the other client saw an error, or when the attack was not answered as it should be."""
import argparse
import http.client
import json
import resource
import socket
import ssl
import sys
import threading
import time


def context(args):
    c = ssl._create_unverified_context()
    c.load_cert_chain(args.data + "/pki/clients/admin.crt", args.data + "/pki/clients/admin.key")
    return c


def connect(args, tls=True, receive=None, timeout=60):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.settimeout(timeout)
    s.connect(("127.0.0.1", args.port))
    return args.context.wrap_socket(s) if tls else s


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024


class Other(threading.Thread):
    """Reads and writes an object of its own over and over; remembers the longest wait and every error."""

    def __init__(self, args):
        super().__init__(daemon=True)
        self.args, self.stop, self.worst, self.count, self.errors = args, threading.Event(), 0.0, 0, []

    def ask(self, method, path, body=None):
        start = time.monotonic()
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        self.worst = max(self.worst, time.monotonic() - start)
        self.count += 1
        if answer.status >= 300:
            self.errors.append(f"{method} {path}: {answer.status}")

    def run(self):
        path = "/api/v1/namespaces/default/configmaps"
        self.connection = http.client.HTTPSConnection("127.0.0.1", self.args.port, context=self.args.context, timeout=30)
        while not self.stop.is_set():
            try:
                self.ask("POST", path, json.dumps({"metadata": {"name": "other"}, "data": {"a": "b"}}))
                self.ask("GET", path + "/other")
                self.ask("DELETE", path + "/other")
            except OSError as e:
                self.errors.append(repr(e))
                return
            self.stop.wait(0.02)


def request(args, head, body=b"", connection=None):
    """Sends raw bytes, returns the code of the answer (0: the connection was closed without one)."""
    s = connection or connect(args)
    try:
        s.sendall(head.encode())
        if body:
            s.sendall(body)
    except OSError:
        pass  # it answered and closed before it had all
    data = b""
    try:
        while b"\r\n" not in data:
            more = s.recv(65536)
            if not more:
                break
            data += more
    except OSError:
        pass
    s.close()
    return int(data.split()[1]) if data.startswith(b"HTTP/1.1 ") else 0


def expect(what, got, *wanted):
    if got not in wanted:
        sys.exit(f"{what}: got {got}, want {wanted}")


MAPS = "/api/v1/namespaces/default/configmaps"


def slow_watchers(args):
    """Twenty watches that nobody reads, while 120 MiB of changes go by."""
    watches = [connect(args, receive=4096) for _ in range(20)]
    for s in watches:
        s.sendall(f"GET {MAPS}?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    c = http.client.HTTPSConnection("127.0.0.1", args.port, context=args.context, timeout=30)
    for i in range(120):
        body = json.dumps({"metadata": {"name": "large"}, "data": {"a": chr(97 + i % 26) * 1000000}})
        c.request("POST" if i == 0 else "PUT", MAPS + ("" if i == 0 else "/large"), body, {"Content-Type": "application/json"})
        answer = c.getresponse()
        answer.read()
        expect("a write beside slow watchers", answer.status, 200, 201)
    c.request("DELETE", MAPS + "/large")
    c.getresponse().read()
    return watches


def connections(args):
    """Five thousand at once: a thousand that did the handshake, four thousand that did not."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    open_ = [connect(args, tls=False) for _ in range(4000)] + [connect(args) for _ in range(1000)]
    expect("a new client beside them", request(args, f"GET {MAPS} HTTP/1.1\r\nHost: x\r\n\r\n"), 200)
    return open_


def trickle(args):
    """A hundred clients that send a byte a second, half of them within the head, half within the body: the heads are cut
    off after half a minute."""
    body = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n"
    clients = [connect(args) for _ in range(100)]
    for i, s in enumerate(clients):
        s.sendall(b"GET /api HTTP/1.1\r\nX: " if i % 2 else body.encode())
    start, alive = time.monotonic(), list(clients)
    while time.monotonic() - start < 38:
        for s in list(alive):
            try:
                s.sendall(b"x")
            except OSError:
                alive.remove(s)
        time.sleep(1)
    if len(alive) > 50:
        sys.exit(f"{len(alive)} of 100 clients that send a byte a second are still there")
    return alive


def large_bodies(args):
    """100 MB with its length said, and in chunks, by eight clients each."""
    large = b"x" * 100_000_000
    results = []

    def known():
        head = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(large)}\r\n\r\n"
        results.append(request(args, head, large))

    def chunked():
        head = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        s = connect(args)
        s.sendall(head.encode())
        try:
            for i in range(0, len(large), 1 << 20):
                s.sendall(b"100000\r\n" + large[i : i + (1 << 20)].ljust(1 << 20, b"x") + b"\r\n")
        except OSError:
            pass
        results.append(request(args, "", connection=s))

    threads = [threading.Thread(target=t) for t in [known, chunked] * 8]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for code in results:
        expect("a body of 100 MB", code, 413, 0)
    if results.count(413) < 8:
        sys.exit(f"too few were told why: {results}")


def deep(args):
    """Nesting as deep as a body allows, in JSON, YAML and (a patch) JSON again."""
    n = 400_000
    bodies = {
        "application/json": b'{"a":' * n + b"1" + b"}" * n,
        "application/yaml": b"a: " + b"[" * n + b"]" * n,
        "application/vnd.kubernetes.protobuf": b"k8s\0" + b"\x0a\xff\xff\xff\x7f" * 100_000,
    }
    for kind, body in bodies.items():
        head = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        expect(f"deep {kind}", request(args, head, body), 400)
    body = bodies["application/json"]
    head = f"PATCH {MAPS}/kube-root-ca.crt HTTP/1.1\r\nHost: x\r\nContent-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n\r\n"
    expect("a deep patch", request(args, head, body), 400)


def fields(args):
    """A million fields: past the size of a body; and as many as fit into one, from eight clients at once."""
    many = b",".join(b'"%x":0' % i for i in range(1_000_000))
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"m"},' + many + b"}"
    head = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    expect("a million fields", request(args, head % (MAPS, len(body)), body), 413)
    most = many[: 3_000_000].rsplit(b",", 1)[0]
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"m","annotations":{' + most.replace(b":0", b':""') + b"}}}"
    body = body[:0] + (body if len(body) < 3 << 20 else b'{"metadata":{"name":"m","labels":{' + most[:2_000_000].rsplit(b",", 1)[0].replace(b":0", b':""') + b"}}}")
    results = []
    threads = [threading.Thread(target=lambda: results.append(request(args, head % (MAPS, len(body)), body))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for code in results:
        expect("very many fields", code, 400, 413, 422, 429)


ATTACKS = {f.__name__.replace("_", "-"): f for f in (slow_watchers, connections, trickle, large_bodies, deep, fields)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("attack", choices=ATTACKS)
    p.add_argument("--port", type=int, required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--pid", type=int, required=True)
    p.add_argument("--growth", type=int, default=64)
    p.add_argument("--latency", type=int, default=5000)
    args = p.parse_args()
    args.context = context(args)
    other = Other(args)
    other.start()
    time.sleep(0.3)
    before, peak = resident(args.pid), 0
    done = threading.Event()

    def watch_memory():
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, resident(args.pid))

    watcher = threading.Thread(target=watch_memory, daemon=True)
    watcher.start()
    held = ATTACKS[args.attack](args)
    deadline = time.monotonic() + 5
    while other.count < 10 and other.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    other.stop.set()
    other.join(30)
    done.set()
    watcher.join()
    print(f"resident {before} MiB, at most {peak} MiB; the other client: {other.count} requests, at most {other.worst * 1000:.0f} ms")
    for s in held or []:
        s.close()
    if other.errors:
        sys.exit(f"the other client saw {other.errors[:3]}")
    if other.count < 10 or other.worst * 1000 > args.latency:
        sys.exit(f"the other client waited {other.worst * 1000:.0f} ms")
    if peak - before > args.growth:
        sys.exit(f"the server grew by {peak - before} MiB")


main()
