/* What reconciling does to a role or binding that somebody changed, and what a set of rules does not cover. */
#include "api/json.h"
#include "apiserver/filters/rbac_rules.h"
#include "apiserver/rbac_reconcile.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static Value *parse(Arena *arena, const char *json) {
    Value *v = NULL;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return v;
}

static void expect_json(const Value *v, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (value_equal(v, parse(arena, json)))
        return;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&text, v);
    fail_msg("%s, expected %s", text.data, json);
}

typedef struct Case {
    const char *wanted, *have;
    RbacChange change;
    const char *after;
} Case;

static void run(const Case *cases, size_t n, RbacChange (*reconcile)(Arena *, const Value *, Value *)) {
    for (size_t i = 0; i < n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *have = parse(arena, cases[i].have);
        assert_int_equal(reconcile(arena, parse(arena, cases[i].wanted), have), cases[i].change);
        if (cases[i].after)
            expect_json(have, cases[i].after);
    }
}

#define META "'metadata':{'annotations':{'a':'true'},'labels':{'l':'1'}}"
#define RULES(verbs) "'rules':[{'verbs':[" verbs "],'apiGroups':[''],'resources':['pods']}]"
#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"

/* JSON with the other quotes. */
static const char *json(Arena *arena, const char *text) {
    char *out = text ? arena_strdup(arena, text) : NULL;
    for (char *p = out; p && *p; p++)
        if (*p == '\'')
            *p = '"';
    return out;
}

static void run_quoted(const Case *cases, size_t n, RbacChange (*reconcile)(Arena *, const Value *, Value *)) {
    for (size_t i = 0; i < n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Case one = {json(arena, cases[i].wanted), json(arena, cases[i].have), cases[i].change,
                    json(arena, cases[i].after)};
        run(&one, 1, reconcile);
    }
}

static void test_roles(void **state) {
    (void)state;
    static const Case cases[] = {
        {"{" META "," RULES("'get','list'") "}", "{" META "," RULES("'list','get'") "}", RBAC_SAME, NULL},
        {"{" META "," RULES("'get'") "}", "{" META "," RULES("'*'") "}", RBAC_SAME, NULL}, /* more than is wanted */
        {"{" META "," RULES("'get','list'") "}", "{" META "," RULES("'get','delete'") "}", RBAC_UPDATE,
         "{" META ",'rules':[{'verbs':['get','delete'],'apiGroups':[''],'resources':['pods']},"
         "{'verbs':['list'],'apiGroups':[''],'resources':['pods']}]}"},
        {"{" META "," RULES("'get'") "}", "{'metadata':{'labels':{'l':'2','m':'3'}}," RULES("'get'") "}", RBAC_UPDATE,
         "{'metadata':{'annotations':{'a':'true'},'labels':{'l':'2','m':'3'}}," RULES("'get'") "}"},
        {"{" META "," RULES("'get','list'") "}",
         "{'metadata':{'annotations':{'a':'true','" AUTOUPDATE "':'false'},'labels':{'l':'1'}}," RULES("'get'") "}",
         RBAC_PROTECTED, NULL},
        {"{" META "," RULES("'get'") "}",
         "{'metadata':{'annotations':{'a':'true','" AUTOUPDATE "':'false'},'labels':{'l':'1'}}," RULES("'get'") "}",
         RBAC_SAME, NULL},
        {"{'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'a':'1'}}]}}",
         "{'rules':[{'verbs':['x']}],'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'b':'2'}}]}}",
         RBAC_UPDATE,
         "{'rules':[{'verbs':['x']}],'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'b':'2'}},"
         "{'matchLabels':{'a':'1'}}]}}"},
        {"{" RULES("'get'") "}", "{" RULES("'get'") ",'aggregationRule':{'clusterRoleSelectors':[{}]}}", RBAC_UPDATE,
         "{" RULES("'get'") "}"},
    };
    run_quoted(cases, ELEMENTSOF(cases), rbac_reconcile_role);
}

