/* A cluster of three nodes on this machine: pods of every node reach the others, and removal leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "loop/process.h"
#include "network/cni.h"
#include "network/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int shell(const char *script, int netns) {
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv, .netns_fd = netns, .timeout_ns = 30 * NS_PER_SEC}, &result);
    if (r < 0)
        fail_msg("%s: %s", script, strerror(-r));
    if (result.status && getenv("VERBOSE"))
        print_message("%s: %s%s\n", script, result.out.data ? result.out.data : "",
                      result.err.data ? result.err.data : "");
    return result.status;
}

static int run_in(const char *netns, const char *script) {
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    int r = shell(script, fd);
    close(fd);
    return r;
}

static void subnets(void **state) {
    (void)state;
    char out[CIDR_TEXT_MAX];
    assert_int_equal(cidr_subnet("10.244.0.0/16", 3, out), 0);
    assert_string_equal(out, "10.244.3.0/24");
    assert_int_equal(cidr_subnet("10.244.9.0/24", 0, out), 0);
    assert_string_equal(out, "10.244.9.0/24");
    assert_int_equal(cidr_subnet("10.244.9.0/24", 1, out), -ERANGE);
    assert_int_equal(cidr_subnet("10.244.9.0/25", 0, out), -ERANGE);
    assert_int_equal(cidr_subnet("10.244.9.0", 0, out), -EINVAL);
    assert_int_equal(cidr_subnet("300.1.1.1/16", 0, out), -EINVAL);
    assert_int_equal(cluster_network_gateway("10.254.1.0/24", out), 0);
    assert_string_equal(out, "10.254.1.1");
}

static void names_are_checked(void **state) {
    (void)state;
    static const char *const bad[] = {"", "UPPER", "too-dashed", "a;b", "toolongname"};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        char *error = NULL;
        assert_int_equal(cluster_network_remove(bad[i], "/tmp", NULL, &error), -EINVAL);
        free(error);
        assert_int_equal(cluster_network_create_host(&(ClusterNetwork){.cluster = bad[i], .pod_cidr = "10.1.0.0/16"},
                                                     "no-bridge", &error),
                         -EINVAL);
        free(error);
    }
    char *error = NULL;
    NodeNetwork *nodes;
    ClusterNetwork spec = {
        .cluster = "x", .node_cidr = "10.1.1.0/30", .pod_cidr = "10.2.0.0/16", .netns_dir = "/tmp/none", .n_nodes = 3};
    assert_int_equal(cluster_network_create(&spec, &nodes, &error), -EINVAL);
    assert_non_null(strstr(error, "do not hold 3 nodes"));
    free(error);
}

/* A pod: a namespace below the node's, attached by CNI as the node's agent would do it (in the node's namespace). */
typedef struct Pod {
    char netns[128], ip[64];
} Pod;

