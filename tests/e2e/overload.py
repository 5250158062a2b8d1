#!/usr/bin/env python3
"""Clients that ask too much of an API server, while another client goes on as ever.

  overload.py ATTACK --port PORT --data DIR --pid PID [--growth MIB] [--latency MS]

Prints what the server's resident memory grew by and the longest that the other client waited for an answer; fails when
either is past its bound, when the other client saw an error, or when the attack was not answered as it should be."""
import argparse
import gzip
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


class H2:
    """Frames of HTTP/2 by hand; what the server says is read only when asked for."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
    END_STREAM, END_HEADERS = 1, 4
    STATUS_200 = b"\x88"  # of HPACK's static table

    def __init__(self, args, timeout=30):
        s = socket.create_connection(("127.0.0.1", args.port), timeout)
        self.socket = args.h2_context.wrap_socket(s)
        self.pending, self.closed = b"", False
        window = self.frame(self.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big"))
        self.send(self.PREFACE + self.frame(self.SETTINGS, 0, 0) + window)
        self.send(self.frame(self.HEADERS, self.END_STREAM | self.END_HEADERS, 1, self.head("GET", "/version")))
        got = self.next()  # all is well until the attack begins; its streams are 3 and up
        while got and (got[0] != self.HEADERS or got[3][:1] != self.STATUS_200):
            got = self.next()
        if not got:
            sys.exit("no answer over HTTP/2")
        self.send(self.frame(self.SETTINGS, 1, 0))  # the server's hold from now on

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    @staticmethod
    def field(name, value):  # a literal that nobody remembers
        n, v = name.encode(), value.encode()
        return b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v

    @classmethod
    def head(cls, method, path):
        return b"".join(cls.field(*f) for f in ((":method", method), (":scheme", "https"), (":authority", "x"), (":path", path)))

    def send(self, data):
        """False once the server has ended the connection."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True
        return not self.closed

    def next(self):
        """(type, flags, stream, payload); None at the end."""
        while len(self.pending) < 9 or len(self.pending) < 9 + int.from_bytes(self.pending[:3], "big"):
            try:
                more = self.socket.recv(65536)
            except OSError:
                more = b""
            if not more:
                self.closed = True
                return None
            self.pending += more
        n = int.from_bytes(self.pending[:3], "big")
        got = (self.pending[3], self.pending[4], int.from_bytes(self.pending[5:9], "big"), self.pending[9 : 9 + n])
        self.pending = self.pending[9 + n :]
        return got

    def must_end(self, what, seconds=15):
        """The server says goodbye or closes."""
        self.socket.settimeout(seconds)
        while True:
            got = self.next()
            if got is None:
                return self.ended(what)
            if got[0] == self.GOAWAY:
                return None

    def ended(self, what):
        try:
            self.socket.settimeout(0.1)
            self.socket.recv(1)
        except (TimeoutError, ssl.SSLWantReadError):
            sys.exit(f"{what}: the connection is still there")
        except OSError:
            pass

    def close(self):
        self.socket.close()


def at_once(n, work):
    """n threads; the first failure of one is the attack's."""
    failures = []

    def run(i):
        try:
            work(i)
        except SystemExit as e:
            failures.append(e.code)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        sys.exit(failures[0])


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
    # And a hundred that never finish the handshake: half say nothing, half begin a record of TLS.
    silent = [connect(args, tls=False) for _ in range(50)]
    shaking = [connect(args, tls=False) for _ in range(50)]
    for s in shaking:
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    start, alive = time.monotonic(), clients + shaking
    while time.monotonic() - start < 38 and len(alive) > 50:
        for s in list(alive):
            try:
                s.sendall(b"x")
            except OSError:
                alive.remove(s)
        time.sleep(1)
    if len(alive) > 50:
        sys.exit(f"{len(alive)} of 150 clients that send a byte a second are still there")
    for s in silent:
        s.settimeout(5)
        try:
            if s.recv(1):
                sys.exit("an answer to nothing")
        except TimeoutError:
            sys.exit("a client that says nothing is still there after 38 s")
        except OSError:
            pass
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


