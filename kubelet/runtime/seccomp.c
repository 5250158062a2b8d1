#include "kubelet/runtime/seccomp.h"

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/runtime/seccomp_names.h"

#include <errno.h>
#include <sys/socket.h>

#define PROFILE_MAX (1024 * 1024)
#define CLONE_NAMESPACES 0x7E020000 /* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */

typedef struct CapabilityCalls {
    const char *capability;
    const char *calls[26];
} CapabilityCalls;

static const CapabilityCalls BY_CAPABILITY[] = {
    {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
    {"CAP_SYS_ADMIN",
     {"bpf",       "clone",           "clone3",         "fanotify_init", "fsconfig",      "fsmount",
      "fsopen",    "fspick",          "lookup_dcookie", "mount",         "mount_setattr", "move_mount",
      "open_tree", "perf_event_open", "quotactl",       "quotactl_fd",   "setdomainname", "sethostname",
      "setns",     "syslog",          "umount",         "umount2",       "unshare"}},
    {"CAP_SYS_BOOT", {"reboot"}},
    {"CAP_SYS_CHROOT", {"chroot"}},
    {"CAP_SYS_MODULE", {"delete_module", "init_module", "finit_module"}},
    {"CAP_SYS_PACCT", {"acct"}},
    {"CAP_SYS_PTRACE", {"kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"}},
    {"CAP_SYS_RAWIO", {"iopl", "ioperm"}},
    {"CAP_SYS_TIME", {"settimeofday", "stime", "clock_settime", "clock_settime64"}},
    {"CAP_SYS_TTY_CONFIG", {"vhangup"}},
    {"CAP_SYS_NICE", {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"}},
    {"CAP_SYSLOG", {"syslog"}},
    {"CAP_BPF", {"bpf"}},
    {"CAP_PERFMON", {"perf_event_open"}},
};

static void allow(json_t *calls, json_t *names) {
    json_array_append_new(calls, json_pack("{s:o, s:s}", "names", names, "action", "SCMP_ACT_ALLOW"));
}

static void allow_with(json_t *calls, const char *name, uint64_t value, const char *op, uint64_t value_two) {
    json_t *arg = json_pack("{s:i, s:I, s:s}", "index", 0, "value", (json_int_t)value, "op", op);
    if (value_two)
        json_object_set_new(arg, "valueTwo", json_integer((json_int_t)value_two));
    json_array_append_new(calls,
                          json_pack("{s:[s], s:s, s:[o]}", "names", name, "action", "SCMP_ACT_ALLOW", "args", arg));
}

json_t *seccomp_default_profile(const char *const *capabilities) {
    static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    json_t *calls = json_array(), *names = json_array();
    for (size_t i = 0; i < ELEMENTSOF(SECCOMP_ALLOWED); i++)
        json_array_append_new(names, json_string(SECCOMP_ALLOWED[i]));
    allow(calls, names);
    for (size_t i = 0; i < ELEMENTSOF(personalities); i++)
        allow_with(calls, "personality", personalities[i], "SCMP_CMP_EQ", 0);
    allow_with(calls, "socket", AF_VSOCK, "SCMP_CMP_NE", 0);
#ifdef __x86_64__
    allow(calls, json_pack("[s, s]", "arch_prctl", "modify_ldt"));
#endif
    for (size_t i = 0; i < ELEMENTSOF(BY_CAPABILITY); i++) {
        if (!str_in(BY_CAPABILITY[i].capability, capabilities))
            continue;
        names = json_array();
        for (const char *const *call = BY_CAPABILITY[i].calls; *call; call++)
            json_array_append_new(names, json_string(*call));
        allow(calls, names);
    }
    if (!str_in("CAP_SYS_ADMIN", capabilities)) {
        /* Threads and processes, but no namespaces. clone3 hides its flags behind a pointer: ENOSYS makes libc use
         * clone. */
        allow_with(calls, "clone", CLONE_NAMESPACES, "SCMP_CMP_MASKED_EQ", 0);
        json_array_append_new(
            calls, json_pack("{s:[s], s:s, s:i}", "names", "clone3", "action", "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
    }
    return json_pack("{s:s, s:o, s:o}", "defaultAction", "SCMP_ACT_ERRNO", "architectures",
#if defined(__x86_64__)
                     json_pack("[s, s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
#else
                     json_pack("[s, s]", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
#endif
                     "syscalls", calls);
}

int seccomp_load_profile(const char *path, json_t **ret, char **ret_error) {
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = fs_read_file(path, PROFILE_MAX, &text, &n);
    if (r < 0) {
        *ret_error = xasprintf("cannot load seccomp profile \"%s\": %s", path, strerror(-r));
        return r;
    }
    json_error_t e;
    json_t *profile = json_loadb(text, n, 0, &e);
    if (!json_is_string(json_object_get(profile, "defaultAction"))) {
        *ret_error = xasprintf("cannot decode seccomp profile \"%s\": %s", path, profile ? "no defaultAction" : e.text);
        json_decref(profile);
        return -EINVAL;
    }
    *ret = profile;
    return 0;
}
