/* Roles and bindings are found by whom they name, whatever was put, replaced and removed before. */
#include "apiserver/filters/rbac_index.h"
#include "api/json.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GROUP "rbac.authorization.k8s.io"

static Object *object(const char *plural, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return object_from_value(resource_find(GROUP, "v1", plural), v);
}

static Object *binding(const char *ns, const char *name, const char *subjects) {
    _cleanup_free_ char *json =
        xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\"},\"roleRef\":{\"kind\":\"ClusterRole\","
                  "\"name\":\"r\"},\"subjects\":[%s]}",
                  name, ns, subjects);
    return object(*ns ? "rolebindings" : "clusterrolebindings", json);
}

static void put(RbacIndex *index, Object *taken) {
    rbac_index_put(index, taken);
    object_unref(taken);
}

static void take_away(RbacIndex *index, Object *taken) {
    rbac_index_remove(index, taken);
    object_unref(taken);
}

/* The names of the bindings in `ns` that name the user or the groups "g1" and "g2", with blanks between. */
static void found(const RbacIndex *index, const char *ns, const char *name, const char *wanted) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_buf_ Buf names = BUF_INIT(4096);
    static const char *const groups[] = {"g1", "g2", NULL};
    const UserInfo user = {.name = name, .groups = groups};
    const RbacBinding **bindings;
    size_t n = rbac_index_bindings(index, arena, ns, &user, &bindings);
    for (size_t i = 0; i < n; i++)
        buf_printf(&names, "%s%s", i ? " " : "", bindings[i]->name);
    assert_string_equal(names.len ? names.data : "", wanted);
}

#define USER(name) "{\"kind\":\"User\",\"name\":\"" name "\"}"
#define GROUP_OF(name) "{\"kind\":\"Group\",\"name\":\"" name "\"}"
#define ACCOUNT(name, more) "{\"kind\":\"ServiceAccount\",\"name\":\"" name "\"" more "}"

static void test_subjects(void **state) {
    (void)state;
    RbacIndex *index = rbac_index_new();
    put(index, binding("", "everywhere", USER("ann") "," GROUP_OF("g1") "," USER("ann")));
    put(index, binding("d", "b", USER("ann")));
    put(index, binding("d", "a", GROUP_OF("g2") "," GROUP_OF("g1")));
    put(index, binding("d", "account", ACCOUNT("sa", "")));
    put(index, binding("d", "other", ACCOUNT("sa", ",\"namespace\":\"x\"")));
    put(index, binding("", "nobody", ACCOUNT("sa", "")));
    put(index, binding("e", "elsewhere", USER("ann")));
    found(index, "", "ann", "everywhere");
    found(index, "d", "ann", "a b");
    found(index, "d", "eve", "a");
    found(index, "d", "g1", "a"); /* a user is no group */
    found(index, "d", "system:serviceaccount:d:sa", "a account");
    found(index, "d", "system:serviceaccount:x:sa", "a other");
    found(index, "", "system:serviceaccount::sa", "everywhere");
    found(index, "none", "ann", "");
    put(index, binding("d", "a", USER("eve"))); /* in place of the first */
    found(index, "d", "ann", "b");
    found(index, "d", "eve", "a");
    take_away(index, binding("d", "b", ""));
    take_away(index, binding("d", "b", ""));
    found(index, "d", "ann", "");
    found(index, "e", "ann", "elsewhere");
    rbac_index_free(index);
}

static void test_rules(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    RbacIndex *index = rbac_index_new();
    put(index, object("roles", "{\"metadata\":{\"name\":\"r\",\"namespace\":\"d\"},\"rules\":[{},{}]}"));
    put(index, object("clusterroles", "{\"metadata\":{\"name\":\"r\"}}"));
    assert_int_equal(value_len(rbac_index_rules(index, arena, "d", "r")), 2);
    assert_int_equal(value_len(rbac_index_rules(index, arena, "", "r")), 0);
    assert_non_null(rbac_index_rules(index, arena, "", "r"));
    assert_null(rbac_index_rules(index, arena, "e", "r"));
    take_away(index, object("clusterroles", "{\"metadata\":{\"name\":\"r\"}}"));
    assert_null(rbac_index_rules(index, arena, "", "r"));
    assert_int_equal(value_len(rbac_index_rules(index, arena, "d", "r")), 2);
    rbac_index_free(index);
}

/* Many bindings of few subjects, replaced and removed at random, beside a table of what there should be. */
static void test_many(void **state) {
    (void)state;
    enum { BINDINGS = 40, STEPS = 3000 };
    static const char *const subjects[] = {NULL, "", USER("ann"), GROUP_OF("g1"), USER("ann") "," GROUP_OF("g2")};
    size_t now[BINDINGS] = {0};
    RbacIndex *index = rbac_index_new();
    srandom(7);
    for (int step = 0; step < STEPS; step++) {
        _cleanup_buf_ Buf wanted = BUF_INIT(4096);
        size_t i = (size_t)random() % BINDINGS, to = (size_t)random() % ELEMENTSOF(subjects);
        char name[8];
        snprintf(name, sizeof name, "b%02zu", i);
        if (subjects[to])
            put(index, binding("d", name, subjects[to]));
        else
            take_away(index, binding("d", name, ""));
        now[i] = to;
        for (size_t j = 0; j < BINDINGS; j++)
            if (now[j] > 1)
                buf_printf(&wanted, "%sb%02zu", wanted.len ? " " : "", j);
        found(index, "d", "ann", wanted.len ? wanted.data : "");
    }
    assert_true(rbac_index_is_wasteful(index));
    rbac_index_free(index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
