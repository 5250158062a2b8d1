#define LOG_COMPONENT "lighter"
#include "cmd/lighter/agents.h"
#include "cmd/lighter/addons.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/kubelet.h"
#include "network/agent/agent.h"

#define MACHINE_NAME "machine"      /* no node's: those of this program are called lighter-I */
#define RESTART_DELAY_NS NS_PER_SEC /* an agent that ends by itself is started again after so long */

/* An agent in a process and a network namespace of its own. */
typedef struct Process {
    Agents *agents;
    LocalNode *node; /* borrowed */
    char *kubeconfig, *cert_file, *key_file, *ca_file, *proxy_kubeconfig;
    pid_t pid; /* 0: not running */
    Source *child, *timer;
} Process;

struct Agents {
    const Cluster *cluster;
    Loop *loop;
    bool stopping;
    /* One node: here. */
    ImageStore *images;
    Runtime *runtime;
    Client *client;
    Kubelet *kubelet;
    UserInfo user;
    char *user_name;
    /* On the machine itself, with any number of nodes: its programs reach Services too. */
    Client *proxy_client;
    NetworkAgent *network;
    char *proxy_table;
    char dns_address[64];
    /* Several: over there. */
    Process *processes;
    size_t n_processes;
};

static const char *const NODE_GROUPS[] = {"system:nodes", "system:authenticated", NULL};
static const char *const PROXY_GROUPS[] = {"system:authenticated", NULL};
static const UserInfo PROXY_USER = {.name = "system:kube-proxy", .groups = PROXY_GROUPS};

static bool port_is_free(const char *address, uint16_t port) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || inet_pton(AF_INET, address, &sa.sin_addr) != 1)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
}

static int credentials_of(ApiServer *server, const LocalNode *node, NodeCredentials *ret) {
    const char *const addresses[] = {node->address, "127.0.0.1", NULL};
    return apiserver_node_credentials(server, node->name, addresses, ret);
}

/* The machine is its user's, not a node only: what fills its disk need not be the pods' doing, so they are evicted
 * later than the reference would, and images that were imported stay. */
#define EVICTION_HARD                                                                                                  \
    "memory.available<100Mi,nodefs.available<5%,nodefs.inodesFree<5%,imagefs.available<5%,imagefs.inodesFree<5%"
#define IMAGE_GC_PERCENT 95

static int start_here(Agents *agents, const LocalNode *node, ApiServer *server, char **ret_error) {
    _cleanup_(node_credentials_done) NodeCredentials credentials = {0};
    _cleanup_free_ char *root = xasprintf("%s/kubelet", node->root);
    int r = local_image_store(agents->cluster, &agents->images, ret_error);
    if (r == 0)
        r = local_node_runtime(node, agents->images, &agents->runtime, ret_error);
    if (r == 0)
        r = credentials_of(server, node, &credentials);
    if (r < 0)
        return r;
    agents->user_name = xasprintf("system:node:%s", node->name);
    agents->user = (UserInfo){.name = agents->user_name, .groups = NODE_GROUPS};
    agents->client = apiserver_local_client(server, &agents->user, "kubelet");
    const char *const dns[] = {agents->dns_address, NULL};
    const KubeletConfig config = {
        .client = agents->client,
        .runtime = agents->runtime,
        .images = agents->images,
        .node_name = node->name,
        .node_ip = node->address,
        .root_dir = root,
        .cgroup_root = node->cgroup,
        .pod_cidr = node->pod_cidr,
        .cluster_dns = dns,
        .eviction_hard = EVICTION_HARD,
        .image_gc_high = IMAGE_GC_PERCENT,
        .image_gc_low = IMAGE_GC_PERCENT - 5,
        .bind = node->address,
        .port = port_is_free(node->address, KUBELET_PORT) ? KUBELET_PORT : -1,
        .cert_file = credentials.cert_file,
        .key_file = credentials.key_file,
        .client_ca_file = credentials.ca_file,
    };
    return kubelet_start(&config, &agents->kubelet, ret_error);
}

/* In the machine's own namespace: as the only node's, or on behalf of no node when they have namespaces of their own.
 */
static int start_network(Agents *agents, const LocalNode *node, ApiServer *server, char **ret_error) {
    _cleanup_free_ char *address = local_machine_address();
    agents->proxy_client = apiserver_local_client(server, &PROXY_USER, "kube-proxy");
    char gateway[CIDR_TEXT_MAX];
    int r = node ? cluster_network_gateway(node->pod_cidr, gateway) : 0;
    if (r < 0)
        return r;
    const NetworkAgentConfig config = {
        .client = agents->proxy_client,
        .dns_bind = node ? gateway : NULL,
        .dns_address = agents->dns_address,
        .proxy = {.table = agents->proxy_table,
                  .node_name = node ? node->name : MACHINE_NAME,
                  .node_ip = address,
                  .cluster_cidr = agents->cluster->cidr,
                  .service_cidr = agents->cluster->service_cidr},
    };
    return network_agent_start(&config, &agents->network, ret_error);
}

