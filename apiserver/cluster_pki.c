#define LOG_COMPONENT "apiserver"
#include "apiserver/cluster_pki.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define NAMES_MAX 64

static char *path_in(const ClusterPki *pki, const char *name) {
    return xasprintf("%s/%s", pki->dir, name);
}

void cluster_pki_done(ClusterPki *pki) {
    pki_ca_free(pki->ca);
    free(pki->dir);
    free(pki->ca_file);
    free(pki->server_cert);
    free(pki->server_key);
    free(pki->token_key);
    free(pki->token_public);
    free(pki->node_client_cert);
    free(pki->node_client_key);
    free(pki->front_ca_file);
    free(pki->front_client_cert);
    free(pki->front_client_key);
    *pki = (ClusterPki){0};
}

static bool is_address(const char *s) {
    unsigned char raw[16];
    return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static void add_once(const char **list, size_t *n, const char *name) {
    for (size_t i = 0; i < *n; i++)
        if (streq(list[i], name))
            return;
    if (*n < NAMES_MAX)
        list[(*n)++] = name;
}

static int server_cert(const ClusterPkiSpec *spec, const ClusterPki *pki) {
    const char *dns[NAMES_MAX + 1] = {"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                                      "kubernetes.default.svc.cluster.local", "localhost"};
    const char *ips[NAMES_MAX + 1] = {"127.0.0.1", "::1"};
    size_t n_dns = 5, n_ips = 2;
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) == 0 && *host)
        add_once(dns, &n_dns, host);
    const char *const known[] = {spec->service_ip, spec->advertise, spec->cluster_address, NULL},
                      *const * lists[] = {known, spec->extra_names};
    for (size_t l = 0; l < ELEMENTSOF(lists); l++)
        for (size_t i = 0; lists[l] && lists[l][i]; i++)
            if (is_address(lists[l][i]))
                add_once(ips, &n_ips, lists[l][i]);
            else
                add_once(dns, &n_dns, lists[l][i]);
    PkiCertSpec cert = {.common_name = "kube-apiserver", .dns_names = dns, .ip_addresses = ips, .server = true};
    return pki_cert_ensure(pki->ca, pki->server_cert, pki->server_key, &cert, NULL);
}

static int node_client_cert(const ClusterPki *pki) {
    static const char *const masters[] = {"system:masters", NULL};
    PkiCertSpec cert = {.common_name = "kube-apiserver-kubelet-client", .organizations = masters, .client = true};
    return pki_cert_ensure(pki->ca, pki->node_client_cert, pki->node_client_key, &cert, NULL);
}

/* The CA is the cluster's, the certificate this server's. */
static int front_proxy(ClusterPki *pki, const char *dir) {
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    _cleanup_free_ char *key = xasprintf("%s/front-proxy-ca.key", dir);
    PkiCertSpec cert = {.common_name = CLUSTER_PKI_FRONT_NAME, .client = true};
    pki->front_ca_file = xasprintf("%s/front-proxy-ca.crt", dir);
    int r = pki_ca_ensure(pki->front_ca_file, key, "kubernetes-front-proxy-ca", &ca);
    return r < 0 ? r : pki_cert_ensure(ca, pki->front_client_cert, pki->front_client_key, &cert, NULL);
}

/* One server at a time looks whether the cluster's keys are there, and makes them. */
static int lock_cluster_dir(const char *dir) {
    _cleanup_free_ char *path = xasprintf("%s/.lock", dir);
    int r = fs_mkdir_p(dir, 0700);
    if (r < 0)
        return r;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) < 0)
        closep(&fd);
    return fd < 0 ? -errno : fd;
}

