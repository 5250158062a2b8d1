#!/usr/bin/env python3
"""Compares the lists of two API servers: `paths` turns kubectl's api-resources into API paths, `lists` compares them."""
import json
import ssl
import sys
import time
import urllib.error
import urllib.request


def paths():
    for line in sys.stdin:
        # NAME [SHORTNAMES] APIVERSION NAMESPACED KIND VERBS [CATEGORIES]
        words = line.split()
        at = next(i for i, w in enumerate(words) if w in ("true", "false"))
        version, plural = words[at - 1], words[0]
        print(("/api/" if "/" not in version else "/apis/") + version + "/" + plural)


def fetch(server, token, path):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(server + path, headers={"Authorization": "Bearer " + token})
    for _ in range(60):
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                items = json.load(answer)["items"]
                return {(i["metadata"].get("namespace", ""), i["metadata"]["name"]): i for i in items}
        except urllib.error.HTTPError as error:
            if error.code != 429:  # kube-apiserver, whose caches are not filled yet
                raise
        time.sleep(0.5)
    sys.exit(f"{path}: too many requests, for half a minute")


def differences(a, b, at):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            yield from differences(a.get(key), b.get(key), f"{at}.{key}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, f"{at}[{i}]")
    elif a != b:
        yield f"{at}: {json.dumps(a)} and {json.dumps(b)}"


def lists(one, two, token, *which):
    different = total = 0
    for path in which:
        if path.endswith("/componentstatuses"):  # made up by the server, not stored
            continue
        a, b = fetch(one, token, path), fetch(two, token, path)
        if a != b:  # somebody may have written in between: a lease, an event
            a, b = fetch(one, token, path), fetch(two, token, path)
        total += len(a)
        for key in sorted(set(a) | set(b)):
            if a.get(key) == b.get(key):
                continue
            different += 1
            for text in differences(a.get(key), b.get(key), ""):
                print(path, "/".join(key), text)
    print(f"{total} objects of {len(which)} kinds, {different} differ")
    return 1 if different or not total else 0


if __name__ == "__main__":
    sys.exit(paths() if sys.argv[1] == "paths" else lists(*sys.argv[2:]))
