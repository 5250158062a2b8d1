"""The Python package kubernetes against a cluster: client.py STEP, with POD and NAMESPACE in the environment (see
tests/e2e/clients)."""
import os
import sys
import time

import urllib3.exceptions
from kubernetes import client, config, dynamic, watch
from kubernetes.stream import portforward, stream

NAMESPACE, POD = os.environ["NAMESPACE"], os.environ["POD"]


def step_list(api):
    assert api.list_node(limit=1).items
    assert POD in [p.metadata.name for p in api.list_namespaced_pod(NAMESPACE, label_selector="app=web").items]


def step_watch(api):
    """Says each object that the watch shows, until the one called "last". The package leaves it to its user to go on after
    a connection is lost: from the last version, or anew when the server says that it is gone."""
    seen, version = set(), None
    while True:
        try:
            if version is None:
                maps = api.list_namespaced_config_map(NAMESPACE, label_selector="clients=watch")
                names, version = [m.metadata.name for m in maps.items], maps.metadata.resource_version
            else:
                names = []
            for name in names:
                show(seen, name)
            for event in watch.Watch().stream(api.list_namespaced_config_map, NAMESPACE, label_selector="clients=watch",
                                              resource_version=version, allow_watch_bookmarks=True):
                version = event["raw_object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    show(seen, event["object"].metadata.name)
        except client.ApiException as e:
            version = None if e.status == 410 else version
            print(e, file=sys.stderr)
        except (urllib3.exceptions.HTTPError, OSError) as e:
            print(e, file=sys.stderr)
        time.sleep(0.2)


def show(seen, name):
    if name not in seen:
        print("seen", name, flush=True)
    seen.add(name)
    if name == "last":
        sys.exit(0)


def step_apply(api):
    maps = dynamic.DynamicClient(api.api_client).resources.get(api_version="v1", kind="ConfigMap")
    for value in ("one", "two"):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied-python"}, "data": {"k": value}}
        got = maps.server_side_apply(body, namespace=NAMESPACE, field_manager="python")
        assert got.data.k == value
    got = api.read_namespaced_config_map("applied-python", NAMESPACE)
    assert [m.manager for m in got.metadata.managed_fields] == ["python"], got.metadata.managed_fields
    api.delete_namespaced_config_map("applied-python", NAMESPACE)


def step_exec(api):
    shell = stream(api.connect_get_namespaced_pod_exec, POD, NAMESPACE, command=["sh", "-c", "read -r x; echo $x; echo err >&2; exit 3"],
                   stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)
    shell.write_stdin("hello\n")
    shell.run_forever(timeout=30)
    written = shell.read_stdout(), shell.read_stderr()
    assert written == ("hello\n", "err\n"), written
    assert shell.returncode == 3, shell.returncode


def step_forward(api):
    forwarded = portforward(api.connect_get_namespaced_pod_portforward, POD, NAMESPACE, ports="80")
    s = forwarded.socket(80)
    s.settimeout(10)
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    page = b""
    while data := s.recv(4096):
        page += data
    s.close()
    assert b"hello" in page, page
    assert forwarded.error(80) is None


config.load_kube_config(os.environ["KUBECONFIG"])
globals()["step_" + sys.argv[1]](client.CoreV1Api())