static int cluster_keys(ClusterPki *pki, const char *dir) {
    _cleanup_free_ char *ca_key = xasprintf("%s/ca.key", dir);
    pki->ca_file = xasprintf("%s/ca.crt", dir);
    pki->token_key = xasprintf("%s/sa.key", dir);
    pki->token_public = xasprintf("%s/sa.pub", dir);
    _cleanup_close_ int lock = lock_cluster_dir(dir);
    if (lock < 0)
        return lock;
    int r = pki_ca_ensure(pki->ca_file, ca_key, "kubernetes", &pki->ca);
    r = r < 0 ? r : front_proxy(pki, dir);
    return r < 0 ? r : pki_token_key_ensure(pki->token_key, pki->token_public);
}

int cluster_pki_open(const ClusterPkiSpec *spec, ClusterPki *ret) {
    ClusterPki pki = {.dir = xasprintf("%s/pki", spec->data_dir)};
    _cleanup_free_ char *clients = path_in(&pki, "clients"), *nodes = path_in(&pki, "nodes");
    pki.server_cert = path_in(&pki, "apiserver.crt");
    pki.server_key = path_in(&pki, "apiserver.key");
    pki.node_client_cert = path_in(&pki, "apiserver-kubelet-client.crt");
    pki.node_client_key = path_in(&pki, "apiserver-kubelet-client.key");
    pki.front_client_cert = path_in(&pki, "front-proxy-client.crt");
    pki.front_client_key = path_in(&pki, "front-proxy-client.key");
    int r = fs_mkdir_p(clients, 0700);
    r = r < 0 ? r : fs_mkdir_p(nodes, 0700);
    r = r < 0 ? r : cluster_keys(&pki, str_or(spec->cluster_dir, pki.dir));
    r = r < 0 ? r : server_cert(spec, &pki);
    r = r < 0 ? r : node_client_cert(&pki);
    if (r < 0) {
        cluster_pki_done(&pki);
        return r;
    }
    *ret = pki;
    return 0;
}

static int append_file(Buf *out, const char *path) {
    char *text = NULL;
    size_t n;
    int r = fs_read_file(path, PKI_FILE_MAX, &text, &n);
    if (r < 0)
        return r;
    base64_encode(out, text, n);
    wipe(text, n);
    free(text);
    return 0;
}

int cluster_pki_write_kubeconfig(const ClusterPki *pki, const char *server_url, const char *name, const char *cert_file,
                                 const char *key_file, const char *path) {
    Buf out = BUF_INIT(1024 * 1024);
    buf_printf(&out,
               "apiVersion: v1\nkind: Config\nclusters:\n- name: lighter\n  cluster:\n    server: %s\n    "
               "certificate-authority-data: ",
               server_url);
    int r = append_file(&out, pki->ca_file);
    buf_printf(&out,
               "\ncontexts:\n- name: lighter\n  context:\n    cluster: lighter\n    user: %s\ncurrent-context: "
               "lighter\nusers:\n- name: %s\n  user:\n    client-certificate-data: ",
               name, name);
    r = r < 0 ? r : append_file(&out, cert_file);
    buf_puts(&out, "\n    client-key-data: ");
    r = r < 0 ? r : append_file(&out, key_file);
    buf_puts(&out, "\n");
    if (r == 0)
        r = fs_write_atomic(path, out.data, out.len, 0600);
    if (r < 0)
        log_error("cannot write %s: %s", path, strerror(-r));
    if (out.data)
        wipe(out.data, out.len);
    buf_done(&out);
    return r;
}

int cluster_pki_kubeconfig(const ClusterPki *pki, const char *server_url, const char *name, const char *user,
                           const char *const *organizations, const char *path) {
    _cleanup_free_ char *cert = xasprintf("%s/clients/%s.crt", pki->dir, name),
                        *key = xasprintf("%s/clients/%s.key", pki->dir, name);
    PkiCertSpec spec = {.common_name = user, .organizations = organizations, .client = true};
    int r = pki_cert_ensure(pki->ca, cert, key, &spec, NULL);
    return r < 0 ? r : cluster_pki_write_kubeconfig(pki, server_url, name, cert, key, path);
}