static void pod_make(const char *dir, const NodeNetwork *node, unsigned index, Pod *pod) {
    char conf[128], ipam[128], cache[128], id[32];
    snprintf(conf, sizeof conf, "%s/conf%u", dir, index);
    snprintf(ipam, sizeof ipam, "%s/ipam%u", dir, index);
    snprintf(cache, sizeof cache, "%s/cache%u", dir, index);
    snprintf(pod->netns, sizeof pod->netns, "%s/pod%u", dir, index);
    snprintf(id, sizeof id, "pod%u", index);
    char *error = NULL;
    assert_int_equal(cni_write_conflist(conf, "cni0", node->pod_cidr, ipam, &error), 0);
    _cleanup_free_ char *make = xasprintf("touch %s && unshare --net=%s true", pod->netns, pod->netns);
    assert_int_equal(shell(make, 0), 0);
    int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(node->netns_path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    CniNetwork network = {.bin_dir = "/usr/lib/cni", .conf_dir = conf, .cache_dir = cache};
    CniAttachment at = {.container_id = id, .netns_path = pod->netns, .pod_name = "p", .pod_namespace = "ns"};
    CniResult result;
    if (cni_add(&network, &at, &result, &error) < 0)
        fail_msg("%s", error);
    snprintf(pod->ip, sizeof pod->ip, "%s", result.ips[0]);
    cni_result_done(&result);
    assert_int_equal(cni_check(&network, &at, &error), 0);
    assert_int_equal(setns(back, CLONE_NEWNET), 0);
    close(back);
    close(there);
}

static void pods_reach_pods_on_all_nodes(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char dir[] = "/tmp/lighter-node-XXXXXX", cluster[CLUSTER_NAME_MAX + 1], node_cidr[CIDR_TEXT_MAX],
         pod_cidr[CIDR_TEXT_MAX];
    assert_non_null(mkdtemp(dir));
    unsigned n = (unsigned)getpid() % 64;
    snprintf(cluster, sizeof cluster, "t%u", (unsigned)getpid() % 1000000);
    /* Of RFC 2544's range: no cluster is planned there. */
    snprintf(node_cidr, sizeof node_cidr, "198.19.%u.0/24", n);
    snprintf(pod_cidr, sizeof pod_cidr, "198.18.%u.0/22", 4 * n);
    ClusterNetwork spec = {
        .cluster = cluster, .node_cidr = node_cidr, .pod_cidr = pod_cidr, .netns_dir = dir, .n_nodes = 3};
    NodeNetwork *nodes = NULL;
    char *error = NULL;
    uint64_t start = now_monotonic_ns();
    if (cluster_network_create(&spec, &nodes, &error) < 0)
        fail_msg("%s", error);
    print_message("three nodes in %.1f ms\n", (double)(now_monotonic_ns() - start) / 1e6);
    Pod pods[3];
    for (unsigned i = 0; i < 3; i++)
        pod_make(dir, &nodes[i], i, &pods[i]);
    /* Made again, as after a restart: what is there stays. */
    cluster_network_free(nodes, 3);
    if (cluster_network_create(&spec, &nodes, &error) < 0)
        fail_msg("%s", error);
    char gateway[CIDR_TEXT_MAX];
    cluster_network_gateway(node_cidr, gateway);
    static const char probe[] = "ping -c 1 -W 2 %s >/dev/null 2>&1 || busybox ping -c 1 -W 2 %s";
    for (unsigned i = 0; i < 3; i++) {
        const char *targets[] = {pods[(i + 1) % 3].ip, pods[(i + 2) % 3].ip, nodes[0].address,
                                 nodes[1].address,     nodes[2].address,     gateway};
        for (size_t k = 0; k < ELEMENTSOF(targets); k++) {
            _cleanup_free_ char *script = xasprintf(probe, targets[k], targets[k]);
            if (run_in(pods[i].netns, script) != 0)
                fail_msg("pod %u does not reach %s", i, targets[k]);
            if (run_in(nodes[i].netns_path, script) != 0)
                fail_msg("node %u does not reach %s", i, targets[k]);
        }
        _cleanup_free_ char *script = xasprintf(probe, pods[i].ip, pods[i].ip);
        assert_int_equal(shell(script, 0), 0); /* from the machine */
    }
    cluster_network_free(nodes, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(umount2(pods[i].netns, MNT_DETACH), 0);
        unlink(pods[i].netns);
    }
    if (cluster_network_remove(cluster, dir, NULL, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(cluster_network_remove(cluster, dir, NULL, &error), 0); /* again */
    _cleanup_free_ char *left = xasprintf("ip link | grep -E 'l[nv]-%s' || nft list table ip lighter_%s 2>/dev/null || "
                                          "grep %s /proc/self/mountinfo || ip route | grep '198.19.%u'",
                                          cluster, cluster, dir, n);
    assert_int_not_equal(shell(left, 0), 0);
    assert_int_equal(fs_remove_tree(dir), 0);
}

static void a_node_in_the_machines_own_namespace(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char cluster[CLUSTER_NAME_MAX + 1], *error = NULL;
    unsigned n = (unsigned)getpid() % 64;
    snprintf(cluster, sizeof cluster, "h%u", (unsigned)getpid() % 1000000);
    _cleanup_free_ char *bridge = xasprintf("lb-%s", cluster), *pods = xasprintf("198.19.%u.0/24", 64 + n),
                        *services = xasprintf("198.19.%u.0/24", 128 + n);
    _cleanup_free_ char *address =
                            xasprintf("ip -4 -o addr show dev %s | grep -q 'inet 198.19.%u.1/24 '", bridge, 64 + n),
                        *route = xasprintf("ip route show %s | grep -q 'dev %s '", services, bridge);
    const ClusterNetwork spec = {.cluster = cluster, .pod_cidr = pods, .service_cidr = services};
    for (int i = 0; i < 2; i++)
        if (cluster_network_create_host(&spec, bridge, &error) < 0)
            fail_msg("%s", error);
    assert_int_equal(shell(address, 0), 0);
    assert_int_equal(shell(route, 0), 0);
    _cleanup_free_ char *there = xasprintf("test $(nft list table ip lighter_%s | grep -c masquerade) = 1", cluster);
    assert_int_equal(shell(there, 0), 0);
    assert_int_equal(cluster_network_remove(cluster, NULL, bridge, &error), 0);
    assert_int_not_equal(shell(there, 0), 0);
    assert_int_not_equal(shell(address, 0), 0);
    assert_int_not_equal(shell(route, 0), 0);
}

/* Addresses that another network has stay its own: its routes are not replaced, and nothing is made. */
static void ranges_of_others_are_left_alone(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char first[CLUSTER_NAME_MAX + 1], second[CLUSTER_NAME_MAX + 1], dir[] = "/tmp/lighter-node-XXXXXX", *error = NULL;
    assert_non_null(mkdtemp(dir));
    unsigned n = (unsigned)getpid() % 63;
    snprintf(first, sizeof first, "f%u", (unsigned)getpid() % 1000000);
    snprintf(second, sizeof second, "s%u", (unsigned)getpid() % 1000000);
    _cleanup_free_ char *bridge = xasprintf("lb-%s", first), *taken = xasprintf("198.19.%u.0/24", 192 + n),
                        *around = xasprintf("198.19.%u.0/22", (192 + n) & ~3u);
    if (cluster_network_create_host(&(ClusterNetwork){.cluster = first, .pod_cidr = taken}, bridge, &error) < 0)
        fail_msg("%s", error);
    const ClusterNetwork specs[] = {
        {.node_cidr = taken, .pod_cidr = "198.18.0.0/22"},
        {.node_cidr = "198.19.255.0/24", .pod_cidr = around},
        {.node_cidr = "198.19.255.0/24", .pod_cidr = "198.18.0.0/22", .service_cidr = taken},
    };
    for (size_t i = 0; i < ELEMENTSOF(specs); i++) {
        ClusterNetwork spec = specs[i];
        NodeNetwork *nodes;
        spec.cluster = second;
        spec.netns_dir = dir;
        spec.n_nodes = 2;
        assert_int_equal(cluster_network_create(&spec, &nodes, &error), -EADDRINUSE);
        assert_non_null(strstr(error, bridge));
        free(error);
    }
    assert_int_equal(
        cluster_network_create_host(&(ClusterNetwork){.cluster = second, .pod_cidr = around}, "lb-none", &error),
        -EADDRINUSE);
    free(error);
    _cleanup_free_ char *route = xasprintf("ip route show %s | grep -q 'dev %s '", taken, bridge),
                        *made = xasprintf("ip link | grep -E 'l[nv]-%s|lb-none' || ls %s | grep .", second, dir);
    assert_int_equal(shell(route, 0), 0);
    assert_int_not_equal(shell(made, 0), 0);
    assert_int_equal(cluster_network_remove(first, NULL, bridge, &error), 0);
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* A plugin of the test's own shows what plugins are given, and DEL uses what ADD was made with. */
static void plugins_get_what_the_specification_says(void **state) {
    (void)state;
    char dir[] = "/tmp/lighter-cni-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fake", dir);
    FILE *plugin = fopen(path, "w");
    fprintf(plugin,
            "#!/bin/sh\ncat >%s/$CNI_COMMAND.in\nenv | grep ^CNI_ | sort >%s/$CNI_COMMAND.env\n"
            "[ -e %s/fail ] && { echo '{\"code\":7,\"msg\":\"no luck\",\"details\":\"today\"}'; exit 1; }\n"
            "echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.9.8.7/24\"},{\"address\":\"fd00::7/64\"}]}'\n",
            dir, dir, dir);
    fclose(plugin);
    chmod(path, 0755);
    _cleanup_free_ char *conf = xasprintf("%s/conf", dir), *cache = xasprintf("%s/cache", dir),
                        *list = xasprintf("%s/conf/1.conflist", dir);
    CniNetwork network = {.bin_dir = dir, .conf_dir = conf, .cache_dir = cache};
    CniPort ports[] = {{.protocol = "tcp", .container_port = 80, .host_port = 8080}};
    CniAttachment at = {.container_id = "c1",
                        .netns_path = "/proc/self/ns/net",
                        .pod_namespace = "ns",
                        .pod_name = "pod",
                        .pod_uid = "u",
                        .ports = ports,
                        .n_ports = 1};
    CniResult result;
    char *error = NULL;
    assert_int_equal(cni_status(&network, &error), -ENOENT);
    free(error);
    mkdir(conf, 0700);
    static const char text[] = "{\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"plugins\":[{\"type\":\"fake\","
                               "\"capabilities\":{\"portMappings\":true},\"own\":1},{\"type\":\"fake\"}]}";
    assert_int_equal(fs_write_atomic(list, text, strlen(text), 0600), 0);
    assert_int_equal(cni_status(&network, &error), 0);
    if (cni_add(&network, &at, &result, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(result.n_ips, 2);
    assert_string_equal(result.ips[0], "10.9.8.7");
    assert_string_equal(result.ips[1], "fd00::7");
    cni_result_done(&result);
    _cleanup_free_ char *in_path = xasprintf("%s/ADD.in", dir), *env_path = xasprintf("%s/ADD.env", dir), *in = NULL,
                        *env = NULL;
    assert_int_equal(fs_read_file(in_path, 4096, &in, NULL), 0);
    assert_int_equal(fs_read_file(env_path, 4096, &env, NULL), 0);
    assert_non_null(strstr(in, "\"prevResult\"")); /* the second plugin gets the first one's result */
    assert_non_null(strstr(
        env,
        "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u"));
    assert_non_null(strstr(env, "CNI_IFNAME=eth0"));
    /* The configuration changes; DEL is made with what ADD was. */
    static const char other[] = "{\"cniVersion\":\"1.0.0\",\"name\":\"other\",\"plugins\":[{\"type\":\"absent\"}]}";
    assert_int_equal(fs_write_atomic(list, other, strlen(other), 0600), 0);
    if (cni_del(&network, &at, &error) < 0)
        fail_msg("%s", error);
    _cleanup_free_ char *del_path = xasprintf("%s/DEL.in", dir), *del = NULL;
    assert_int_equal(fs_read_file(del_path, 4096, &del, NULL), 0);
    assert_non_null(strstr(del, "\"name\":\"net\""));
    assert_non_null(strstr(del, "\"hostPort\":8080"));
    assert_non_null(strstr(del, "\"own\":1"));
    assert_int_equal(cni_del(&network, &at, &error), 0); /* again: nothing known */
    /* A failure has the plugin's words; a broken list is told. */
    assert_int_equal(fs_write_atomic(list, text, strlen(text), 0600), 0);
    _cleanup_free_ char *flag = xasprintf("%s/fail", dir);
    close(open(flag, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(cni_add(&network, &at, &result, &error), -EIO);
    assert_string_equal(error, "plugin type=\"fake\" failed (add): no luck; today");
    free(error);
    assert_int_equal(fs_write_atomic(list, "{", 1, 0600), 0);
    assert_int_equal(cni_status(&network, &error), -EINVAL);
    free(error);
    assert_int_equal(fs_remove_tree(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subnets),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(pods_reach_pods_on_all_nodes),
        cmocka_unit_test(a_node_in_the_machines_own_namespace),
        cmocka_unit_test(ranges_of_others_are_left_alone),
        cmocka_unit_test(plugins_get_what_the_specification_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
