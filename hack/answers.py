"""Answers of the reference and of Lighter side by side: what hack/mutate and hack/definitions share. Starts the servers, asks
them, takes out of answers what differs between two runs of one server, and prints the differences in groups."""
import collections
import contextlib
import difflib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("LIGHTER_BIN", os.path.join(ROOT, "build/release/bin"))
RANGE = "10.97.0.0/16"  # hack/reference's


def served(answer):
    return answer[2]["resources"] if answer[0] == 200 else []


class Server:
    """One API server: requests of any thread, a connection a thread."""

    def __init__(self, port, token):
        self.port, self.token, self.local = port, token, threading.local()
        self.tls = ssl._create_unverified_context()
        self.resources = {}

    def ask(self, method, path, body=None, content="application/json", accept="application/json"):
        """Status, warnings, body; status 0 when the server breaks the connection, twice. A text goes as it is."""
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": content, "Accept": accept}
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body, separators=(",", ":"))
        for _ in range(2):
            try:
                if not getattr(self.local, "connection", None):
                    self.local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=60)
                self.local.connection.request(method, path, data, headers)
                answer = self.local.connection.getresponse()
                received = answer.read()
                break
            except (OSError, http.client.HTTPException) as e:
                self.local.connection, broken = None, type(e).__name__
        else:
            return [0, [], broken]
        warnings = [v for k, v in answer.getheaders() if k.lower() == "warning"]
        try:
            return [answer.status, warnings, json.loads(received)]
        except ValueError:
            return [answer.status, warnings, received.decode(errors="replace")]

    def collection(self, obj, namespace):
        """The path of the objects of this one's kind; KeyError when there is no such kind."""
        version = obj["apiVersion"]
        root = ("/apis/" if "/" in version else "/api/") + version
        if version not in self.resources:
            self.resources[version] = {r["kind"]: r for r in served(self.ask("GET", root)) if "/" not in r["name"]}
        resource = self.resources[version][obj["kind"]]
        return root + (f"/namespaces/{namespace}/" if resource["namespaced"] else "/") + resource["name"]


# Comparing

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ADDRESS = re.compile(r"10\.(97|201)\.\d+\.\d+")  # the second is a ServiceCIDR's of hack/mutations
NODE_PORT = re.compile(r"\b3[0-2]\d\d\d\b")
TOKEN = re.compile(r"ey[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}")
VERSION = re.compile(r'(\\*"resourceVersion\\*":\\*")\d+')  # in messages that show an object
SHOWN = re.compile(r'"\{(?:[^"\\]|\\.)*"(?=: )')  # the object that a patch made, whose managedFields have the reference's order
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
YEAR = time.strftime("%Y")


def normal_text(text):
    text = SHOWN.sub("OBJECT", VERSION.sub(r"\1", text))
    text = TIME.sub(lambda m: "TIME" if m.group().startswith(YEAR) else m.group(), text)
    return ADDRESS.sub("ADDRESS", UID.sub("UID", TOKEN.sub("TOKEN", text)))


def normal(value, without=("resourceVersion", "managedFields")):
    """Without these members and what else differs between two runs of one server. The causes of a refusal are a set: some of
    the reference's validations go over maps."""
    if isinstance(value, dict):
        value = {k: normal(v, without) for k, v in value.items() if k not in without}
        if value.get("kind") == "Status" and isinstance(value.get("details"), dict) and value["details"].get("causes"):
            value["details"]["causes"].sort(key=json.dumps)
            if len(value["details"]["causes"]) > 1:
                value["message"] = value["message"].partition(" is invalid: ")[0]
        if isinstance(value.get("nodePort"), int) and value["nodePort"]:
            value["nodePort"] = "PORT"
        return value
    if isinstance(value, list):
        return [normal(v, without) for v in value]
    return normal_text(value) if isinstance(value, str) else value


def without_ports(answer):
    return json.loads(NODE_PORT.sub("30000", json.dumps(answer)))


def differs(theirs, ours):
    return theirs != ours and without_ports(theirs) != without_ports(ours)


def members(theirs, ours, path=""):
    """Where two bodies differ: "- member" is missing from ours, "+ member" is ours alone."""
    if type(theirs) is type(ours) and isinstance(theirs, dict):
        for key in sorted(set(theirs) | set(ours)):
            if key not in ours:
                yield f"- {path}.{key}={json.dumps(theirs[key])[:100]}"
            elif key not in theirs:
                yield f"+ {path}.{key}={json.dumps(ours[key])[:100]}"
            else:
                yield from members(theirs[key], ours[key], f"{path}.{key}")
    elif type(theirs) is type(ours) and isinstance(theirs, list) and len(theirs) == len(ours):
        for i, (a, b) in enumerate(zip(theirs, ours)):
            yield from members(a, b, f"{path}[{i}]")
    elif theirs != ours:
        yield f"{path}: {json.dumps(theirs)[:200]}, ours {json.dumps(ours)[:200]}"


def causes(answer):
    details = answer[2].get("details") if isinstance(answer[2], dict) and answer[2].get("kind") == "Status" else None
    found = (details or {}).get("causes")
    if not found:
        return None
    return collections.Counter((c.get("reason", ""), c.get("field", ""), c.get("message", "")) for c in found)


def brief(answer):
    if isinstance(answer[2], dict) and answer[2].get("kind") == "Status":
        listed = causes(answer)
        said = "; ".join(f"{field}: {message[:160]}" for _, field, message in sorted(listed)) if listed else answer[2].get("message", "")
        return f"{answer[0]} {said[:600]}"
    return f"{answer[0]} " + ("the object" if isinstance(answer[2], dict) else str(answer[2])[:200])


