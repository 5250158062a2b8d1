/* What every suite over a runtime driver needs: an image made of busybox, folders and a bridge of its own, a driver,
 * and the removal of all of it. The driver under test is the embedded one; another needs another fixture_open. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/unpack/digest.h"
#include "kubelet/runtime/cgroup.h"
#include "kubelet/runtime/oci.h"
#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Fixture {
    char dir[64], bridge[16], cgroup[40];
    char *image_id;
    ImageStore *images;
    Runtime *runtime;
} Fixture;

static inline void run_or_fail(const char *const *argv) {
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv, .timeout_ns = 60 * NS_PER_SEC}, &result);
    if (r < 0 || result.status != 0)
        fail_msg("%s: %d: %s", argv[0], r, result.err.data ? result.err.data : "");
}
#define RUN(...) run_or_fail((const char *const[]){__VA_ARGS__, NULL})

static inline void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A Docker archive with one layer: busybox, a user "app" (1000, also in group extra 2000), and a file only root may
 * read. */
static inline void fixture_image(Fixture *f) {
    char path[512], command[1024];
    snprintf(command, sizeof command,
             "set -e; cd %s; mkdir -p rootfs/bin rootfs/etc rootfs/tmp rootfs/data; cp /bin/busybox rootfs/bin/;"
             "for a in sh mkdir ln cat echo sleep id ls touch mount hostname kill ps true false stty head seq wget nc "
             "httpd dd env ip tail "
             "grep od yes; do ln -sf busybox rootfs/bin/$a; done; chmod 1777 rootfs/tmp; chown 1000:1000 rootfs/data;"
             "printf 'root:x:0:0:root:/root:/bin/sh\\napp:x:1000:1000::/home/app:/bin/sh\\n' >rootfs/etc/passwd;"
             "printf 'root:x:0:\\napp:x:1000:\\nextra:x:2000:app\\n' >rootfs/etc/group;"
             "echo secret >rootfs/etc/shadow; chmod 600 rootfs/etc/shadow; tar -C rootfs -cf layer.tar .",
             f->dir);
    RUN("/bin/sh", "-c", command);
    snprintf(path, sizeof path, "%s/layer.tar", f->dir);
    _cleanup_free_ char *layer = NULL;
    size_t n;
    assert_int_equal(fs_read_file(path, 64 << 20, &layer, &n), 0);
    char diff_id[DIGEST_TEXT + 1], config[1024];
    digest_of(layer, n, diff_id);
    snprintf(config, sizeof config,
             "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"/bin/sleep\",\"1000\"],"
             "\"Env\":[\"PATH=/bin\",\"FROM_IMAGE=yes\"],\"WorkingDir\":\"/tmp\"},"
             "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
             diff_id);
    snprintf(path, sizeof path, "%s/config.json", f->dir);
    write_text(path, config);
    snprintf(path, sizeof path, "%s/manifest.json", f->dir);
    write_text(path, "[{\"Config\":\"config.json\",\"RepoTags\":[\"test/busybox:1\"],\"Layers\":[\"layer.tar\"]}]");
    snprintf(command, sizeof command, "cd %s && tar -cf image.tar manifest.json config.json layer.tar", f->dir);
    RUN("/bin/sh", "-c", command);
    char *error = NULL;
    snprintf(path, sizeof path, "%s/images", f->dir);
    _cleanup_free_ char *unpacker = fs_beside_program("../bin/lighter-unpack");
    if (image_store_open(&(ImageStoreConfig){.root = path, .unpacker = unpacker}, &f->images, &error) < 0)
        fail_msg("%s", error);
    snprintf(path, sizeof path, "%s/image.tar", f->dir);
    _cleanup_(image_freep) Image *image = NULL;
    if (image_import(f->images, path, NULL, &image, &error) < 0)
        fail_msg("%s", error);
    f->image_id = xstrdup(image->id);
}

