#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "kubelet/runtime/user.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static UserFiles files(void) {
    return (UserFiles){
        xstrdup("root:x:0:0:root:/root:/bin/sh\n\nbroken\nweb:x:33:34::/var/www:/bin/false\n12:x:99:98::/:/x\n"),
        xstrdup("root:x:0:\nweb:x:34:\nlogs:x:40:other,web\ndup:x:40:web\nadm:x:4:web,root")};
}

static void resolves(void **state) {
    (void)state;
    static const struct {
        const char *in;
        uint32_t uid, gid;
        size_t n;
        uint32_t groups[4];
        const char *error;
    } cases[] = {
        {"", 0, 0, 2, {0, 4}, NULL},
        {"root", 0, 0, 2, {0, 4}, NULL},
        {"web", 33, 34, 3, {34, 40, 4}, NULL},
        {"33", 33, 34, 3, {34, 40, 4}, NULL},
        {"web:logs", 33, 40, 2, {40, 4}, NULL},
        {"web:7", 33, 7, 3, {7, 40, 4}, NULL},
        {"5000", 5000, 0, 1, {0}, NULL},
        {"5000:6000", 5000, 6000, 1, {6000}, NULL},
        {"12", 12, 0, 1, {0}, NULL}, /* digits are an id, though a user is called so */
        {"nobody", 0, 0, 0, {0}, "unable to find user nobody: no matching entries in passwd file"},
        {"web:none", 0, 0, 0, {0}, "unable to find group none: no matching entries in group file"},
        {"99999999999", 0, 0, 0, {0}, "unable to find user 99999999999: no matching entries in passwd file"},
    };
    UserFiles f = files();
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        User user;
        char *error = NULL;
        int r = user_resolve(&f, cases[i].in, &user, &error);
        if (cases[i].error) {
            assert_int_equal(r, -ENOENT);
            assert_string_equal(error, cases[i].error);
            free(error);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(user.uid, cases[i].uid);
        assert_int_equal(user.gid, cases[i].gid);
        assert_int_equal(user.n_groups, cases[i].n);
        for (size_t k = 0; k < user.n_groups; k++)
            assert_int_equal(user.groups[k], cases[i].groups[k]);
        user_done(&user);
    }
    user_files_done(&f);
    User user;
    char *error = NULL;
    assert_int_equal(user_resolve(&f, "0", &user, &error), 0); /* an image without the files */
    user_done(&user);
    assert_int_equal(user_resolve(&f, "web", &user, &error), -ENOENT);
    free(error);
}

/* The upper layer hides the lower one; a link that leads out stays in. */
static void reads_through_layers(void **state) {
    (void)state;
    char dir[] = "/tmp/lighter-user-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *make =
        xasprintf("cd %s && mkdir -p low/etc high/etc l && echo low >low/etc/passwd && echo low >low/etc/group && "
                  "echo high >high/etc/passwd && ln -s %s/low l/0 && ln -s %s/high l/1",
                  dir, dir, dir);
    assert_int_equal(system(make), 0);
    _cleanup_free_ char *low = xasprintf("%s/low", dir), *high = xasprintf("%s/high", dir),
                        *scratch = xasprintf("%s/l", dir);
    char *layers[] = {low, high, NULL};
    UserFiles f = {0};
    int r = user_files_read(layers, scratch, &f);
    if (r == -EPERM)
        skip();
    assert_int_equal(r, 0);
    assert_string_equal(f.passwd, "high\n");
    assert_string_equal(f.group, "low\n");
    user_files_done(&f);
    _cleanup_free_ char *link =
        xasprintf("cd %s && rm high/etc/passwd && ln -s /../../../../../etc/passwd high/etc/passwd", dir);
    assert_int_equal(system(link), 0);
    assert_int_equal(user_files_read(layers, scratch, &f), 0);
    assert_null(f.passwd); /* it leads to itself, not to the machine's */
    user_files_done(&f);
    assert_int_equal(fs_remove_tree(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(resolves), cmocka_unit_test(reads_through_layers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
