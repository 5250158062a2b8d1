/* Hashes of pod templates, against what kube-controller-manager v1.36.3 gave (tests/golden/controllers/
 * template_hash.jsonl: the template as its API server serves it, and the hash in the name of what was made from it). */
#include "controllers/template_hash.h"

#include "api/json.h"
#include "base/str.h"
#include "controllers/revisions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/controllers/template_hash.jsonl"

static char *hash_of(Arena *arena, const Value *row) {
    const char *kind = value_get_str(row, "kind");
    int64_t collisions = value_get_int(value_get(row, "status"), "collisionCount", -1);
    Value *owner = value_object(arena);
    value_set(arena, value_ensure_object(arena, owner, "spec"), "template",
              value_copy(arena, value_get(row, "template")));
    const RevisionKind *revisions =
        streq(kind, "StatefulSet") ? &revisions_of_statefulset : &revisions_of_daemonset; /* as Deployments hash */
    return revisions->hash(arena, owner, revision_data(arena, owner), collisions);
}

static void test_as_the_reference(_unused_ void **state) {
    _cleanup_free_ char *line = NULL;
    size_t cap = 0, rows = 0, wrong = 0;
    FILE *golden = fopen(GOLDEN, "re");
    assert_non_null(golden);
    while (getline(&line, &cap, golden) > 0) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        Value *row = NULL;
        assert_int_equal(json_parse(arena, line, strlen(line), &row, NULL, NULL), 0);
        const char *want = value_get_str(row, "hash"), *got = hash_of(arena, row);
        rows++;
        if (streq(want, got))
            continue;
        print_error("%s %s: %s, not %s\n", value_get_str(row, "kind"), value_get_str(row, "name"), got, want);
        wrong++;
    }
    fclose(golden);
    assert_true(rows > 40);
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
