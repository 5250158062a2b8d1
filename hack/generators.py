"""Random objects for hack/sequences. Everything comes from one random.Random, so that a seed tells all of a run. Values are
few, so that writers meet in the same fields; some are not valid, so that refusals meet as well."""
import copy

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
GROUP = "sequences.example.com"


def struct(**members):
    return {"type": "object", "properties": members}


def listed(items, kind=None, *keys):
    out = {"type": "array", "items": items}
    if kind:
        out["x-kubernetes-list-type"] = kind
    if keys:
        out["x-kubernetes-list-map-keys"] = list(keys)
    return out


def mapped(items, kind=None):
    return {"type": "object", "additionalProperties": items, **({"x-kubernetes-map-type": kind} if kind else {})}


def thing_schema():
    """A spec with every kind of list and map that server-side apply knows."""
    named = dict(struct(name=TEXT, v=WHOLE, inner=struct(p=TEXT, q=TEXT), tags=listed(TEXT, "set")), required=["name"])
    port = dict(struct(port=WHOLE, proto={"type": "string", "default": "TCP"}, v=TEXT), required=["port"])
    condition = dict(struct(type=TEXT, status=TEXT), required=["type"])
    spec = struct(
        text=TEXT, number=WHOLE, flag={"type": "boolean"}, part={"type": "number"}, filled={"type": "string", "default": "d"},
        nullable={"type": "string", "nullable": True}, either={"x-kubernetes-int-or-string": True}, replicas=WHOLE,
        map=mapped(TEXT), whole=mapped(TEXT, "atomic"), maps=mapped(struct(x=TEXT, y=WHOLE)),
        struct=struct(x=TEXT, y=WHOLE, deep=struct(z=TEXT, w=TEXT)), leaf={**struct(x=TEXT, y=WHOLE), "x-kubernetes-map-type": "atomic"},
        set=listed(TEXT, "set"), numbers=listed(WHOLE, "set"), named=listed(named, "map", "name"), ports=listed(port, "map", "port", "proto"),
        items=listed(struct(x=TEXT, y=WHOLE)), free={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        color=TEXT)
    status = struct(text=TEXT, replicas=WHOLE, selector=TEXT, conditions=listed(condition, "map", "type"))
    return {"openAPIV3Schema": struct(spec=spec, status=status)}


def definition(kind, schema, subresources):
    version = {"served": True, "schema": schema, "selectableFields": [{"jsonPath": ".spec.color"}]}
    if subresources:
        version["subresources"] = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                                                           "labelSelectorPath": ".status.selector"}}
    plural = kind.lower() + "s"
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                     "versions": [{"name": v, "storage": v == "v1", **copy.deepcopy(version)} for v in ("v1", "v2")]}}


