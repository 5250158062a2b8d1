#!/usr/bin/env python3
"""Container images for tests, made from what Debian packages have installed on this machine.

  image.py build KIND OUT.tar [--tag TAG] [--page TEXT] [--add SOURCE=NAME[:MODE]]... [--entrypoint JSON] [--cmd JSON]
                     [--user USER] [--link NAME=TARGET]... [--busybox PROGRAM]
      KIND: busybox | nginx | tools (busybox, and programs that look at networks) | empty; writes a Docker archive
  image.py push ARCHIVE.tar HOST:PORT NAME:TAG
      pushes it to a registry over plain HTTP (loopback)
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import re
import shutil
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

PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
user:x:1000:1000::/home:/bin/sh
"""
GROUP = """root:x:0:
nogroup:x:65534:
user:x:1000:
extra:x:2000:user
"""
# What tests run in containers to look at the network; those that this machine has.
TOOLS = ("bash", "curl", "dig", "nc", "ip", "getent", "iperf3", "perl", "stat", "unshare", "wget")


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


def add_programs(tar, programs):
    """Dynamic programs with the libraries that the loader would give them, at the paths they have here."""
    made, added = set(), set()
    for program in programs:
        listing = subprocess.check_output(["ldd", program], text=True)
        for path in re.findall(r"(/[^\s]+)", listing) + [program]:
            parts = path.strip("/").split("/")
            for i in range(1, len(parts)):
                d = "/".join(parts[:i])
                if d not in made and d not in ("bin", "usr", "usr/bin"):
                    made.add(d)
                    add_dir(tar, d)
            if path not in added:
                added.add(path)
                add_file(tar, path.strip("/"), source=os.path.realpath(path), mode=0o755)


def busybox_layer(tar, args):
    for d in ("bin", "etc", "tmp", "var", "home", "root", "usr", "usr/bin"):
        add_dir(tar, d, 0o1777 if d == "tmp" else 0o755)
    add_file(tar, "bin/busybox", source=args.busybox, mode=0o755)
    applets = subprocess.check_output([args.busybox, "--list"], text=True).split()
    for applet in applets:
        if applet != "busybox":
            add_link(tar, "bin/" + applet, "busybox")
    add_file(tar, "etc/passwd", PASSWD.encode())
    add_file(tar, "etc/group", GROUP.encode())


def nginx_layer(tar, args):
    busybox_layer(tar, args)
    add_programs(tar, ["/usr/sbin/nginx"])
    for d in ("www", "var/log", "var/log/nginx", "var/lib", "var/lib/nginx"):
        add_dir(tar, d)
    add_file(tar, "etc/nginx.conf", NGINX_CONF.encode())
    add_file(tar, "www/index.html", (args.page + "\n").encode())


def tools_layer(tar, args):
    busybox_layer(tar, args)
    add_programs(tar, [p for p in (shutil.which(name) for name in TOOLS) if p])
    # Debian's busybox sh prefers its own nc to this one, and drops environment variables whose names it cannot use.
    add_link(tar, "bin/sh", shutil.which("bash"))
    add_file(tar, "etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")


KINDS = {"busybox": busybox_layer, "nginx": nginx_layer, "tools": tools_layer, "empty": lambda tar, args: None}


def added_layer(tar, additions, links):
    made = set()
    for link in links:
        add_link(tar, *link.split("=", 1))
    for addition in additions:
        source, name = addition.split("=", 1)
        name, _, mode = name.partition(":")
        parts = name.strip("/").split("/")
        for i in range(1, len(parts)):
            d = "/".join(parts[:i])
            if d not in made and d not in ("bin", "etc", "usr", "usr/bin"):
                made.add(d)
                add_dir(tar, d)
        if source == "":
            add_dir(tar, name.strip("/"), int(mode or "755", 8))
        else:
            add_file(tar, name.strip("/"), source=source, mode=int(mode or "755", 8))


def layer_of(write, *what):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        write(tar, *what)
    return layer.getvalue()


def build(args):
    layers = [layer_of(KINDS[args.kind], args)] if args.kind != "empty" else []
    if args.add or args.link:
        layers.append(layer_of(added_layer, args.add, args.link))
    run = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/"}
    if args.kind == "nginx":
        run["Entrypoint"] = ["/usr/sbin/nginx"]
        run["Cmd"] = ["-c", "/etc/nginx.conf"]
        run["ExposedPorts"] = {"80/tcp": {}}
    elif args.kind != "empty":
        run["Cmd"] = ["sh"]
    if args.entrypoint:
        run["Entrypoint"] = json.loads(args.entrypoint)
        run.pop("Cmd", None)
    if args.cmd:
        run["Cmd"] = json.loads(args.cmd)
    if args.user:
        run["User"] = args.user
    ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": run, "created": "2026-01-01T00:00:00Z",
                         "rootfs": {"type": "layers", "diff_ids": ids},
                         "history": [{"created_by": "tests/e2e/image.py"} for _ in layers]}).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    names = [f"layer{i}.tar" for i in range(len(layers))]
    with tarfile.open(args.out, "w") as tar:
        add_file(tar, config_name, config)
        for name, layer in zip(names, layers):
            add_file(tar, name, layer)
        manifest = [{"Config": config_name, "RepoTags": [args.tag] if args.tag else [], "Layers": names}]
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
        layers = [gzip.compress(read(n), compresslevel=1, mtime=0) for n in manifest["Layers"]]
    v2 = "application/vnd.docker.distribution.manifest.v2+json"
    body = {"schemaVersion": 2, "mediaType": v2,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": registry.blob(name, config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(l), "digest": registry.blob(name, l)} for l in layers]}
    registry.call("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(body), {"Content-Type": v2})


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
verbs = parser.add_subparsers(required=True)
p = verbs.add_parser("build")
p.add_argument("kind", choices=sorted(KINDS))
p.add_argument("out")
p.add_argument("--tag")
p.add_argument("--page", default="hello")
p.add_argument("--add", action="append", default=[], help="a file of this machine, or with no source a folder")
p.add_argument("--link", action="append", default=[], help="a symbolic link; it replaces what is there")
p.add_argument("--entrypoint")
p.add_argument("--cmd")
p.add_argument("--user")
p.add_argument("--busybox", default="/usr/bin/busybox", help="the static program to use")
p.set_defaults(run=build)
p = verbs.add_parser("push")
p.add_argument("archive")
p.add_argument("registry")
p.add_argument("name")
p.set_defaults(run=push)
arguments = parser.parse_args()
arguments.run(arguments)
