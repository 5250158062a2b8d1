#include "../../support/image_fixture.h"

static struct stat stat_of(const char *dir, const char *name) {
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/root/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static void unpacks_every_kind(void **state) {
    (void)state;
    static const Entry entries[] = {
        {"./", AE_IFDIR, 0711, NULL, 5, 6, NULL, NULL, 0, 0},
        {"bin/tool", AE_IFREG, 04755, "#!", 0, 0, NULL, NULL, 0, 0}, /* its folder comes without an entry */
        {"bin/same", 0, 0, "bin/tool", 0, 0, NULL, NULL, 0, 0},
        {"lib", AE_IFLNK, 0777, "usr/lib", 7, 8, NULL, NULL, 0, 0},
        {"usr/lib", AE_IFDIR, 0755, NULL, 0, 0, NULL, NULL, 0, 0},
        {"lib/inside", AE_IFREG, 0600, "through the link", 9, 10, NULL, NULL, 0, 0},
        {"dev/null", AE_IFCHR, 0666, NULL, 0, 0, NULL, NULL, 1, 3},
        {"pipe", AE_IFIFO, 0640, NULL, 0, 0, NULL, NULL, 0, 0},
        {"attr", AE_IFREG, 0644, "x", 0, 0, "user.note", "hello", 0, 0},
    };
    for (int filter = PLAIN; filter <= ZSTD; filter++) {
        _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
        _cleanup_buf_ Buf plain = BUF_INIT(4 << 20), blob = BUF_INIT(4 << 20);
        tar_make(entries, ELEMENTSOF(entries), PLAIN, &plain);
        tar_make(entries, ELEMENTSOF(entries), filter, &blob);
        char diff_id[DIGEST_TEXT + 1];
        digest_of(plain.data, plain.len, diff_id);
        if (unpack_bytes(dir, blob.data, blob.len, diff_id, &error) < 0)
            fail_msg("%s", error);
        struct stat st = stat_of(dir, "bin/tool"), same = stat_of(dir, "bin/same");
        assert_int_equal(st.st_mode & 07777, 04755);
        assert_int_equal(st.st_ino, same.st_ino);
        assert_int_equal(st.st_mtim.tv_sec, 1000000000);
        st = stat_of(dir, "lib");
        assert_true(S_ISLNK(st.st_mode) && st.st_uid == 7 && st.st_gid == 8);
        st = stat_of(dir, "usr/lib/inside");
        assert_true(S_ISREG(st.st_mode) && st.st_uid == 9 && st.st_size == 16);
        st = stat_of(dir, "usr/lib");
        assert_int_equal(st.st_mtim.tv_sec, 1000000000);
        st = stat_of(dir, "dev/null");
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
        st = stat_of(dir, "pipe");
        assert_true(S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0640);
        st = stat_of(dir, ".");
        assert_true((st.st_mode & 07777) == 0711 && st.st_uid == 5 && st.st_gid == 6);
        char path[512], value[16] = {0};
        snprintf(path, sizeof path, "%s/root/attr", dir);
        if (getxattr(path, "user.note", value, sizeof value - 1) >= 0) /* where the file system has them */
            assert_string_equal(value, "hello");
        assert_int_equal(fs_remove_tree(dir), 0);
    }
}

static void whiteouts_become_overlay_marks(void **state) {
    (void)state;
    static const Entry entries[] = {
        {"etc/.wh.gone", AE_IFREG, 0600, "", 0, 0, NULL, NULL, 0, 0},
        {"opt/.wh..wh..opq", AE_IFREG, 0600, "", 0, 0, NULL, NULL, 0, 0},
        {"opt/new", AE_IFREG, 0600, "", 0, 0, NULL, NULL, 0, 0},
        {"etc/both", AE_IFREG, 0600, "kept", 0, 0, NULL, NULL, 0, 0},
        {"etc/.wh.both", AE_IFREG, 0600, "", 0, 0, NULL, NULL, 0, 0},
    };
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
    _cleanup_buf_ Buf blob = BUF_INIT(4 << 20);
    tar_make(entries, ELEMENTSOF(entries), GZIP, &blob);
    if (unpack_bytes(dir, blob.data, blob.len, NULL, &error) < 0)
        fail_msg("%s", error);
    struct stat st = stat_of(dir, "etc/gone");
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    st = stat_of(dir, "etc/both");
    assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
    char path[512], value[4] = {0};
    snprintf(path, sizeof path, "%s/root/opt", dir);
    assert_int_equal(getxattr(path, "trusted.overlay.opaque", value, sizeof value), 1);
    assert_string_equal(value, "y");
    assert_int_equal(fs_remove_tree(dir), 0);
}

/* Nothing that an archive says may be made or changed outside of its root. */
static void nothing_leaves_the_root(void **state) {
    (void)state;
    static const struct {
        Entry entries[2];
        size_t n;
        bool refused;
    } cases[] = {
        {{{"../outside", AE_IFREG, 0644, "x"}}, 1, true},
        {{{"a/../../outside", AE_IFREG, 0644, "x"}}, 1, true},
        {{{"/abs/../../outside", AE_IFREG, 0644, "x"}}, 1, true},
        {{{"link", AE_IFLNK, 0777, ".."}, {"link/outside", AE_IFREG, 0644, "x"}},
         2,
         false}, /* ".." of the root is the root */
        {{{"link", AE_IFLNK, 0777, "/tmp"}, {"link/outside", AE_IFREG, 0644, "x"}},
         2,
         true}, /* its own /tmp, which is not there */
        {{{"link", AE_IFLNK, 0777, "/../../../../../../tmp/outside"}, {"link", AE_IFREG, 0644, "x"}}, 2, false},
        {{{"hard", 0, 0, "../blob"}}, 1, true},
        {{{"link", AE_IFLNK, 0777, ".."}, {"hard", 0, 0, "link/blob"}}, 2, true},
        {{{".wh...", AE_IFREG, 0644, ""}}, 1, true},
        {{{"x", AE_IFREG, 0644, "x", 0, 0, "trusted.overlay.redirect", "/etc", 0, 0}}, 1, false},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
        _cleanup_buf_ Buf blob = BUF_INIT(4 << 20);
        tar_make(cases[i].entries, cases[i].n, PLAIN, &blob);
        int r = unpack_bytes(dir, blob.data, blob.len, NULL, &error);
        if (cases[i].refused != (r < 0))
            fail_msg("case %zu: %d %s", i, r, error ? error : "");
        char path[512];
        snprintf(path, sizeof path, "%s/outside", dir);
        assert_false(fs_exists(path));
        assert_false(fs_exists("/tmp/outside"));
        snprintf(path, sizeof path, "%s/root/hard", dir);
        assert_false(fs_exists(path));
        snprintf(path, sizeof path, "%s/root/x", dir);
        char value[8];
        assert_true(getxattr(path, "trusted.overlay.redirect", value, sizeof value) < 0);
        assert_int_equal(fs_remove_tree(dir), 0);
    }
}

static void damage_is_seen(void **state) {
    (void)state;
    static const Entry entries[] = {
        {"file", AE_IFREG, 0644, "some content that compresses not at all: 8f3k2j4h5g", 0, 0, NULL, NULL, 0, 0}};
    _cleanup_buf_ Buf blob = BUF_INIT(4 << 20);
    tar_make(entries, 1, GZIP, &blob);
    for (size_t cut = 0; cut < blob.len; cut += 7) {
        _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
        char diff_id[DIGEST_TEXT + 1];
        memset(diff_id, '0', sizeof diff_id);
        memcpy(diff_id, "sha256:", 7);
        diff_id[DIGEST_TEXT] = 0;
        int r = unpack_bytes(dir, blob.data, cut, diff_id, &error);
        assert_true(r < 0);
        assert_non_null(error);
        assert_int_equal(fs_remove_tree(dir), 0);
    }
}

static void folders_and_files_replace_each_other(void **state) {
    (void)state;
    static const Entry entries[] = {
        {"a", AE_IFDIR, 0755, NULL, 0, 0, NULL, NULL, 0, 0},
        {"a/b", AE_IFREG, 0644, "x", 0, 0, NULL, NULL, 0, 0},
        {"a", AE_IFREG, 0644, "now a file", 0, 0, NULL, NULL, 0, 0},
        {"c", AE_IFREG, 0644, "x", 0, 0, NULL, NULL, 0, 0},
        {"c", AE_IFDIR, 0700, NULL, 0, 0, NULL, NULL, 0, 0},
        {"c/d", AE_IFREG, 0644, "x", 0, 0, NULL, NULL, 0, 0},
    };
    _cleanup_free_ char *dir = temporary_folder(), *error = NULL;
    _cleanup_buf_ Buf blob = BUF_INIT(4 << 20);
    tar_make(entries, ELEMENTSOF(entries), ZSTD, &blob);
    if (unpack_bytes(dir, blob.data, blob.len, NULL, &error) < 0)
        fail_msg("%s", error);
    assert_int_equal(stat_of(dir, "a").st_size, 10);
    assert_true(S_ISDIR(stat_of(dir, "c").st_mode));
    assert_int_equal(stat_of(dir, "c/d").st_size, 1);
    assert_int_equal(fs_remove_tree(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacks_every_kind),
        cmocka_unit_test(whiteouts_become_overlay_marks),
        cmocka_unit_test(nothing_leaves_the_root),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(folders_and_files_replace_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
