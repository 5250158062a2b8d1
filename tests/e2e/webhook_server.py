"""A webhook for the end-to-end tests: admission and conversion, told by the path what to do. Every review it is sent is
appended to a file, one a line, so that a test can look at what the API server asked.

    webhook_server.py ADDRESS[,ADDRESS...] PORT CERT KEY LOG URL CLIENT-CERT CLIENT-KEY   (the last three: to ask the API server back)
"""
import base64
import http.server
import json
import socketserver
import ssl
import sys
import threading
import time
import urllib.request

addresses, port, cert, key, log, server_url, client_cert, client_key = sys.argv[1:]
lock = threading.Lock()


def patch(operations):
    return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def annotate(obj, name, value):
    operations = []
    if not obj["metadata"].get("annotations"):
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    operations.append({"op": "add", "path": "/metadata/annotations/" + name, "value": value})
    return patch(operations)


def seen(obj, name):
    return int((obj["metadata"].get("annotations") or {}).get(name, "0"))


def ask_back(request):
    """The webhook writes to the API server before it answers."""
    name = "%s-%s" % (request["name"], request["uid"][:8])
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "asked-back"}}
    client = ssl._create_unverified_context()
    client.load_cert_chain(client_cert, client_key)
    urllib.request.urlopen(urllib.request.Request(server_url + "/api/v1/namespaces/asked-back/configmaps",
                                                  json.dumps(body).encode(), {"Content-Type": "application/json"}),
                           context=client, timeout=60).close()


def admit(path, request):
    obj = request.get("object")
    if path == "/deny":
        return {"allowed": False, "status": {"message": "not like this"}}
    if path == "/deny-code":
        return {"allowed": False, "status": {"code": 418, "reason": "Forbidden"}}
    if path == "/deny-silently":
        return {"allowed": False}
    if path == "/warn":
        return {"allowed": True, "warnings": ["think again"]}
    if path == "/warn-much":
        return {"allowed": True, "warnings": [("%d" % i).ljust(300, "x") for i in range(20)]}
    if path.startswith("/count-"):  # counts its own calls in the object
        name = path[1:]
        return {"allowed": True, **annotate(obj, name, str(seen(obj, name) + 1))}
    if path == "/set-address":
        return {"allowed": True, **patch([{"op": "replace", "path": "/spec/address", "value": "set:9"}])}
    if path == "/set-replicas":
        return {"allowed": True, **patch([{"op": "replace", "path": "/spec/replicas", "value": 3}])}
    if path == "/ask-for-nobody":
        return {"allowed": True, **patch([{"op": "replace", "path": "/spec/user", "value": "nobody"},
                                          {"op": "remove", "path": "/spec/groups"}])}
    if path == "/remove-token":
        return {"allowed": True, **patch([{"op": "remove", "path": "/spec/token"}])}
    if path == "/add-container":
        return {"allowed": True, **patch([{"op": "add", "path": "/spec/containers/-",
                                           "value": {"name": "added", "image": "added"}}])}
    if path == "/unknown-field":
        return {"allowed": True, **patch([{"op": "add", "path": "/data/unknown", "value": "x"}])}
    if path == "/invalid":
        return {"allowed": True, **patch([{"op": "add", "path": "/metadata/labels", "value": {"a": "-"}}])}
    if path == "/patch-fails":
        return {"allowed": True, **patch([{"op": "remove", "path": "/nothing/here"}])}
    if path == "/patch-without-type":
        return {"allowed": True, "patch": base64.b64encode(b"[]").decode()}
    if path == "/wrong-uid":
        return {"allowed": True, "uid": "other"}
    if path == "/slow":
        time.sleep(3)
    if path == "/ask-back" and request["namespace"] != "asked-back":
        ask_back(request)
    return {"allowed": True}


def convert(path, request):
    """v1 has spec.address, v2 has spec.host and spec.port."""
    out = []
    for obj in request["objects"]:
        obj = json.loads(json.dumps(obj))
        spec = obj.get("spec", {})
        if request["desiredAPIVersion"].endswith("/v2") and "address" in spec:
            spec["host"], _, spec["port"] = spec.pop("address").partition(":")
        elif request["desiredAPIVersion"].endswith("/v1") and "host" in spec:
            spec["address"] = spec.pop("host") + ":" + spec.pop("port", "")
        obj["apiVersion"] = request["desiredAPIVersion"]
        if path == "/convert-rename":
            obj["metadata"]["name"] = "other"
        if path == "/convert-label":
            obj["metadata"].setdefault("labels", {})["converted"] = "yes"
            obj["metadata"]["finalizers"] = ["ignored.example.com/x"]
        out.append(obj)
    if path == "/convert-fewer":
        out = out[1:]
    if path == "/convert-fails":
        return {"result": {"status": "Failure", "message": "cannot do that"}}
    return {"result": {"status": "Success"}, "convertedObjects": out}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path, _, query = self.path.partition("?")
        with lock, open(log, "a") as f:
            f.write(json.dumps({"path": path, "query": query, "review": review}) + "\n")
        if path == "/status-500":
            return self.answer(500, b"broken", "text/plain")
        if path == "/garbage":
            return self.answer(200, b"garbage", "application/json")
        answer = convert if review["kind"] == "ConversionReview" else admit
        response = {"uid": review["request"]["uid"], **answer(path, review["request"])}
        if path == "/wrong-kind":
            review["kind"] = "Other"
        body = {"kind": review["kind"], "apiVersion": review["apiVersion"], "response": response}
        self.answer(200, json.dumps(body).encode(), "application/json")

    def answer(self, code, body, content_type):
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # callers that hang up are a part of the tests


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
threads = []
for address in addresses.split(","):
    server = Server((address, int(port)), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threads.append(threading.Thread(target=server.serve_forever))
    threads[-1].start()