class Maker:
    def __init__(self, random):
        self.random = random

    def one(self, *choices):
        return self.random.choice(choices)

    def word(self):
        return self.one("", "a", "b", "c", "x/y", "two words")

    def number(self):
        return self.one(0, 1, 2, 3, -1)

    def junk(self):
        return self.one(None, "s", 1, True, [], {}, [1], {"a": 1}, 1.5, ["a", "a"])

    def some(self, make, least=0, most=3):
        return [make() for _ in range(self.random.randint(least, most))]

    def pick(self, share, **makers):
        """Some of the members; one in a hundred is of any type."""
        return {name: make() if self.random.random() > .01 else self.junk()
                for name, make in makers.items() if self.random.random() < share}

    def map(self, make):
        return {self.one(*"kabc"): make() for _ in range(self.random.randint(0, 3))}

    def keyed(self, make, *keys):
        """A list, mostly without two items of the same keys."""
        items = self.some(make)
        if self.random.random() < .04:
            return items
        return list({tuple(str(i.get(k, "TCP")) for k in keys) if keys else str(i): i for i in items}.values())

    def anything(self, depth=0):
        inner = (lambda: self.anything(depth + 1)) if depth < 2 else self.word
        return self.one(self.word, self.number, lambda: self.some(inner, 0, 2), lambda: {self.one(*"uvw"): inner()}, lambda: None, lambda: True)()

    def metadata(self):
        def owner(uid):
            return {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid,
                    **self.pick(.5, controller=lambda: False, blockOwnerDeletion=lambda: self.one(True, False))}
        return self.pick(.25, labels=lambda: {self.one(*"kabc"): self.one("", "v", "w") for _ in range(self.random.randint(0, 2))},
                         annotations=lambda: self.map(self.word),
                         finalizers=lambda: self.random.sample(["example.com/a", "example.com/b"], self.random.randint(0, 2)),
                         ownerReferences=lambda: [owner(u) for u in self.some(lambda: self.one("u1", "u2"), 0, 2)])

    def thing(self):
        def named():
            return {"name": self.one(*"abc"), **self.pick(.5, v=self.number, inner=lambda: self.pick(.5, p=self.word, q=self.word),
                                                          tags=lambda: self.keyed(self.word))}
        pair = lambda: self.pick(.5, x=self.word, y=self.number)
        return self.pick(
            .25, text=self.word, number=self.number, flag=lambda: self.one(True, False), part=lambda: self.one(1, 1.5, 0, 1e20),
            filled=self.word, nullable=lambda: self.one(None, "x"), either=lambda: self.one(1, "1"), replicas=lambda: self.one(0, 1, 2),
            map=lambda: self.map(self.word), whole=lambda: self.map(self.word), maps=lambda: self.map(pair), leaf=pair,
            struct=lambda: {**pair(), **self.pick(.5, deep=lambda: self.pick(.5, z=self.word, w=self.word))},
            set=lambda: self.keyed(self.word), numbers=lambda: self.keyed(self.number), named=lambda: self.keyed(named, "name"),
            ports=lambda: self.keyed(lambda: {"port": self.one(1, 2, 80), **self.pick(.5, proto=lambda: self.one("TCP", "UDP"), v=self.word)},
                                     "port", "proto"),
            items=lambda: self.some(pair), free=lambda: {self.one(*"uvw"): self.anything() for _ in range(self.random.randint(0, 3))},
            color=lambda: self.one("red", "blue"))

    def thing_status(self):
        return self.pick(.5, text=self.word, replicas=lambda: self.one(0, 1, 2), selector=self.word, conditions=lambda: self.keyed(
            lambda: {"type": self.one("A", "B"), **self.pick(.5, status=self.word)}, "type"))

    def container(self):
        port = lambda: {"containerPort": self.one(80, 81), **self.pick(.3, protocol=lambda: self.one("TCP", "UDP"), name=lambda: self.one("http", "x"),
                                                                       hostPort=lambda: self.one(80, 81))}
        env = lambda: {"name": self.one(*"ABC"), **self.one({"value": self.word()}, {}, {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})}
        mount = lambda: {"name": self.one("v", "w"), "mountPath": self.one("/a", "/b")}
        probe = lambda: {"httpGet": {"path": "/", "port": self.one(80, "http")}, **self.pick(.5, periodSeconds=lambda: self.one(1, 10))}
        return {"name": self.one("c", "d"), "image": self.one("i", "j"), **self.pick(
            .25, ports=lambda: self.keyed(port, "containerPort", "protocol"), env=lambda: self.keyed(env, "name"), args=lambda: self.some(self.word),
            volumeMounts=lambda: self.keyed(mount, "mountPath"), imagePullPolicy=lambda: "Always", livenessProbe=probe,
            resources=lambda: self.pick(.5, limits=lambda: {"cpu": self.one("1", "1000m", 1, "0.5")}, requests=lambda: {"memory": self.one("1Gi", "1024Mi", "5")}),
            securityContext=lambda: self.pick(.5, runAsUser=self.number, capabilities=lambda: {"add": self.some(lambda: self.one("A", "B"))}))}

    def pod(self):
        volume = lambda: {"name": self.one("v", "w"), **self.one({"emptyDir": {}}, {"configMap": {"name": "x"}}, {})}
        return {"containers": self.keyed(self.container, "name"), **self.pick(
            .2, volumes=lambda: self.keyed(volume, "name"), tolerations=lambda: self.some(lambda: {"key": self.one("k", "l"), "operator": "Exists"}),
            nodeSelector=lambda: self.map(lambda: "v"), imagePullSecrets=lambda: self.keyed(lambda: {"name": self.one("p", "q")}, "name"),
            hostAliases=lambda: self.keyed(lambda: {"ip": self.one("1.1.1.1", "2.2.2.2"), "hostnames": ["h"]}, "ip"),
            initContainers=lambda: self.keyed(self.container, "name"), terminationGracePeriodSeconds=lambda: self.one(0, 30),
            topologySpreadConstraints=lambda: [{"maxSkew": 1, "topologyKey": self.one("t", "u"), "whenUnsatisfiable": "ScheduleAnyway"}],
            securityContext=lambda: self.pick(.5, fsGroup=lambda: 1, sysctls=lambda: []), affinity=lambda: {})}

    def template(self):
        return {"metadata": {"labels": {"a": "b"}}, "spec": self.pod()}

    def deployment(self):
        strategy = lambda: self.one({}, {"type": "Recreate"}, {"rollingUpdate": {"maxSurge": self.one(1, "50%")}})
        return {**self.pick(.3, replicas=lambda: self.one(0, 1, 2), minReadySeconds=self.number, paused=lambda: self.one(True, False), strategy=strategy),
                **self.pick(.9, selector=lambda: {"matchLabels": {"a": "b"}}, template=self.template)}

    def service(self):
        port = lambda: {"port": self.one(80, 81, 82), "name": self.one("p80", "p81", "q"), **self.pick(
            .4, protocol=lambda: self.one("TCP", "UDP"), targetPort=lambda: self.one(8080, "x"), appProtocol=lambda: "h2c")}
        return {**self.pick(.3, selector=lambda: self.map(lambda: "v"), externalIPs=lambda: self.some(lambda: self.one("1.1.1.1", "2.2.2.2"), 0, 2),
                            sessionAffinity=lambda: self.one("None", "ClientIP"), publishNotReadyAddresses=lambda: self.one(True, False),
                            clusterIP=lambda: "None", internalTrafficPolicy=lambda: self.one("Local", "Cluster")),
                **self.pick(.85, ports=lambda: self.keyed(port, "port", "protocol"))}

    def autoscaler(self, version):
        metric = lambda: {"type": "Resource", "resource": {"name": self.one("cpu", "memory"), "target": {"type": "Utilization", "averageUtilization": self.one(50, 80)}}}
        spec = {"maxReplicas": self.one(2, 3), **self.pick(.7, minReplicas=lambda: self.one(1, 2), scaleTargetRef=lambda: {
            "kind": "Deployment", "name": self.one("x", "y"), "apiVersion": "apps/v1"})}
        if version == "v1":
            return {**spec, **self.pick(.4, targetCPUUtilizationPercentage=lambda: self.one(50, 80))}
        return {**spec, **self.pick(.5, metrics=lambda: self.some(metric, 0, 2), behavior=lambda: {"scaleDown": {"stabilizationWindowSeconds": self.one(0, 300)}})}
