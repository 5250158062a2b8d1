#include "cmd/lighter/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/routes.h"
#include "base/str.h"

#define CLUSTER_FILE_MAX 65536

void cluster_done(Cluster *c) {
    free(c->dir);
    free(c->cidr);
    free(c->node_cidr);
    free(c->service_cidr);
    free(c->bind);
    *c = (Cluster){0};
}

char *cluster_path(const Cluster *cluster, const char *format, ...) {
    va_list ap;
    char *name = NULL;
    va_start(ap, format);
    int r = vasprintf(&name, format, ap);
    va_end(ap);
    if (r < 0)
        abort();
    char *path = xasprintf("%s/%s", cluster->dir, name);
    free(name);
    return path;
}

static char *absolute(const char *dir) {
    if (dir[0] == '/')
        return xstrdup(dir);
    _cleanup_free_ char *here = getcwd(NULL, 0);
    return xasprintf("%s/%s", here ? here : ".", dir);
}

int cluster_load(const char *dir, Cluster *ret) {
    _cleanup_cluster_ Cluster c = {.dir = absolute(dir)};
    _cleanup_free_ char *path = cluster_path(&c, "cluster.json"), *text = NULL;
    size_t n;
    int r = fs_read_file(path, CLUSTER_FILE_MAX, &text, &n);
    if (r < 0)
        return r;
    json_t *json = json_loadb(text, n, 0, NULL);
    const char *id = json_string_value(json_object_get(json, "id"));
    const char *cidr = json_string_value(json_object_get(json, "podCIDR"));
    if (!id || strlen(id) != CLUSTER_ID_LEN || !cidr) {
        json_decref(json);
        return -EBADMSG;
    }
    memcpy(c.id, id, sizeof c.id);
    c.cidr = xstrdup(cidr);
    c.node_cidr = xstrdup(json_string_value(json_object_get(json, "nodeCIDR")));
    c.service_cidr = xstrdup(str_or(json_string_value(json_object_get(json, "serviceCIDR")), LAYOUT_SERVICE_CIDR));
    c.nodes = json_integer_value(json_object_get(json, "nodes"));
    c.port = json_integer_value(json_object_get(json, "port"));
    c.controllers_port = json_integer_value(json_object_get(json, "controllersPort"));
    c.scheduler_port = json_integer_value(json_object_get(json, "schedulerPort"));
    c.bind = xstrdup(json_string_value(json_object_get(json, "bind")));
    json_decref(json);
    *ret = c;
    c = (Cluster){0};
    return 0;
}

/* The first 10.SECOND.0.0/16 that the kernel routes no part of. */
static char *free_range(const Route *routes, size_t n, unsigned first, unsigned last) {
    for (unsigned second = first; second <= last; second++) {
        bool taken = false;
        for (size_t i = 0; i < n && !taken; i++)
            taken = routes[i].network >> 16 == (10u << 8 | second);
        if (!taken)
            return xasprintf("10.%u.0.0/16", second);
    }
    return NULL;
}

int cluster_load_or_plan(const char *dir, Cluster *ret) {
    int r = cluster_load(dir, ret);
    if (r != -ENOENT)
        return r;
    _cleanup_free_ Route *routes = NULL;
    size_t n = 0;
    (void)routes_read(&routes, &n); /* without them every range counts as free */
    _cleanup_cluster_ Cluster c = {.dir = absolute(dir),
                                   .cidr = free_range(routes, n, 200, 254),
                                   .node_cidr = free_range(routes, n, 150, 199),
                                   .service_cidr = free_range(routes, n, 96, 149)}; /* the first is the reference's */
    if (!c.cidr || !c.node_cidr || !c.service_cidr)
        return -EADDRINUSE;
    random_suffix(c.id, CLUSTER_ID_LEN);
    *ret = c;
    c = (Cluster){0};
    return 0;
}

int cluster_save(const Cluster *c) {
    _cleanup_free_ char *path = cluster_path(c, "cluster.json"), *text = NULL;
    json_t *json = json_pack("{s:s, s:s, s:s*, s:s, s:I, s:I, s:I, s:I, s:s*}", "id", c->id, "podCIDR", c->cidr,
                             "nodeCIDR", c->node_cidr, "serviceCIDR", c->service_cidr, "nodes", (json_int_t)c->nodes,
                             "port", (json_int_t)c->port, "controllersPort", (json_int_t)c->controllers_port,
                             "schedulerPort", (json_int_t)c->scheduler_port, "bind", c->bind);
    text = json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    int r = fs_mkdir_p(c->dir, 0755);
    return r < 0 ? r : fs_write_atomic(path, text, strlen(text), 0644);
}

int machine_lock(int *ret_fd) {
    _cleanup_close_ int fd = open(LAYOUT_MACHINE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return -errno;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int cluster_lock(const Cluster *c, int *ret_fd) {
    _cleanup_free_ char *path = cluster_path(c, "lock");
    struct flock whole = {.l_type = F_WRLCK};
    int r = fs_mkdir_p(c->dir, 0755);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    if (fcntl(fd, F_SETLK, &whole) < 0)
        return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* A record lock tells who holds it, and goes with the process however it ends. */
int cluster_running(const char *dir, pid_t *ret) {
    _cleanup_free_ char *path = xasprintf("%s/lock", dir);
    struct flock whole = {.l_type = F_WRLCK};
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC); /* to ask is enough, and works on a read-only disk */
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    if (fcntl(fd, F_GETLK, &whole) < 0)
        return -errno;
    if (whole.l_type == F_UNLCK)
        return -ESRCH;
    *ret = whole.l_pid;
    return 0;
}

int cluster_stop(const char *dir, uint64_t timeout_ns) {
    pid_t pid;
    int r = cluster_running(dir, &pid);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    if (kill(pid, SIGTERM) < 0 && errno != ESRCH)
        return -errno;
    uint64_t deadline = now_monotonic_ns() + timeout_ns;
    while (cluster_running(dir, &pid) == 0) {
        if (now_monotonic_ns() > deadline)
            return -ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = 20 * (long)NS_PER_MS}, NULL);
    }
    return 0;
}
