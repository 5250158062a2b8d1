/* The atomic writer, subPath and the field references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"
#include "kubelet/volumes/subpath.h"
#include "kubelet/volumes/volumes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static char *make_dir(void) {
    char *dir = xstrdup("/tmp/lighter-volumes-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static char *content(const char *dir, const char *name) {
    _cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
    char *text = NULL;
    return fs_read_file(path, 4096, &text, NULL) < 0 ? NULL : text;
}

static size_t entries(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += !streq(e->d_name, ".") && !streq(e->d_name, "..");
    closedir(d);
    return n;
}

static void test_atomic_writer(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    _cleanup_free_ char *dir = make_dir();
    Payload p = {.arena = arena};
    assert_int_equal(payload_add(&p, "a", "1", 1, 0644, -1), 0);
    assert_int_equal(payload_add(&p, "sub/b", "2", 1, 0400, -1), 0);
    assert_int_equal(atomic_write(dir, &p, -1), 1);
    _cleanup_free_ char *a = content(dir, "a"), *b = content(dir, "sub/b");
    assert_string_equal(a, "1");
    assert_string_equal(b, "2");
    _cleanup_free_ char *path = xasprintf("%s/sub/b", dir), *link = xasprintf("%s/..data", dir);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    char before[256] = {0}, after[256] = {0};
    assert_true(readlink(link, before, sizeof before - 1) > 0);
    assert_int_equal(atomic_write(dir, &p, -1), 0); /* the same: untouched */
    assert_true(readlink(link, after, sizeof after - 1) > 0);
    assert_string_equal(before, after);

    Payload q = {.arena = arena};
    assert_int_equal(payload_add(&q, "a", "changed", 7, 0644, -1), 0);
    assert_int_equal(atomic_write(dir, &q, -1), 1);
    free(TAKE_PTR(a));
    a = content(dir, "a");
    assert_string_equal(a, "changed");
    assert_null(content(dir, "sub/b"));
    assert_int_equal(entries(dir), 3); /* ..data, its folder, a: nothing old is left */
    fs_remove_tree(dir);
}

static void test_unsafe_paths(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Payload p = {.arena = arena};
    static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../b", "..x", "a//b", "a/.", "a/.."};
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(payload_add(&p, bad[i], "", 0, 0644, -1), -EINVAL);
    assert_int_equal(p.n, 0);
}

static void test_subpath_stays_inside(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    _cleanup_free_ char *dir = make_dir(), *volume = xasprintf("%s/v", dir), *pod = xasprintf("%s/pod", dir),
                        *host = NULL, *error = NULL, *secret = xasprintf("%s/secret", dir),
                        *link = xasprintf("%s/v/evil", dir);
    assert_int_equal(fs_mkdir_p(volume, 0755), 0);
    assert_int_equal(fs_mkdir_p(secret, 0755), 0);
    assert_int_equal(symlink("../secret", link), 0);
    assert_int_equal(subpath_prepare(pod, "v", "c", 0, volume, "../secret", &host, &error), -EINVAL);
    free(TAKE_PTR(error));
    /* a link that points out resolves below the volume's root, so what is outside is never reached */
    int r = subpath_prepare(pod, "v", "c", 1, volume, "evil/x", &host, &error);
    _cleanup_free_ char *outside = xasprintf("%s/x", secret);
    assert_false(fs_exists(outside));
    if (r == 0) {
        free(TAKE_PTR(host));
    }
    free(TAKE_PTR(error));
    r = subpath_prepare(pod, "v", "c", 2, volume, "deep/er", &host, &error);
    if (r == -EPERM) { /* no mounts where the test runs */
        fs_remove_tree(dir);
        skip();
    }
    assert_int_equal(r, 0);
    _cleanup_free_ char *marker = xasprintf("%s/deep/er/file", volume), *seen = xasprintf("%s/file", host);
    assert_int_equal(fs_write_atomic(marker, "x", 1, 0644), 0);
    assert_true(fs_exists(seen));
    assert_int_equal(volumes_tear_down(pod), 0);
    assert_false(fs_exists(pod));
    assert_true(fs_exists(marker)); /* the volume itself was only bound */
    fs_remove_tree(dir);
}

static void test_field_references(void **state) {
    (void)state;
    _cleanup_(arena_freep) Arena *arena = arena_new(0);
    Value *pod = parse(arena, "{\"metadata\":{\"name\":\"p\",\"labels\":{\"b\":\"2\",\"a/x\":\"q\\\"\"}},\"spec\":{}}");
    PodFacts facts = {.pod_ip = "10.0.0.5", .allocatable_cpu_milli = 2000};
    const char *text = NULL, *error = NULL;
    assert_int_equal(field_reference(arena, pod, &facts, "metadata.name", &text, &error), 0);
    assert_string_equal(text, "p");
    assert_int_equal(field_reference(arena, pod, &facts, "metadata.labels['a/x']", &text, &error), 0);
    assert_string_equal(text, "q\"");
    assert_int_equal(field_reference(arena, pod, &facts, "metadata.labels", &text, &error), 0);
    assert_string_equal(text, "a/x=\"q\\\"\"\nb=\"2\"");
    assert_int_equal(field_reference(arena, pod, &facts, "status.podIP", &text, &error), 0);
    assert_string_equal(text, "10.0.0.5");
    assert_int_equal(field_reference(arena, pod, &facts, "spec.secret", &text, &error), -EINVAL);

    Value *container =
        parse(arena, "{\"resources\":{\"limits\":{\"memory\":\"64Mi\"},\"requests\":{\"cpu\":\"250m\"}}}");
    assert_int_equal(resource_field_reference(arena, container, &facts, parse(arena, "{\"resource\":\"requests.cpu\"}"),
                                              &text, &error),
                     0);
    assert_string_equal(text, "1"); /* rounded up */
    assert_int_equal(resource_field_reference(arena, container, &facts,
                                              parse(arena, "{\"resource\":\"limits.memory\",\"divisor\":\"1Mi\"}"),
                                              &text, &error),
                     0);
    assert_string_equal(text, "64");
    assert_int_equal(resource_field_reference(arena, container, &facts, parse(arena, "{\"resource\":\"limits.cpu\"}"),
                                              &text, &error),
                     0);
    assert_string_equal(text, "2"); /* no limit: what the node has */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomic_writer),
        cmocka_unit_test(test_unsafe_paths),
        cmocka_unit_test(test_subpath_stays_inside),
        cmocka_unit_test(test_field_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
