/* lighter-kubelet: the node agent as a daemon of its own. */
#define LOG_COMPONENT "kubelet"
#include <malloc.h>
#include <errno.h>
#include <signal.h>

#include "base/flags.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "client/client.h"
#include "kubelet/kubelet.h"
#include "kubelet/runtime/oci.h"
#include "network/agent/agent.h"
#include "loop/loop.h"

typedef struct Options {
    KubeletConfig kubelet;
    OciConfig runtime;
    const char *kubeconfig, *image_root, *proxy_kubeconfig, *dns_bind;
    ProxySettings proxy;
    int64_t port;
    FlagList labels, taints, dns, insecure;
} Options;

static void on_signal(_unused_ Source *source, _unused_ int signo, void *userdata) {
    loop_exit(userdata, 0);
}

static int complain(const char *what, const char *error, int r) {
    log_error("cannot %s: %s", what, error ? error : strerror(-r));
    return 1;
}

static int start_network(const Options *o, Client **ret_client, NetworkAgent **ret, char **ret_error) {
    if (!o->proxy_kubeconfig)
        return 0;
    int r = client_http_from_kubeconfig(o->proxy_kubeconfig, "kube-proxy", ret_client, ret_error);
    if (r < 0)
        return r;
    NetworkAgentConfig config = {.client = *ret_client, .proxy = o->proxy};
    config.proxy.node_name = o->kubelet.node_name;
    config.proxy.node_ip = o->kubelet.node_ip;
    config.dns_bind = o->dns_bind;
    config.dns_address = o->dns.n ? o->dns.items[0] : NULL;
    config.domain = o->kubelet.cluster_domain;
    return network_agent_start(&config, ret, ret_error);
}

static int run_with_runtime(const Options *o, Loop *loop, Client *client, Runtime *runtime, ImageStore *images) {
    _cleanup_free_ char *error = NULL;
    KubeletConfig config = o->kubelet;
    _cleanup_(client_freep) Client *proxy_client = NULL;
    _cleanup_(network_agent_stopp) NetworkAgent *network = NULL;
    Kubelet *kubelet = NULL;
    config.client = client;
    config.runtime = runtime;
    config.images = images;
    config.port = (int)o->port;
    config.cgroup_root = o->runtime.cgroup_root;
    config.labels = o->labels.n ? o->labels.items : NULL;
    config.taints = o->taints.n ? o->taints.items : NULL;
    config.cluster_dns = o->dns.n ? o->dns.items : NULL;
    int r = kubelet_start(&config, &kubelet, &error);
    if (r < 0)
        return complain("start", error, r);
    r = start_network(o, &proxy_client, &network, &error);
    if (r < 0) {
        kubelet_stop(kubelet);
        return complain("serve Services", error, r);
    }
    int code = loop_run_daemon(loop);
    kubelet_stop(kubelet);
    return code;
}

static int serve(Options *o) {
    _cleanup_(loop_freep) Loop *loop = NULL;
    _cleanup_(client_freep) Client *client = NULL;
    _cleanup_(image_store_freep) ImageStore *images = NULL;
    _cleanup_(source_unrefp) Source *term = NULL, *interrupt = NULL;
    _cleanup_free_ char *error = NULL;
    Runtime *runtime = NULL;
    signal(SIGPIPE, SIG_IGN);
    if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_signal, loop, &term) < 0 ||
        loop_add_signal(loop, SIGINT, on_signal, loop, &interrupt) < 0)
        return complain("start the event loop", NULL, -errno);
    int r = client_http_from_kubeconfig(o->kubeconfig, "kubelet", &client, &error);
    if (r < 0)
        return complain("use the kubeconfig", error, r);
    r = image_store_open(&(ImageStoreConfig){.root = o->image_root, .insecure_hosts = o->insecure.items}, &images,
                         &error);
    if (r < 0)
        return complain("open the image store", error, r);
    o->runtime.images = images;
    r = fs_mkdir_p(o->runtime.root, 0711);
    if (r == 0)
        r = oci_runtime_new(&o->runtime, &runtime, &error);
    if (r < 0)
        return complain("use the container runtime", error, r);
    int code = run_with_runtime(o, loop, client, runtime, images);
    runtime->free(runtime);
    return code;
}