#define REF(name) "'roleRef':{'apiGroup':'g','kind':'ClusterRole','name':'" name "'}"
static void test_bindings(void **state) {
    (void)state;
    static const Case cases[] = {
        {"{" REF("r") ",'subjects':[{'kind':'User','name':'a'}]}",
         "{" REF("r") ",'subjects':[{'kind':'User','name':'b'},{'name':'a','kind':'User'}]}", RBAC_SAME, NULL},
        {"{" REF("r") ",'subjects':[{'kind':'User','name':'a'}]}",
         "{" REF("r") ",'subjects':[{'kind':'User','name':'b'}]}", RBAC_UPDATE,
         "{" REF("r") ",'subjects':[{'kind':'User','name':'b'},{'kind':'User','name':'a'}]}"},
        {"{" REF("r") "}", "{" REF("s") "}", RBAC_RECREATE, NULL},
        {"{" REF("r") "}", "{'metadata':{'annotations':{'" AUTOUPDATE "':'false'}}," REF("s") "}", RBAC_PROTECTED,
         NULL},
    };
    run_quoted(cases, ELEMENTSOF(cases), rbac_reconcile_binding);
}

static void test_missing(void **state) {
    (void)state;
    static const struct {
        const char *have, *wanted, *missing;
    } cases[] = {
        {"[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]",
         "[{'verbs':['get'],'apiGroups':['x'],'resources':['a/b']},{'verbs':['get'],'nonResourceURLs':['/x']}]",
         "[{'verbs':['get'],'nonResourceURLs':['/x']}]"},
        {"[{'verbs':['get'],'apiGroups':[''],'resources':['*/scale','pods']}]",
         "[{'verbs':['get'],'apiGroups':[''],'resources':['pods','pods/scale','pods/log','*']}]",
         "[{'verbs':['get'],'apiGroups':[''],'resources':['pods/"
         "log']},{'verbs':['get'],'apiGroups':[''],'resources':['*']}]"},
        {"[{'verbs':['get'],'apiGroups':[''],'resources':['pods'],'resourceNames':['a']}]",
         "[{'verbs':['get'],'apiGroups':[''],'resources':['pods'],'resourceNames':['a','b']},"
         "{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]",
         "[{'verbs':['get'],'apiGroups':[''],'resources':['pods'],'resourceNames':['b']},"
         "{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]"},
        {"[{'verbs':['get'],'nonResourceURLs':['/a/*']}]", "[{'verbs':['get'],'nonResourceURLs':['/a/b','/a/*','/b']}]",
         "[{'verbs':['get'],'nonResourceURLs':['/b']}]"},
        {"[]", "[{'verbs':['*'],'apiGroups':[''],'resources':['x']}]",
         "[{'verbs':['*'],'apiGroups':[''],'resources':['x']}]"},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        const Value *missing = rbac_missing_rules(arena, parse(arena, json(arena, cases[i].have)),
                                                  parse(arena, json(arena, cases[i].wanted)));
        expect_json(missing, json(arena, cases[i].missing));
    }
}

static void test_texts(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *rules = rbac_compact_rules(
        arena,
        parse(arena,
              json(arena, "[{'verbs':['get'],'apiGroups':[''],'resources':['pods']},"
                          "{'verbs':['list'],'apiGroups':[''],'resources':['pods']},"
                          "{'verbs':['get'],'nonResourceURLs':['/x']},{'verbs':['put'],'nonResourceURLs':['/x']},"
                          "{'verbs':['get'],'apiGroups':[''],'resources':['pods'],'resourceNames':['n']}]")));
    static const char *const texts[] = {
        "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}",
        "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}",
        "{NonResourceURLs:[\"/x\"], Verbs:[\"put\"]}",
        "{APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"n\"], Verbs:[\"get\"]}",
    };
    assert_int_equal(value_len(rules), ELEMENTSOF(texts));
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        assert_string_equal(rbac_rule_text(arena, value_at(rules, i)), texts[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roles), cmocka_unit_test(test_bindings),
                                       cmocka_unit_test(test_missing), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
