/* A sandbox's network, IPC and UTS namespaces exist without a process: a thread makes them (each namespace belongs to
 * the thread that unshares) and pins them by bind mounts in the sandbox's folder. */
#define LOG_COMPONENT "runtime"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "kubelet/runtime/oci_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Making {
    const OciRuntime *rt;
    Sandbox *sandbox;
    const SandboxSpec *spec;
    char *error;
    int result;
} Making;

static int pin(const Sandbox *sandbox, const char *source, const char *name) {
    _cleanup_free_ char *path = xasprintf("%s/ns/%s", sandbox->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    close(fd);
    return mount(source, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int loopback_up(void) {
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* Only what belongs to a namespace of the pod's own; anything else would change the machine. */
static bool sysctl_is_namespaced(const char *name, const Sandbox *sandbox) {
    static const char *const ipc[] = {"kernel.msgmax", "kernel.msgmnb",          "kernel.msgmni",
                                      "kernel.sem",    "kernel.shmall",          "kernel.shmmax",
                                      "kernel.shmmni", "kernel.shm_rmid_forced", NULL};
    if (str_has_prefix(name, "net."))
        return !sandbox->host_network;
    return (str_in(name, ipc) || str_has_prefix(name, "fs.mqueue.")) && !sandbox->host_ipc;
}

static int set_sysctl(const char *name, const char *value) {
    _cleanup_free_ char *path = xasprintf("/proc/sys/%s", name);
    for (char *p = path + strlen("/proc/sys/"); *p; p++)
        *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
    return strstr(path, "..") ? -EINVAL : fs_write_control(path, value);
}

static int set_sysctls(Making *m) {
    if (!m->sandbox->host_network) { /* containerd's defaults: low ports and ping without privileges */
        (void)set_sysctl("net.ipv4.ip_unprivileged_port_start", "0");
        (void)set_sysctl("net.ipv4.ping_group_range", "0 2147483647");
    }
    for (size_t i = 0; i < m->spec->n_sysctls; i++) {
        const RuntimePair *s = &m->spec->sysctls[i];
        if (!sysctl_is_namespaced(s->key, m->sandbox)) {
            m->error = xasprintf("sysctl \"%s\" is not in a namespace of the pod", s->key);
            return -EPERM;
        }
        int r = set_sysctl(s->key, s->value);
        if (r < 0) {
            m->error = xasprintf("sysctl \"%s\" = \"%s\": %s", s->key, s->value, strerror(-r));
            return r;
        }
    }
    return 0;
}

static int start_pause(Making *m) {
    Sandbox *sandbox = m->sandbox;
    _cleanup_close_ int connection = -1;
    int r = monitor_spawn_pause(m->rt, &sandbox->pause_pid, &connection, &m->error);
    if (r < 0)
        return r;
    char source[64];
    snprintf(source, sizeof source, "/proc/%d/ns/pid", (int)sandbox->pause_pid);
    r = pin(sandbox, source, "pid");
    _cleanup_free_ char *group = oci_cgroup(m->rt, sandbox->cgroup_parent, sandbox->id);
    r = r == 0 ? cgroup_enter(&m->rt->cgroups, group, sandbox->pause_pid) : r;
    r = r == 0 ? sandbox_save(sandbox) : r; /* from here on whoever removes the sandbox ends it */
    return r == 0 ? monitor_pause_keep(connection) : r;
}

static int make(Making *m) {
    Sandbox *s = m->sandbox;
    int flags = (s->host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS) | (s->host_ipc ? 0 : CLONE_NEWIPC);
    if (flags && unshare(flags) < 0)
        return -errno;
    int r = 0;
    if (!s->host_network) {
        if (!str_empty(s->hostname) && sethostname(s->hostname, strlen(s->hostname)) < 0)
            return -errno;
        r = loopback_up();
    }
    if (r == 0)
        r = set_sysctls(m);
    if (r == 0 && !s->host_network)
        r = pin(s, "/proc/thread-self/ns/net", "net");
    if (r == 0 && !s->host_network)
        r = pin(s, "/proc/thread-self/ns/uts", "uts");
    if (r == 0 && !s->host_ipc)
        r = pin(s, "/proc/thread-self/ns/ipc", "ipc");
    if (r == 0 && s->share_process_namespace && !s->host_pid)
        r = start_pause(m);
    return r;
}

static void *make_thread(void *userdata) {
    Making *m = userdata;
    m->result = make(m);
    return NULL;
}

int namespaces_create(const OciRuntime *rt, Sandbox *sandbox, const SandboxSpec *spec, char **ret_error) {
    Making m = {.rt = rt, .sandbox = sandbox, .spec = spec};
    pthread_t thread;
    int r = -pthread_create(&thread, NULL, make_thread, &m);
    if (r == 0) {
        pthread_join(thread, NULL);
        r = m.result;
    }
    if (r == 0 && !sandbox->host_ipc) {
        _cleanup_free_ char *shm = sandbox_file(sandbox, "shm");
        if ((mkdir(shm, 0755) < 0 && errno != EEXIST) ||
            mount("shm", shm, "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k") < 0)
            r = -errno;
    }
    if (r < 0)
        return oci_fail(ret_error, r, m.error ? m.error : xasprintf("the pod's namespaces: %s", strerror(-r)));
    return 0;
}

/* The pause process is ours only while its process namespace is the pinned one. */
static void end_pause(Sandbox *sandbox) {
    if (sandbox->pause_pid <= 0)
        return;
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/%d/ns/pid", (int)sandbox->pause_pid);
    _cleanup_free_ char *pinned = sandbox_file(sandbox, "ns/pid");
    struct stat a, b;
    if (stat(proc, &a) == 0 && stat(pinned, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        kill(sandbox->pause_pid, SIGKILL);
    sandbox->pause_pid = 0;
}

void namespaces_destroy(Sandbox *sandbox) {
    end_pause(sandbox);
    static const char *const names[] = {"ns/net", "ns/uts", "ns/ipc", "ns/pid", "shm"};
    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        _cleanup_free_ char *path = sandbox_file(sandbox, names[i]);
        if (umount2(path, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
            log_warn("unmounting %s: %s", path, strerror(errno));
    }
}
