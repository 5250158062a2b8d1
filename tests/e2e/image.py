#!/usr/bin/env python3
"""Container images for tests, made from what Debian packages have installed on this machine.

  image.py build KIND OUT.tar [--tag TAG] [--page TEXT]   KIND: busybox | nginx; writes a Docker archive
  image.py push ARCHIVE.tar HOST:PORT NAME:TAG             pushes it to a registry over plain HTTP (loopback)
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse

NGINX_CONF = """
error_log /dev/stderr warn;
pid /tmp/nginx.pid;
daemon off;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen 80; root /www; }
}
"""


def add_file(tar, name, data=None, source=None, mode=0o644):
    info = tarfile.TarInfo(name)
    if source:
        with open(source, "rb") as f:
            data = f.read()
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def add_dir(tar, name, mode=0o755):
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    tar.addfile(info)


def add_link(tar, name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    tar.addfile(info)


def busybox_layer(tar):
    for d in ("bin", "etc", "tmp", "var", "home", "root", "usr", "usr/bin"):
        add_dir(tar, d, 0o1777 if d == "tmp" else 0o755)
    add_file(tar, "bin/busybox", source="/usr/bin/busybox", mode=0o755)
    applets = subprocess.check_output(["/usr/bin/busybox", "--list"], text=True).split()
    for applet in applets:
        if applet != "busybox":
            add_link(tar, "bin/" + applet, "busybox")
    add_file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")
    add_file(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\nuser:x:1000:\nextra:x:2000:user\n")


def nginx_layer(tar, page):
    busybox_layer(tar)
    listing = subprocess.check_output(["ldd", "/usr/sbin/nginx"], text=True)
    made = set()
    for path in re.findall(r"(/[^\s]+)", listing):
        parts = path.strip("/").split("/")
        for i in range(1, len(parts)):
            d = "/".join(parts[:i])
            if d not in made:
                made.add(d)
                add_dir(tar, d)
        add_file(tar, path.strip("/"), source=os.path.realpath(path), mode=0o755)
    for d in ("usr/sbin", "www", "var/log", "var/log/nginx", "var/lib", "var/lib/nginx"):
        add_dir(tar, d)
    add_file(tar, "usr/sbin/nginx", source="/usr/sbin/nginx", mode=0o755)
    add_file(tar, "etc/nginx.conf", NGINX_CONF.encode())
    add_file(tar, "www/index.html", (page + "\n").encode())


def build(args):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        busybox_layer(tar) if args.kind == "busybox" else nginx_layer(tar, args.page)
    layer = layer.getvalue()
    run = {"Env": ["PATH=/bin:/usr/bin:/usr/sbin"], "WorkingDir": "/"}
    if args.kind == "busybox":
        run["Cmd"] = ["sh"]
    else:
        run["Entrypoint"] = ["/usr/sbin/nginx"]
        run["Cmd"] = ["-c", "/etc/nginx.conf"]
        run["ExposedPorts"] = {"80/tcp": {}}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": run, "created": "2026-01-01T00:00:00Z",
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
                         "history": [{"created_by": "tests/e2e/image.py"}]}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    with tarfile.open(args.out, "w") as tar:
        add_file(tar, config_name, config)
        add_file(tar, "layer.tar", layer)
        manifest = [{"Config": config_name, "RepoTags": [args.tag] if args.tag else [], "Layers": ["layer.tar"]}]
        add_file(tar, "manifest.json", json.dumps(manifest).encode())


class Registry:
    def __init__(self, host):
        self.connection = http.client.HTTPConnection(host, timeout=30)

    def call(self, method, path, body=None, headers=None, want=(200, 201, 202)):
        self.connection.request(method, path, body, headers or {})
        r = self.connection.getresponse()
        data = r.read()
        if r.status not in want:
            sys.exit(f"{method} {path}: {r.status} {data[:200]!r}")
        return r

    def blob(self, name, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        location = self.call("POST", f"/v2/{name}/blobs/uploads/").getheader("Location")
        u = urllib.parse.urlsplit(location)
        query = (u.query + "&" if u.query else "") + "digest=" + digest
        self.call("PUT", u.path + "?" + query, data, {"Content-Type": "application/octet-stream"})
        return digest


def push(args):
    name, tag = args.name.rsplit(":", 1)
    registry = Registry(args.registry)
    with tarfile.open(args.archive) as tar:
        read = lambda n: tar.extractfile(n).read()
        manifest = json.loads(read("manifest.json"))[0]
        config = read(manifest["Config"])
        layers = [gzip.compress(read(n), mtime=0) for n in manifest["Layers"]]
    v2 = "application/vnd.docker.distribution.manifest.v2+json"
    body = {"schemaVersion": 2, "mediaType": v2,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": registry.blob(name, config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(l), "digest": registry.blob(name, l)} for l in layers]}
    registry.call("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(body), {"Content-Type": v2})


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
verbs = parser.add_subparsers(required=True)
p = verbs.add_parser("build")
p.add_argument("kind", choices=["busybox", "nginx"])
p.add_argument("out")
p.add_argument("--tag")
p.add_argument("--page", default="hello")
p.set_defaults(run=build)
p = verbs.add_parser("push")
p.add_argument("archive")
p.add_argument("registry")
p.add_argument("name")
p.set_defaults(run=push)
arguments = parser.parse_args()
arguments.run(arguments)
