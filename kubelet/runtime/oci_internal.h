/* Inside the oci driver. What is in memory is a copy of what is on disk and in the kernel; both are read when the
 * driver opens, so nothing is lost with the process. */
#pragma once

#include "base/strmap.h"
#include "kubelet/runtime/cgroup.h"
#include "kubelet/runtime/oci.h"
#include "kubelet/runtime/user.h"
#include "network/cni.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdatomic.h>

#define ID_BYTES 32
#define START_ERROR_CODE 128 /* as containerd records a container that could not start */
#define LOST_CODE 255        /* as containerd records an end that nobody saw */
#define MONITOR_ANSWER_NS (120 * NS_PER_SEC)
#define KILL_WAIT_NS (30 * NS_PER_SEC)

static inline void oci_json_unref(json_t **j) {
    json_decref(*j);
}
#define _cleanup_json_ _cleanup_(oci_json_unref)

typedef struct Sandbox {
    atomic_uint refs;
    char *id, *dir, *ns, *name, *uid, *hostname, *log_directory, *cgroup_parent;
    uint32_t attempt;
    bool host_network, host_pid, host_ipc, share_process_namespace, privileged;
    pthread_mutex_t mutex; /* ready, ips */
    bool ready, network_up;
    int64_t created_ns;
    pid_t pause_pid;
    char **ips; /* NULL-terminated */
    json_t *ports;
    RuntimePair *labels, *annotations;
    size_t n_labels, n_annotations;
} Sandbox;

typedef struct Container {
    atomic_uint refs;
    char *id, *dir, *sandbox_id, *name, *image_id, *image_ref, *log_path, *cgroup, *stop_signal;
    uint32_t attempt;
    int layers;
    bool tty, stdin_, stdin_once, shared_mounts, own_pid_namespace;
    RuntimePair *labels, *annotations;
    size_t n_labels, n_annotations;
    int64_t created_ns;
    pthread_mutex_t mutex; /* below */
    bool starting, started, exited, oom;
    pid_t pid;
    uint64_t pid_start; /* field 22 of /proc/PID/stat */
    int64_t started_ns, finished_ns;
    int exit_code;
    char *reason, *message;
} Container;

typedef struct Subscription Subscription; /* events.c */

typedef struct OciRuntime {
    Runtime base;
    char *root, *exits, *oci_path, *oci_state, *monitor, *cgroup_root;
    char *cni_bin, *cni_conf, *cni_cache;
    bool crun;
    ImageStore *images;
    Cgroups cgroups;
    pthread_mutex_t mutex;          /* the maps and users */
    StrMap *sandboxes, *containers; /* hold a reference each */
    StrMap *users;                  /* image id to UserFiles */
    int inotify;
    Source *source;
    Loop *loop;
    Subscription *subscription;
    atomic_bool interrupted;
} OciRuntime;

static inline OciRuntime *oci_of(Runtime *runtime) {
    return (OciRuntime *)runtime;
}

int oci_fail(char **ret_error, int r, char *message); /* takes message; returns r */
void random_id(char out[ID_BYTES * 2 + 1]);
RuntimePair *pairs_copy(const RuntimePair *pairs, size_t n);
void pairs_free(RuntimePair *pairs, size_t n);
json_t *pairs_json(const RuntimePair *pairs, size_t n);
RuntimePair *pairs_from_json(const json_t *object, size_t *ret_n);
/* Replaces a file without waiting for the disk: after a power failure there is nothing to run that it would describe.
 */
int file_replace(const char *path, const char *text, size_t n);
int json_store(const char *path, const json_t *document);
/* "/rest" of a path below the cgroup root. */
char *oci_cgroup(const OciRuntime *rt, const char *parent, const char *name);

/* sandbox_state.c, container_state.c: look up (a new reference or NULL), memory and disk. */
Sandbox *sandbox_find(OciRuntime *rt, const char *id);
Sandbox *sandbox_unref(Sandbox *sandbox);
int sandbox_save(Sandbox *sandbox);
int sandbox_load(OciRuntime *rt, const char *id, Sandbox **ret);
char *sandbox_file(const Sandbox *sandbox, const char *name);
bool namespaces_exist(const Sandbox *sandbox); /* they do not outlive the machine */
static inline void sandbox_unrefp(Sandbox **s) {
    sandbox_unref(*s);
}

Container *container_find(OciRuntime *rt, const char *id);
Container *container_unref(Container *container);
int container_save(Container *container);
int container_load(OciRuntime *rt, const char *id, Container **ret);
char *container_file(const Container *container, const char *name);
/* Looks at the records: has it started, has it ended, is its monitor there? */
void container_refresh(OciRuntime *rt, Container *container);
bool container_has_monitor(const Container *container);
bool container_is_running(OciRuntime *rt, Container *container); /* refreshes */
int container_record_exit(OciRuntime *rt, Container *container, int code, const char *reason, const char *message);
/* New references of those of a sandbox (NULL: all); free the array. */
size_t container_collect(OciRuntime *rt, const char *sandbox_id, Container ***ret);
static inline void container_unrefp(Container **c) {
    container_unref(*c);
}