static void run_agent(const Process *p) {
    _cleanup_free_ char *program = fs_beside_program("lighter-kubelet"), *root = xasprintf("%s/kubelet", p->node->root);
    _cleanup_free_ char *runtime = xasprintf("%s/runtime", p->node->root),
                        *images = cluster_path(p->agents->cluster, "images");
    char gateway[CIDR_TEXT_MAX];
    if (!program || cluster_network_gateway(p->node->pod_cidr, gateway) < 0)
        _exit(127);
    const char *const argv[] = {program,
                                "--kubeconfig",
                                p->kubeconfig,
                                "--eviction-hard",
                                EVICTION_HARD,
                                "--image-gc-high-threshold",
                                "95",
                                "--image-gc-low-threshold",
                                "90",
                                "--node-name",
                                p->node->name,
                                "--node-ip",
                                p->node->address,
                                "--root-dir",
                                root,
                                "--runtime-root",
                                runtime,
                                "--image-root",
                                images,
                                "--cni-conf-dir",
                                p->node->cni_dir,
                                "--cgroup-root",
                                p->node->cgroup,
                                "--pod-cidr",
                                p->node->pod_cidr,
                                "--bind",
                                p->node->address,
                                "--cert",
                                p->cert_file,
                                "--key",
                                p->key_file,
                                "--ca",
                                p->ca_file,
                                "--proxy-kubeconfig",
                                p->proxy_kubeconfig,
                                "--proxy-table",
                                p->agents->proxy_table,
                                "--cluster-cidr",
                                p->agents->cluster->cidr,
                                "--service-cluster-ip-range",
                                p->agents->cluster->service_cidr,
                                "--cluster-dns",
                                p->agents->dns_address,
                                "--dns-bind",
                                gateway,
                                NULL};
    int netns = open(p->node->netns_path, O_RDONLY | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
        _exit(126);
    execv(program, (char *const *)argv);
    _exit(127);
}

static void spawn(Process *p);

static void restart_due(_unused_ Source *source, void *userdata) {
    spawn(userdata);
}

static void agent_ended(_unused_ Source *source, pid_t pid, int status, void *userdata) {
    Process *p = userdata;
    p->pid = 0;
    p->child = source_unref(p->child);
    if (p->agents->stopping)
        return;
    log_warn("the agent of node %s (process %d) ended with status %d; starting it again", p->node->name, (int)pid,
             WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    timer_set(p->timer, now_monotonic_ns() + RESTART_DELAY_NS);
}

static void spawn(Process *p) {
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* an agent without its supervisor would never be found again */
        if (getppid() != parent)
            _exit(0);
        run_agent(p);
    }
    if (pid < 0 || loop_add_child(p->agents->loop, pid, agent_ended, p, &p->child) < 0) {
        log_error("cannot start the agent of node %s: %m", p->node->name);
        timer_set(p->timer, now_monotonic_ns() + RESTART_DELAY_NS);
        return;
    }
    p->pid = pid;
}

static int start_there(Agents *agents, LocalNode *nodes, ApiServer *server) {
    agents->n_processes = (size_t)agents->cluster->nodes;
    agents->processes = NEWN0(Process, agents->n_processes);
    for (size_t i = 0; i < agents->n_processes; i++) {
        Process *p = &agents->processes[i];
        NodeCredentials credentials = {0};
        int r = credentials_of(server, &nodes[i], &credentials);
        if (r < 0)
            return r;
        *p = (Process){.agents = agents,
                       .node = &nodes[i],
                       .kubeconfig = TAKE_PTR(credentials.kubeconfig),
                       .cert_file = TAKE_PTR(credentials.cert_file),
                       .key_file = TAKE_PTR(credentials.key_file),
                       .ca_file = TAKE_PTR(credentials.ca_file),
                       .proxy_kubeconfig = cluster_path(agents->cluster, "kubeconfigs/proxy.kubeconfig")};
        node_credentials_done(&credentials);
        r = loop_add_timer(agents->loop, 0, restart_due, p, &p->timer);
        if (r < 0)
            return r;
        spawn(p);
    }
    return 0;
}

int agents_start(const Cluster *cluster, LocalNode *nodes, ApiServer *server, Loop *loop, Agents **ret,
                 char **ret_error) {
    Agents *agents = NEW0(Agents);
    agents->cluster = cluster;
    agents->loop = loop;
    agents->proxy_table = xasprintf("lighter_%s" CLUSTER_PROXY_SUFFIX, cluster->id);
    int r = addons_dns_address(cluster, agents->dns_address);
    if (r < 0) {
        agents_stop(agents);
        return r;
    }
    r = cluster->nodes == 1 ? start_here(agents, &nodes[0], server, ret_error) : start_there(agents, nodes, server);
    if (r == 0)
        r = start_network(agents, cluster->nodes == 1 ? &nodes[0] : NULL, server, ret_error);
    if (r < 0) {
        agents_stop(agents);
        return r;
    }
    *ret = agents;
    return 0;
}

static void stop_process(Process *p) {
    p->child = source_unref(p->child);
    p->timer = source_unref(p->timer);
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        waitpid(p->pid, NULL, 0);
    }
    free(p->kubeconfig);
    free(p->cert_file);
    free(p->key_file);
    free(p->ca_file);
    free(p->proxy_kubeconfig);
}

void agents_stop(Agents *agents) {
    if (!agents)
        return;
    agents->stopping = true;
    network_agent_stop(agents->network);
    client_free(agents->proxy_client);
    kubelet_stop(agents->kubelet);
    client_free(agents->client);
    if (agents->runtime)
        agents->runtime->free(agents->runtime);
    image_store_free(agents->images);
    for (size_t i = 0; i < agents->n_processes; i++)
        if (agents->processes[i].pid > 0) /* all at once, then each */
            kill(agents->processes[i].pid, SIGTERM);
    for (size_t i = 0; i < agents->n_processes; i++)
        stop_process(&agents->processes[i]);
    free(agents->processes);
    free(agents->user_name);
    free(agents->proxy_table);
    free(agents);
}