def rapid_reset(args):
    """Requests taken back at once (CVE-2023-44487): 100,000 on each of eight connections, unless it is ended before."""

    def work(_):
        h2, head = H2(args), H2.head("GET", MAPS)
        for first in range(3, 200_000, 1000):
            batch = b"".join(
                H2.frame(H2.HEADERS, H2.END_STREAM | H2.END_HEADERS, stream, head)
                + H2.frame(H2.RST_STREAM, 0, stream, (8).to_bytes(4, "big"))
                for stream in range(first, first + 1000, 2)
            )
            if not h2.send(batch):
                return
        h2.must_end("100,000 requests taken back")

    at_once(8, work)


def continuations(args):
    """Headers that never end (CVE-2024-27316): 64 MiB of CONTINUATION on each of four connections, unless ended before."""

    def work(_):
        h2 = H2(args)
        more = H2.frame(H2.CONTINUATION, 0, 3, H2.field("x-a", "b" * 100) * 150)
        h2.send(H2.frame(H2.HEADERS, H2.END_STREAM, 3, H2.head("GET", MAPS)))
        for _ in range((64 << 20) // len(more)):
            if not h2.send(more):
                return
        h2.must_end("headers without end")

    at_once(4, work)


def control_frames(args):
    """A million PINGs (CVE-2019-9512) and SETTINGS (CVE-2019-9515) from each of four clients that do not read what is said to
    them; and one that does read, which is within its rights and must not cost more."""

    def work(i):
        h2 = H2(args)
        one = H2.frame(H2.PING, 0, 0, b"12345678") if i % 2 else H2.frame(H2.SETTINGS, 0, 0, b"\0\4\0\1\0\0")
        h2.socket.settimeout(5)
        for _ in range(1000):
            if not h2.send(one * 1000):
                return
        h2.must_end("control frames without end")

    at_once(4, work)
    h2 = H2(args)
    for _ in range(200):
        h2.send(H2.frame(H2.PING, 0, 0, b"12345678") * 50)
        answers = 0
        while answers < 50:
            got = h2.next()
            if got is None:
                sys.exit("a client that reads its answers was sent away")
            answers += got[0] == H2.PING
    h2.close()


def large_heads(args):
    """Heads of every shape that are too large: one field, many fields, a target; and HPACK's bomb, a field of 4 KB said once
    and referred to 60,000 times by a byte each."""
    many = "".join(f"X-{i}: y\r\n" for i in range(20_000))
    for what, head in {
        "a field of 1 MB": "GET /api HTTP/1.1\r\nHost: x\r\nX: " + "y" * 1_000_000 + "\r\n\r\n",
        "20,000 fields": f"GET /api HTTP/1.1\r\nHost: x\r\n{many}\r\n",
        "a target of 1 MB": f"GET /{'y' * 1_000_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    }.items():
        at_once(8, lambda _: expect(what, request(args, head), 431, 414, 400, 0))

    def bomb(_):
        h2 = H2(args)
        value = b"z" * 3900
        size = len(value) - 127  # an integer with a prefix of 7 bits, RFC 7541 section 5.1
        literal = b"\x40\x03x-a\x7f" + bytes([size % 128 | 128, size // 128]) + value
        h2.send(H2.frame(H2.HEADERS, H2.END_STREAM | H2.END_HEADERS, 3, H2.head("GET", "/api") + literal))
        for stream in range(5, 13, 2):
            h2.send(H2.frame(H2.HEADERS, H2.END_STREAM | H2.END_HEADERS, stream, H2.head("GET", "/api") + b"\xbe" * 15_000))
        answers = {}
        h2.socket.settimeout(10)
        while len(answers) < 5:
            got = h2.next()
            if got is None or got[0] == H2.GOAWAY:
                return
            if got[0] == H2.HEADERS:
                answers[got[2]] = got[3]
            elif got[0] == H2.RST_STREAM:
                answers[got[2]] = None
        if not answers[3] or answers[3][:1] != H2.STATUS_200:
            sys.exit("a field of 4 KB was refused")
        for stream in range(5, 13, 2):
            if answers[stream] and answers[stream][:1] == H2.STATUS_200:
                sys.exit("a head of 58 MB was taken")
        h2.close()

    at_once(8, bomb)


def zip_bombs(args):
    """Bodies that say they are compressed: 100 MB of nothing in 100 KB. The server reads no compressed bodies, as the
    reference; they are no JSON."""
    body = gzip.compress(bytes(100_000_000), 9)
    for encoding in ("gzip", "deflate", "br"):
        head = (
            f"POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        at_once(8, lambda _: expect("a compressed body", request(args, head, body), 400, 415))


def many_watches(args):
    """Ten thousand watches by one client: on each of ten connections as many as the server lets it have there."""
    watches = []

    def work(_):
        h2, head = H2(args), H2.head("GET", MAPS + "?watch=1")
        for stream in range(3, 2003, 2):
            h2.send(H2.frame(H2.HEADERS, H2.END_STREAM | H2.END_HEADERS, stream, head))
        began = set()
        while len(began) < 1000:
            got = h2.next()
            if got is None or got[0] in (H2.GOAWAY, H2.RST_STREAM):
                sys.exit(f"a client with {len(began)} watches was sent away")
            if got[0] == H2.HEADERS:
                if got[3][:1] != H2.STATUS_200:
                    sys.exit("a watch was refused")
                began.add(got[2])
        watches.append(h2)

    at_once(10, work)
    c = http.client.HTTPSConnection("127.0.0.1", args.port, context=args.context, timeout=30)
    c.request("POST", MAPS, json.dumps({"metadata": {"name": "for-all"}}), {"Content-Type": "application/json"})
    answer = c.getresponse()
    answer.read()
    expect("a write that all of them see", answer.status, 201)

    def heard(i):
        seen = set()
        while len(seen) < 1000:
            got = watches[i].next()
            if got is None:
                sys.exit(f"only {len(seen)} of 1,000 watches heard of it")
            if got[0] == H2.DATA and b'"for-all"' in got[3]:
                seen.add(got[2])

    at_once(10, heard)
    c.request("DELETE", MAPS + "/for-all")
    c.getresponse().read()
    return watches


def unfinished_bodies(args):
    """Bodies that are sent as far as flow control allows and never ended: 30 connections, 16 MiB each, are more than the
    server takes of all clients together (CONN_MAX_BODIES)."""
    held, head = [], H2.head("POST", MAPS) + H2.field("content-type", "application/json")

    def work(_):
        h2, chunk = H2(args), b"x" * 16_000
        held.append(h2)
        h2.socket.settimeout(20)
        for stream in range(3, 35, 2):
            batch = H2.frame(H2.HEADERS, H2.END_HEADERS, stream, head)
            if not h2.send(batch + H2.frame(H2.DATA, 0, stream, chunk) * 62):
                sys.exit("a client was sent away, within its windows")
        h2.send(H2.frame(H2.PING, 0, 0, b"12345678"))
        got = h2.next()
        while got and (got[0], got[1]) != (H2.PING, 1):
            refused.update([got[2]] if got[0] == H2.HEADERS else [])
            got = h2.next()
        if not got:
            sys.exit("a client was sent away")

    refused = set()
    at_once(30, work)
    if not refused:
        sys.exit("the server took all of it")
    return held


ATTACKS = {
    f.__name__.replace("_", "-"): f
    for f in (
        slow_watchers, connections, trickle, large_bodies, deep, fields, rapid_reset, continuations, control_frames,
        large_heads, zip_bombs, many_watches, unfinished_bodies,
    )
}


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
    args.h2_context = context(args)
    args.h2_context.set_alpn_protocols(["h2"])
    other = Other(args)
    other.start()
    time.sleep(0.3)
    before, peak = resident(args.pid), 0
    done = threading.Event()

    def watch_memory():
        nonlocal peak
        peak = resident(args.pid)
        while not done.wait(0.02):
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
