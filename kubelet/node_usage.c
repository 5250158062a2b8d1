/* What the kernel says of the node's memory and processes now. */
#include "kubelet/internal.h"

#include <stdio.h>

#include "base/fs.h"

#define FACT_FILE_MAX 8192
#define MEMINFO_MAX (64 * 1024)

static uint64_t meminfo(const char *text, const char *name) {
    const char *at = strstr(text, name);
    unsigned long long kib = 0;
    return at && sscanf(at + strlen(name), " %llu", &kib) == 1 ? kib * 1024 : 0;
}

void node_memory_read(NodeMemory *ret) {
    _cleanup_free_ char *text = NULL;
    *ret = (NodeMemory){0};
    if (fs_read_file("/proc/meminfo", MEMINFO_MAX, &text, NULL) < 0)
        return;
    *ret = (NodeMemory){.total = meminfo(text, "MemTotal:"),
                        .available = meminfo(text, "MemAvailable:"),
                        .unused = meminfo(text, "MemFree:"),
                        .anonymous = meminfo(text, "AnonPages:")};
}

static uint64_t proc_number(const char *path) {
    _cleanup_free_ char *text = NULL;
    unsigned long long n = 0;
    return fs_read_file(path, FACT_FILE_MAX, &text, NULL) == 0 && sscanf(text, "%llu", &n) == 1 ? n : 0;
}

bool node_pids_read(uint64_t *ret_most, uint64_t *ret_running) {
    _cleanup_free_ char *text = NULL;
    unsigned long long tasks = 0;
    uint64_t most = proc_number("/proc/sys/kernel/pid_max"), threads = proc_number("/proc/sys/kernel/threads-max");
    most = threads && (!most || threads < most) ? threads : most;
    if (!most || fs_read_file("/proc/loadavg", FACT_FILE_MAX, &text, NULL) < 0 ||
        sscanf(text, "%*s %*s %*s %*u/%llu", &tasks) != 1)
        return false;
    *ret_most = most;
    *ret_running = tasks;
    return true;
}