def explain(theirs, ours):
    """The difference in words that cases with the same cause share."""
    words = []
    if theirs[1] != ours[1]:
        words += [f"- warning {w[:200]}" for w in theirs[1] if w not in ours[1]] + [f"+ warning {w[:200]}" for w in ours[1] if w not in theirs[1]] or ["order of warnings"]
    a, b = causes(theirs), causes(ours)
    if theirs[0] == ours[0] and a and b and a != b:
        words += [f"- {field}: {message[:240]}" for _, field, message in sorted((a - b).elements())]
        words += [f"+ {field}: {message[:240]}" for _, field, message in sorted((b - a).elements())]
    elif theirs[0] == ours[0] and not (isinstance(theirs[2], dict) and theirs[2].get("kind") == "Status"):
        words += list(members(theirs[2], ours[2]))[:4]
    elif theirs[2] != ours[2]:
        same = theirs[0] == ours[0] and brief(theirs) == brief(ours)
        words += list(members(theirs[2], ours[2]))[:4] if same else ["- " + brief(theirs), "+ " + brief(ours)]
    return "\n    ".join(words)


def report(theirs, ours, title_of, examples, aside=lambda *_: None, key=lambda words: re.sub(r"\d+", "N", QUOTED.sub('""', words))):
    """Prints a table, a line a title (title_of(name, verb)), and the groups of the differences of a title that have the same
    key; the number of answers that differ. aside(name, verb, theirs, ours) says why a difference is not counted, if so."""
    same, differ, groups, apart = collections.Counter(), collections.Counter(), collections.defaultdict(list), collections.Counter()
    for name, answers in theirs.items():
        for verb, answer in answers.items():
            title = title_of(name, verb)
            if verb not in ours.get(name, {}):
                continue
            if answer[0] == 0 or answer[0] == 500 and "panic" in json.dumps(answer[2]):
                apart["the reference breaks off"] += 1
            elif not differs(answer, ours[name][verb]):
                same[title] += 1
            elif why := aside(name, verb, answer, ours[name][verb]):
                apart[why] += 1
            else:
                differ[title] += 1
                what = explain(answer, ours[name][verb])
                groups[title, key(what)].append((verb, name, what))
    for (title, _), found in sorted(groups.items(), key=lambda g: (g[0][0], -len(g[1]))):
        print(f"{len(found)} x {title}: {', '.join(f'{verb}: {name}' for verb, name, _ in found[:examples])}\n    {found[0][2]}")
    print(f"\n{'':44}{'answers':>8}{'same':>8}{'differ':>8}")
    for title in dict.fromkeys(title_of(name, verb) for name, answers in theirs.items() for verb in answers):
        if same[title] + differ[title]:
            print(f"{title:44}{same[title] + differ[title]:8}{same[title]:8}{differ[title]:8}")
    alike, unlike = sum(same.values()), sum(differ.values())
    print(f"{'all':44}{alike + unlike:8}{alike:8}{unlike:8}")
    for why, count in apart.items():
        print(f"not counted: {count} ({why})")
    return unlike


def show(theirs, ours, words):
    """Both answers to the cases whose names hold all the words."""
    for name in theirs:
        if all(w in name.split() for w in words):
            for verb in theirs[name]:
                a, b = (json.dumps(x[name].get(verb), indent=1, sort_keys=True).split("\n") for x in (theirs, ours))
                print(f"## {verb}: {name}")
                print("\n".join(a) if a == b else "\n".join(difflib.unified_diff(a, b, "reference", "ours", lineterm="", n=5)))


# Servers


@contextlib.contextmanager
def reference():
    """The reference's API server, without controllers, from start to end of the block."""
    with tempfile.TemporaryDirectory(prefix="lighter-answers.", ignore_cleanup_errors=True) as data:
        script, port = ROOT + "/hack/reference", int(os.environ.get("REFERENCE_PORT", "23443"))
        flags = "--disable-admission-plugins=ServiceAccount " + os.environ.get("REFERENCE_APISERVER_FLAGS", "")
        try:
            subprocess.check_call([script, "server", data], stdout=subprocess.DEVNULL, env={**os.environ, "REFERENCE_APISERVER_FLAGS": flags})
            with open(data + "/pki/tokens.csv") as f:
                yield Server(port, f.read().split(",")[0])
        finally:
            subprocess.call([script, "down", data])


@contextlib.contextmanager
def lighter():
    """The same of Lighter: lighter-apiserver of $LIGHTER_BIN, or of build/release/bin."""
    with tempfile.TemporaryDirectory(prefix="lighter-answers.", ignore_cleanup_errors=True) as data:
        token = os.urandom(16).hex()
        with open(data + "/tokens.csv", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(f"{token},admin,1,system:masters\n")
        command = [BIN + "/lighter-apiserver", "--data-dir", data, "--port", "0", "--kubeconfig", data + "/kubeconfig", "--token-auth-file",
                   data + "/tokens.csv", "--service-cluster-ip-range", RANGE, "--disable-admission-plugins", "ServiceAccount"]
        with open(data + "/log", "w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            try:
                if not any(line.startswith("ready") for line in process.stdout):
                    with open(data + "/log") as f:
                        raise SystemExit("lighter-apiserver did not start:\n" + f.read()[-2000:])
                with open(data + "/kubeconfig") as f:
                    url = yaml.safe_load(f)["clusters"][0]["cluster"]["server"]
                yield Server(int(url.rpartition(":")[2]), token)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
