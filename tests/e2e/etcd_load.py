#!/usr/bin/env python3
"""Writers and watchers of several API servers on one etcd, while things happen to it.

  etcd_load.py --server URL... --token TOKEN --dir DIR [--pause SECONDS] [--writers N]

Goes on until DIR/stop is there. DIR/acks grows by a byte with each acknowledged write (its size is the number). At the end
it fails when an acknowledged write is lost, a revision of a write or a watch went backwards, an object written through one
server was missing from another, a watcher's picture is not what a list says, or no write of some server was acknowledged for
longer than --pause. Prints one line of figures."""
import argparse
import http.client
import json
import os
import ssl
import sys
import threading
import time
import urllib.parse

MAPS = "/api/v1/namespaces/default/configmaps"


class Load:
    def __init__(self, args):
        self.args, self.lock, self.problems = args, threading.Lock(), []
        self.writes = []  # (asked, acknowledged, revision, server)
        self.last = {}  # name -> the largest n acknowledged
        self.refused, self.done = {}, threading.Event()  # code (0: no answer) -> how often
        self.run = os.urandom(3).hex()  # in the names of its objects
        self.acks = open(os.path.join(args.dir, "acks"), "wb", buffering=0)

    def wrong(self, what):
        with self.lock:
            self.problems.append(what)

    def acknowledged(self, asked, server, answer, n):
        meta = answer["metadata"]
        with self.lock:
            self.writes.append((asked, time.monotonic(), int(meta["resourceVersion"]), server))
            self.last[meta["name"]] = n
        self.acks.write(b".")


class Client:
    """A connection to one server, made anew after each failure."""

    def __init__(self, load, server, timeout=60):
        self.load, self.url, self.timeout, self.connection = load, urllib.parse.urlsplit(server), timeout, None

    def ask(self, method, path, body=None):
        """The code and the document; (0, None) when the connection failed."""
        try:
            if not self.connection:
                context = ssl._create_unverified_context()
                self.connection = http.client.HTTPSConnection(self.url.netloc, context=context, timeout=self.timeout)
            headers = {"Content-Type": "application/json", "Authorization": "Bearer " + self.load.args.token}
            self.connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.connection = None
            return 0, None


def writer(load, i):
    """Makes an object, changes it twice, looks at it through the other server, over and over."""
    servers = load.args.server
    mine, other = Client(load, servers[i % len(servers)]), Client(load, servers[(i + 1) % len(servers)])
    count = 0
    while not load.done.is_set():
        count += 1
        name = f"{load.run}-w{i}-{count}"
        for n in range(3):
            asked = time.monotonic()
            body = {"metadata": {"name": name}, "data": {"n": str(n)}}
            code, answer = mine.ask("POST" if n == 0 else "PUT", MAPS + ("" if n == 0 else "/" + name), body)
            if code in (200, 201):
                load.acknowledged(asked, i % len(servers), answer, n)
            elif code in (0, 409, 429) or code >= 500:  # 409: an earlier try whose answer was lost has been carried out
                load.refused[code] = load.refused.get(code, 0) + 1
                time.sleep(0.05)
                break
            else:
                load.wrong(f"{name}: {code} {answer.get('message')}")
                return
            code, answer = other.ask("GET", f"{MAPS}/{name}")
            if code == 404 or (code == 200 and int(answer["data"]["n"]) < n):
                load.wrong(f"{name} as acknowledged by one server is not there by the other")