static inline void fixture_network(Fixture *f) {
    char path[128], text[1024];
    snprintf(path, sizeof path, "%s/cni", f->dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/cni/10-test.conflist", f->dir);
    unsigned net = (unsigned)getpid() % 250;
    snprintf(text, sizeof text,
             "{\"cniVersion\":\"1.0.0\",\"name\":\"%s\",\"plugins\":[{\"type\":\"bridge\",\"bridge\":\"%s\","
             "\"isGateway\":true,"
             "\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"%s/ipam\",\"ranges\":[[{\"subnet\":\"10.199.%u.0/24\"}]],"
             "\"routes\":[{\"dst\":\"0.0.0.0/0\"}]}},{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}]}",
             f->bridge, f->bridge, f->dir, net);
    write_text(path, text);
}

static inline Runtime *fixture_open(Fixture *f, char **ret_error) {
    char root[128], conf[128];
    snprintf(root, sizeof root, "%s/runtime", f->dir);
    snprintf(conf, sizeof conf, "%s/cni", f->dir);
    Runtime *runtime = NULL;
    const char *monitor = getenv("LIGHTER_MONITOR");
    _cleanup_free_ char *built = fs_beside_program("../bin/lighter-monitor");
    OciConfig config = {.root = root,
                        .images = f->images,
                        .monitor = monitor ? monitor : built,
                        .cni_conf_dir = conf,
                        .cgroup_root = f->cgroup,
                        .oci_runtime = getenv("LIGHTER_OCI_RUNTIME")};
    if (oci_runtime_new(&config, &runtime, ret_error) < 0)
        return NULL;
    return runtime;
}

static inline int fixture_setup(void **state) {
    if (geteuid() != 0) {
        print_message("needs root\n");
        return -1;
    }
    Fixture *f = NEW0(Fixture);
    strcpy(f->dir, "/tmp/lighter-runtime-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->bridge, sizeof f->bridge, "lt%d", (int)getpid() % 1000000);
    snprintf(f->cgroup, sizeof f->cgroup, "/lighter-test-%d", (int)getpid());
    fixture_image(f);
    fixture_network(f);
    char *error = NULL;
    f->runtime = fixture_open(f, &error);
    if (!f->runtime)
        fail_msg("%s", error);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state) {
    Fixture *f = *state;
    SandboxStatus *list;
    size_t n;
    assert_int_equal(f->runtime->sandbox_list(f->runtime, &list, &n), 0);
    for (size_t i = 0; i < n; i++) {
        char *error = NULL;
        if (f->runtime->sandbox_remove(f->runtime, list[i].id, &error) < 0)
            print_message("%s\n", error);
        free(error);
        sandbox_status_done(&list[i]);
    }
    free(list);
    f->runtime->free(f->runtime);
    image_store_free(f->images);
    Cgroups cgroups;
    assert_int_equal(cgroups_detect("/sys/fs/cgroup", &cgroups), 0);
    assert_int_equal(cgroup_remove(&cgroups, f->cgroup), 0);
    cgroups_done(&cgroups);
    char command[256];
    snprintf(command, sizeof command, "ip link del %s 2>/dev/null; ! grep -q %s /proc/self/mountinfo", f->bridge,
             f->dir);
    RUN("/bin/sh", "-c", command); /* nothing is left mounted */
    assert_int_equal(fs_remove_tree(f->dir), 0);
    free(f->image_id);
    free(f);
    return 0;
}

static inline char *sandbox_new_with(Fixture *f, SandboxSpec spec) {
    char *id = NULL, *error = NULL;
    char logs[128];
    snprintf(logs, sizeof logs, "%s/logs", f->dir);
    mkdir(logs, 0755);
    spec.ns = spec.ns ? spec.ns : "default";
    spec.name = spec.name ? spec.name : "pod";
    spec.uid = spec.uid ? spec.uid : "uid-1";
    spec.hostname = spec.hostname ? spec.hostname : "pod-host";
    spec.log_directory = logs;
    spec.cgroup_parent = "/kubepods/pod1";
    if (f->runtime->sandbox_create(f->runtime, &spec, &id, &error) < 0)
        fail_msg("%s", error);
    return id;
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline ContainerSpec container_spec(Fixture *f, const char *const *command) {
    return (ContainerSpec){.name = "main",
                           .image_id = f->image_id,
                           .image_ref = "test/busybox:1",
                           .command = command,
                           .log_path = "main.log",
                           .run_as_user = -1,
                           .run_as_group = -1};
}

static inline char *container_new_with(Fixture *f, const char *sandbox, const ContainerSpec *spec) {
    char *id = NULL, *error = NULL;
    if (f->runtime->container_create(f->runtime, sandbox, spec, &id, &error) < 0)
        fail_msg("%s", error);
    return id;
}

static inline void container_start_ok(Fixture *f, const char *id) {
    char *error = NULL;
    if (f->runtime->container_start(f->runtime, id, &error) < 0)
        fail_msg("%s", error);
}

static inline char *container_run(Fixture *f, const char *sandbox, const ContainerSpec *spec) {
    char *id = container_new_with(f, sandbox, spec);
    container_start_ok(f, id);
    return id;
}

static inline ContainerStatus container_status_of(Fixture *f, const char *id) {
    ContainerStatus status;
    assert_int_equal(f->runtime->container_status(f->runtime, id, &status), 0);
    return status;
}

/* Waits until it has ended. */
static inline ContainerStatus container_end(Fixture *f, const char *id) {
    for (int i = 0; i < 4000; i++) {
        ContainerStatus status = container_status_of(f, id);
        if (status.state == CONTAINER_EXITED)
            return status;
        container_status_done(&status);
        usleep(5000);
    }
    fail_msg("container %s does not end", id);
    return (ContainerStatus){0};
}

static inline char *log_text(Fixture *f, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/logs/%s", f->dir, name);
    char *text = NULL;
    if (fs_read_file(path, 64 << 20, &text, NULL) < 0)
        text = xstrdup("");
    return text;
}

/* Runs a command in the container; its output, the exit code in *ret_code. */
static inline char *exec_text(Fixture *f, const char *id, const char *const *command, int *ret_code) {
    char *error = NULL;
    Buf out = BUF_INIT(1 << 20);
    int r = f->runtime->exec_sync(f->runtime, id, command, 20 * NS_PER_SEC, 1 << 20, &out, ret_code, &error);
    if (r < 0)
        fail_msg("exec: %s", error);
    return buf_take(&out, NULL);
}