int main(int argc, char **argv) {
    mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little contention: an arena each would cost megabytes */
    Options o = {.proxy.table = "lighter_proxy"};
    const Flag flags[] = {
        {"kubeconfig", FLAG_STRING, &o.kubeconfig, "FILE", "how to reach the API server, as system:node:NAME"},
        {"node-name", FLAG_STRING, &o.kubelet.node_name, "NAME", "of the node object"},
        {"node-ip", FLAG_STRING, &o.kubelet.node_ip, "ADDRESS", "of the node (the machine's first)"},
        {"root-dir", FLAG_STRING, &o.kubelet.root_dir, "DIR", "pods' folders and logs"},
        {"runtime-root", FLAG_STRING, &o.runtime.root, "DIR", "containers and sandboxes"},
        {"image-root", FLAG_STRING, &o.image_root, "DIR", "the image store"},
        {"insecure-registry", FLAG_LIST, &o.insecure, "HOST:PORT", "plain HTTP is allowed there; may be repeated"},
        {"oci-runtime", FLAG_STRING, &o.runtime.oci_runtime, "NAME", "crun or runc (the first found)"},
        {"cni-bin-dir", FLAG_STRING, &o.runtime.cni_bin_dir, "DIR", "CNI plugins (/usr/lib/cni)"},
        {"cni-conf-dir", FLAG_STRING, &o.runtime.cni_conf_dir, "DIR", "the network list (*.conflist)"},
        {"cgroup-root", FLAG_STRING, &o.runtime.cgroup_root, "PATH", "every cgroup is below it (/)"},
        {"pod-cidr", FLAG_STRING, &o.kubelet.pod_cidr, "CIDR", "of the node's pods, for the node object"},
        {"bind", FLAG_STRING, &o.kubelet.bind, "ADDRESS", "the agent's server listens there (0.0.0.0)"},
        {"port", FLAG_INT, &o.port, "PORT", "and there (10250; negative: any free one)"},
        {"cert", FLAG_STRING, &o.kubelet.cert_file, "FILE", "its certificate"},
        {"key", FLAG_STRING, &o.kubelet.key_file, "FILE", "its key"},
        {"ca", FLAG_STRING, &o.kubelet.client_ca_file, "FILE", "the CA that clients' certificates must be of"},
        {"max-pods", FLAG_INT, &o.kubelet.max_pods, "N", "the node's capacity (110)"},
        {"system-reserved", FLAG_STRING, &o.kubelet.system_reserved, "LIST",
         "kept from pods for the system (cpu=200m,memory=500Mi,ephemeral-storage=1Gi,pid=1000)"},
        {"kube-reserved", FLAG_STRING, &o.kubelet.kube_reserved, "LIST", "and for the node's own daemons, likewise"},
        {"eviction-hard", FLAG_STRING, &o.kubelet.eviction_hard, "LIST",
         "evict pods then (memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,...)"},
        {"eviction-soft", FLAG_STRING, &o.kubelet.eviction_soft, "LIST", "or then, once it lasts (none)"},
        {"eviction-soft-grace-period", FLAG_STRING, &o.kubelet.eviction_soft_grace, "LIST",
         "for so long (memory.available=1m30s,...); each soft threshold needs one"},
        {"eviction-max-pod-grace-period", FLAG_INT, &o.kubelet.eviction_max_pod_grace, "SECONDS",
         "a pod has to end at a soft threshold, at the most (0)"},
        {"eviction-minimum-reclaim", FLAG_STRING, &o.kubelet.eviction_minimum_reclaim, "LIST",
         "evict until so much more is free (nodefs.available=500Mi,...)"},
        {"eviction-pressure-transition-period", FLAG_DURATION, &o.kubelet.eviction_transition_ns, "DURATION",
         "a condition of the node stays after it was seen last (5m)"},
        {"image-gc-high-threshold", FLAG_INT, &o.kubelet.image_gc_high, "PERCENT",
         "of the disk; past it images that nothing uses are removed (85)"},
        {"image-gc-low-threshold", FLAG_INT, &o.kubelet.image_gc_low, "PERCENT", "until it is that full (80)"},
        {"node-labels", FLAG_LIST, &o.labels, "KEY=VALUE", "for the node object; may be repeated"},
        {"register-with-taints", FLAG_LIST, &o.taints, "KEY=VALUE:EFFECT", "for the node object; may be repeated"},
        {"proxy-kubeconfig", FLAG_STRING, &o.proxy_kubeconfig, "FILE",
         "serve Services on this node, as system:kube-proxy (not at all)"},
        {"proxy-table", FLAG_STRING, &o.proxy.table, "NAME", "the nftables table of Services (lighter_proxy)"},
        {"cluster-cidr", FLAG_STRING, &o.proxy.cluster_cidr, "CIDR", "addresses of all pods (unknown)"},
        {"service-cluster-ip-range", FLAG_STRING, &o.proxy.service_cidr, "CIDR", "addresses of Services (unknown)"},
        {"dns-bind", FLAG_STRING, &o.dns_bind, "ADDRESS", "answer the cluster's names there (not at all)"},
        {"cluster-domain", FLAG_STRING, &o.kubelet.cluster_domain, "DOMAIN", "of the cluster's names (cluster.local)"},
        {"cluster-dns", FLAG_LIST, &o.dns, "ADDRESS", "DNS server for pods; may be repeated"},
    };
    const Command command = {.name = "lighter-kubelet",
                             .usage =
                                 "lighter-kubelet --kubeconfig FILE --node-name NAME --root-dir DIR --runtime-root DIR "
                                 "--image-root DIR --cni-conf-dir DIR [flags]",
                             .about = "Runs the pods that are bound to a node.",
                             .flags = flags,
                             .n_flags = ELEMENTSOF(flags)};
    int n;
    FlagsResult r = flags_parse(&command, argc, argv, &n);
    if (r != FLAGS_OK)
        return r == FLAGS_HELP ? 0 : 2;
    const char *const needed[][2] = {{"kubeconfig", o.kubeconfig},     {"node-name", o.kubelet.node_name},
                                     {"root-dir", o.kubelet.root_dir}, {"runtime-root", o.runtime.root},
                                     {"image-root", o.image_root},     {"cni-conf-dir", o.runtime.cni_conf_dir}};
    for (size_t i = 0; i < ELEMENTSOF(needed); i++)
        if (!needed[i][1]) {
            fprintf(stderr, "lighter-kubelet: --%s is missing; see 'lighter-kubelet --help'\n", needed[i][0]);
            return 2;
        }
    return serve(&o);
}
