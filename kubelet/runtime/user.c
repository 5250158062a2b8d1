#include "kubelet/runtime/user.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#define OVERLAY_OPTIONS_MAX 4096

void user_files_done(UserFiles *files) {
    free(files->passwd);
    free(files->group);
    *files = (UserFiles){0};
}

void user_done(User *user) {
    free(user->groups);
    free(user->home);
    *user = (User){0};
}

typedef struct Reading {
    char *const *layers;
    const char *scratch;
    UserFiles files;
    int result;
} Reading;

static char *read_beneath(int root, const char *path) {
    _cleanup_close_ int fd = fs_open_beneath(root, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    _cleanup_free_ char *proc = xasprintf("/proc/self/fd/%d", fd), *text = NULL;
    return fs_read_file(proc, USER_FILE_MAX, &text, NULL) == 0 ? TAKE_PTR(text) : NULL;
}

/* Links 0, 1, ... in the scratch folder keep the options short, as in the monitor. */
static int mount_layers(const Reading *r) {
    char options[OVERLAY_OPTIONS_MAX];
    size_t n = 0;
    while (r->layers[n])
        n++;
    if (n == 1) /* an overlay needs two */
        return mount(r->layers[0], r->scratch, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
    int len = snprintf(options, sizeof options, "lowerdir=");
    if (chdir(r->scratch) < 0)
        return -errno;
    for (size_t i = n; i-- > 0 && len < (int)sizeof options;)
        len += snprintf(options + len, sizeof options - (size_t)len, i ? "%zu:" : "%zu", i);
    if (len >= (int)sizeof options)
        return -E2BIG;
    return mount("overlay", r->scratch, "overlay", MS_RDONLY, options) < 0 ? -errno : 0;
}

static void *reading_thread(void *userdata) {
    Reading *r = userdata;
    if (unshare(CLONE_NEWNS | CLONE_FS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        r->result = -errno;
        return NULL;
    }
    r->result = mount_layers(r);
    int root = r->result == 0 ? open(r->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (root < 0) {
        r->result = r->result ? r->result : -errno;
        return NULL;
    }
    r->files.passwd = read_beneath(root, "etc/passwd");
    r->files.group = read_beneath(root, "etc/group");
    close(root);
    return NULL;
}

int user_files_read(char *const *layer_dirs, const char *scratch, UserFiles *ret) {
    Reading reading = {.layers = layer_dirs, .scratch = scratch};
    pthread_t thread;
    int r = -pthread_create(&thread, NULL, reading_thread, &reading);
    if (r < 0)
        return r;
    pthread_join(thread, NULL);
    if (reading.result < 0)
        return reading.result;
    *ret = reading.files;
    return 0;
}

void user_add_group(User *user, uint32_t gid) {
    for (size_t i = 0; i < user->n_groups; i++)
        if (user->groups[i] == gid)
            return;
    if (user->n_groups == USER_GROUPS_MAX)
        return;
    user->groups = xreallocn(user->groups, user->n_groups + 1, sizeof *user->groups);
    user->groups[user->n_groups++] = gid;
}

/* Splits "a:b:c" in place into at most `max` fields. */
static size_t fields(char *line, char **out, size_t max) {
    size_t n = 0;
    while (line && n < max) {
        out[n++] = line;
        line = strchr(line, ':');
        if (line)
            *line++ = 0;
    }
    return n;
}

static bool parse_id(const char *s, uint32_t *ret) {
    uint64_t v;
    if (!s || str_to_uint64(s, &v) < 0 || v > INT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* Finds a line by name or id; the copy's fields are valid while *copy lives. */
static bool find_line(const char *text, const char *name, const uint32_t *id, size_t n_fields, char **copy,
                      char **out) {
    for (const char *line = text; line && *line;) {
        size_t n = strcspn(line, "\n");
        free(*copy);
        *copy = xstrndup(line, n);
        line += n + (line[n] == '\n');
        uint32_t v;
        if (fields(*copy, out, n_fields) < n_fields || !parse_id(out[2], &v))
            continue;
        if (name ? streq(out[0], name) : v == *id)
            return true;
    }
    return false;
}

static void add_member_groups(const char *text, const char *name, User *user) {
    for (const char *line = text; line && *line;) {
        size_t n = strcspn(line, "\n");
        _cleanup_free_ char *copy = xstrndup(line, n);
        line += n + (line[n] == '\n');
        char *f[4], *rest = NULL;
        uint32_t gid;
        if (fields(copy, f, 4) < 4 || !parse_id(f[2], &gid))
            continue;
        for (char *member = strtok_r(f[3], ", \r", &rest); member; member = strtok_r(NULL, ", \r", &rest))
            if (streq(member, name))
                user_add_group(user, gid);
    }
}

int user_resolve(const UserFiles *files, const char *text, User *ret, char **ret_error) {
    _cleanup_(user_done) User user = {0};
    _cleanup_free_ char *name = xstrdup(str_or(text, "0")), *line = NULL, *group_line = NULL;
    char *group = strchr(name, ':'), *f[7];
    if (group)
        *group++ = 0;
    uint32_t uid = 0;
    bool numeric = parse_id(*name ? name : "0", &uid);
    /* A name made of digits is an id, as in containerd and Docker. */
    bool known = find_line(files->passwd, numeric ? NULL : name, &uid, 6, &line, f);
    if (!known && !numeric) {
        *ret_error = xasprintf("unable to find user %s: no matching entries in passwd file", name);
        return -ENOENT;
    }
    if (known) {
        parse_id(f[2], &user.uid);
        parse_id(f[3], &user.gid);
        user.home = xstrdup(f[5]);
        add_member_groups(files->group, f[0], &user);
    } else
        user.uid = uid;
    if (!str_empty(group) && !parse_id(group, &user.gid)) {
        if (!find_line(files->group, group, NULL, 3, &group_line, f)) {
            *ret_error = xasprintf("unable to find group %s: no matching entries in group file", group);
            return -ENOENT;
        }
        parse_id(f[2], &user.gid);
    }
    /* The primary group comes first among the additional ones: dropping it must not widen access (CVE-2023-25173). */
    User ordered = {.uid = user.uid, .gid = user.gid, .home = TAKE_PTR(user.home)};
    user_add_group(&ordered, user.gid);
    for (size_t i = 0; i < user.n_groups; i++)
        user_add_group(&ordered, user.groups[i]);
    *ret = ordered;
    return 0;
}