class Watcher(threading.Thread):
    """A reflector: lists, watches, watches again from where it was, lists again when that is gone."""

    def __init__(self, load, server):
        super().__init__(daemon=True)
        self.load, self.server, self.url = load, server, urllib.parse.urlsplit(server)
        self.there, self.revision, self.lists, self.watches, self.events = {}, 0, 0, 0, 0

    def list(self):
        code, answer = Client(self.load, self.server).ask("GET", MAPS)
        if code != 200:
            return False
        revision = int(answer["metadata"]["resourceVersion"])
        if revision < self.revision:
            self.load.wrong(f"a list at {revision} after {self.revision}")
        self.there = {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in answer["items"]}
        self.revision, self.lists = revision, self.lists + 1
        return True

    def see(self, event):
        """False: the place is gone."""
        meta = event["object"].get("metadata", {})
        if event["type"] == "ERROR":
            return event["object"].get("code") != 410
        revision = int(meta["resourceVersion"])
        if revision < self.revision or (revision == self.revision and event["type"] != "BOOKMARK"):
            self.load.wrong(f"a watch went from {self.revision} to {revision}")
        self.revision, self.events = revision, self.events + 1
        if event["type"] == "DELETED":
            self.there.pop(meta["name"], None)
        elif event["type"] != "BOOKMARK":
            self.there[meta["name"]] = meta["resourceVersion"]
        return True

    def watch(self):
        connection = http.client.HTTPSConnection(self.url.netloc, context=ssl._create_unverified_context(), timeout=90)
        path = f"{MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={self.revision}"
        connection.request("GET", path, headers={"Authorization": "Bearer " + self.load.args.token})
        answer = connection.getresponse()
        if answer.status != 200:
            return answer.status != 410
        self.watches += 1
        for line in answer:
            if not self.see(json.loads(line)):
                return False
        return True

    def run(self):
        good = False
        while True:
            try:
                good = self.watch() if good else self.list()
            except (OSError, http.client.HTTPException, ValueError):
                pass
            time.sleep(0.05)


def check_order(load):
    """A write that was asked for after another was acknowledged has the higher revision, through whichever server."""
    ends = sorted(load.writes, key=lambda w: w[1])
    highest, i = 0, 0
    for asked, _, revision, _ in sorted(load.writes):
        while i < len(ends) and ends[i][1] < asked:
            highest = max(highest, ends[i][2])
            i += 1
        if revision <= highest:
            load.wrong(f"a write got revision {revision} after {highest} had been given")


def check_there(load, watchers):
    for server, watcher in zip(load.args.server, watchers):
        for _ in range(200):  # it may be on its way back after the last fault
            code, answer = Client(load, server).ask("GET", MAPS)
            if code == 200:
                there = {o["metadata"]["name"]: o for o in answer["items"]}
                listed = {name: o["metadata"]["resourceVersion"] for name, o in there.items()}
                if watcher.there == listed:
                    break
            time.sleep(0.1)
        if code != 200:
            return load.wrong(f"{server} does not list: {code}")
        lost = [name for name, n in load.last.items() if name not in there or int(there[name]["data"]["n"]) < n]
        if lost:
            load.wrong(f"{len(lost)} acknowledged writes are lost: {lost[:5]}")
        if watcher.there != listed:
            differ = [n for n in set(listed) | set(watcher.there) if listed.get(n) != watcher.there.get(n)]
            load.wrong(f"the watch of {server} missed {len(differ)} objects: {differ[:5]}")


def longest_pause(load):
    worst = 0.0
    for server in range(len(load.args.server)):
        times = [load.began] + sorted(w[1] for w in load.writes if w[3] == server) + [load.ended]
        worst = max([worst] + [b - a for a, b in zip(times, times[1:])])
    return worst


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--server", action="append", required=True)
    p.add_argument("--token", required=True)
    p.add_argument("--dir", required=True)
    p.add_argument("--pause", type=float, default=60)
    p.add_argument("--writers", type=int, default=6)
    args = p.parse_args()
    load = Load(args)
    watchers = [Watcher(load, server) for server in args.server]
    for w in watchers:
        w.start()
    while not all(w.watches for w in watchers):
        time.sleep(0.05)
    load.began = time.monotonic()
    threads = [threading.Thread(target=writer, args=(load, i), daemon=True) for i in range(args.writers)]
    for t in threads:
        t.start()
    while not os.path.exists(os.path.join(args.dir, "stop")) and not load.problems:
        time.sleep(0.05)
    load.ended = time.monotonic()
    load.done.set()
    for t in threads:
        t.join(90)
    check_order(load)
    check_there(load, watchers)
    pause = longest_pause(load)
    print(
        f"{len(load.writes)} writes acknowledged, {sum(load.refused.values())} not {load.refused or ''}; "
        f"longest pause {pause:.2f} s; "
        f"{sum(w.events for w in watchers)} events, {sum(w.watches for w in watchers)} watches, "
        f"{sum(w.lists for w in watchers)} lists"
    )
    if pause > args.pause:
        load.problems.append(f"no write was acknowledged for {pause:.2f} s")
    if load.problems:
        sys.exit("\n".join(load.problems[:10]))


main()