/* sandbox.c */
int oci_sandbox_create(Runtime *runtime, const SandboxSpec *spec, char **ret_id, char **ret_error);
int oci_sandbox_status(Runtime *runtime, const char *id, SandboxStatus *ret);
int oci_sandbox_stop(Runtime *runtime, const char *id, char **ret_error);
int oci_sandbox_remove(Runtime *runtime, const char *id, char **ret_error);
int oci_sandbox_list(Runtime *runtime, SandboxStatus **ret, size_t *ret_n);

/* namespaces.c: the sandbox's namespaces, pinned below its folder, and what is in them. */
int namespaces_create(const OciRuntime *rt, Sandbox *sandbox, const SandboxSpec *spec, char **ret_error);
void namespaces_destroy(Sandbox *sandbox);

/* container.c */
int oci_container_create(Runtime *runtime, const char *sandbox_id, const ContainerSpec *spec, char **ret_id,
                         char **ret_error);
int oci_container_start(Runtime *runtime, const char *id, char **ret_error);
int oci_container_stop(Runtime *runtime, const char *id, uint64_t timeout_ns, char **ret_error);
int oci_container_remove(Runtime *runtime, const char *id, char **ret_error);
int oci_container_status(Runtime *runtime, const char *id, ContainerStatus *ret);
int oci_container_list(Runtime *runtime, const char *sandbox_id, ContainerStatus **ret, size_t *ret_n);
int oci_container_stats(Runtime *runtime, const char *id, ContainerStats *ret);
int oci_container_update(Runtime *runtime, const char *id, const ContainerSpec *resources, char **ret_error);
int container_kill_now(OciRuntime *rt, Container *container, char **ret_error);
int container_destroy(OciRuntime *rt, Container *container, char **ret_error);

/* exec.c */
int oci_exec(Runtime *runtime, const char *id, const char *const *command, bool stdin_, bool stdout_, bool stderr_,
             bool tty, RuntimeIo *ret, char **ret_error);
int oci_exec_sync(Runtime *runtime, const char *id, const char *const *command, uint64_t timeout_ns, size_t limit,
                  Buf *out, int *ret_exit_code, char **ret_error);
int oci_attach(Runtime *runtime, const char *id, bool stdin_, bool stdout_, bool stderr_, RuntimeIo *ret,
               char **ret_error);
int oci_reopen_log(Runtime *runtime, const char *id);

/* events.c */
int oci_subscribe(Runtime *runtime, Loop *loop,
                  void (*fn)(RuntimeEventType type, const char *sandbox_id, const char *container_id, void *userdata),
                  void *userdata);
void events_post(OciRuntime *rt, RuntimeEventType type, const Container *container);
void events_stop(OciRuntime *rt);
void oci_unsubscribe(Runtime *runtime);

/* monitor_client.c */
#define INTERRUPT_CHECK_NS (NS_PER_SEC / 2) /* waits look up so often */
#define MONITOR_FDS_MAX 6
/* Starts lighter-monitor with descriptor i of `fds` as its descriptor i (-1: /dev/null for 0 to 2, closed above), waits
 * for its answer. *ret_pid is the container's or the exec'd process; *ret_fd (may be NULL) what came along, -1 without.
 * -EALREADY: another monitor has the container. */
int monitor_spawn(const char *const *argv, const int fds[MONITOR_FDS_MAX], pid_t *ret_pid, int *ret_fd,
                  char **ret_error);
/* Starts the first process of a shared process namespace. It ends by itself unless it is told, on the connection
 * returned, that its owner is known (monitor_pause_keep). */
int monitor_spawn_pause(const OciRuntime *rt, pid_t *ret_pid, int *ret_connection, char **ret_error);
int monitor_pause_keep(int connection);
int monitor_connect(const Container *container);
/* Sends a request with descriptors and waits for the answer's value; -ECONNRESET when the monitor is gone. */
int monitor_request(int connection, char type, const void *body, size_t n, const int *fds, size_t n_fds);
/* Waits for the end of the container: 0, -ETIMEDOUT, or -ECONNRESET when the monitor went away without a word. */
int monitor_wait_exit(int connection, uint64_t deadline_ns);

/* spec.c: config.json. */
typedef struct SpecInput {
    const OciRuntime *rt;
    const Sandbox *sandbox;
    const ContainerSpec *spec;
    const Image *image;
    const User *user;
    const char *container_dir, *cgroup;
    pid_t pid_target; /* whose process namespace it joins; 0: the sandbox's, or its own */
} SpecInput;
int spec_build(const SpecInput *in, json_t **ret, char **ret_error);
/* The process of an exec in a container whose process is `base`. */
json_t *spec_exec_process(const json_t *base, const char *const *command, bool tty);
