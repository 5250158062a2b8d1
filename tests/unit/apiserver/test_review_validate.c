/* What access reviews are refused for, and what their answers say of selectors, as kube-apiserver v1.36.3. */
#include "apiserver/review_validate.h"
#include "api/json.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static Value *parse(Arena *arena, const char *text) {
    Value *v;
    assert_int_equal(json_parse(arena, text, strlen(text), &v, NULL, NULL), 0);
    return v;
}

/* "FIELD: MESSAGE", with newlines between. */
static char *refusal(Arena *arena, const char *review, const char *ns, ReviewKind kind) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    access_review_validate(&errors, parse(arena, review), ns, kind);
    for (size_t i = 0; i < errors.n; i++)
        buf_printf(&text, "%s%s: %s", i ? "\n" : "", errors.items[i].field, errors.items[i].message);
    return arena_strndup(arena, text.data ? text.data : "", text.len);
}

static void who_and_what(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(refusal(arena, "{\"spec\":{\"user\":\"u\",\"resourceAttributes\":{}}}", "", REVIEW_SUBJECT),
                        "");
    assert_string_equal(refusal(arena, "{\"spec\":{\"nonResourceAttributes\":{\"path\":\"/x\"}}}", "", REVIEW_SUBJECT),
                        "spec.user: Invalid value: \"\": at least one of user or group must be specified");
    assert_string_equal(refusal(arena, "{\"spec\":{}}", "", REVIEW_SELF),
                        "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or "
                        "resourceAttributes must be specified");
    assert_string_equal(refusal(arena,
                                "{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"user\":\"u\","
                                "\"resourceAttributes\":{}}}",
                                "", REVIEW_SUBJECT),
                        "metadata: Invalid value: {\"labels\":{\"a\":\"b\"}}: must be empty");
    assert_string_equal(refusal(arena, "{\"spec\":{\"user\":\"u\",\"resourceAttributes\":{\"namespace\":\"other\"}}}",
                                "mine", REVIEW_LOCAL),
                        "spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace");
}

static void selectors(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    assert_string_equal(refusal(arena, "{\"spec\":{\"resourceAttributes\":{\"labelSelector\":{}}}}", "", REVIEW_SELF),
                        "spec.resourceAttributes.labelSelector.requirements: Required value: when "
                        "spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required");
    assert_string_equal(
        refusal(arena,
                "{\"spec\":{\"resourceAttributes\":{\"fieldSelector\":{\"rawSelector\":\"a=b\",\"requirements\":["
                "{\"operator\":\"In\"}]}}}}",
                "", REVIEW_SELF),
        "spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same time "
        "as requirements\n"
        "spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when "
        "`operator` is 'In' or 'NotIn'\n"
        "spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified");
    /* Operators that are not known are let pass, and said to be ignored. */
    const char *odd = "{\"labelSelector\":{\"requirements\":[{\"key\":\"k\",\"operator\":\"Odd\"},"
                      "{\"key\":\"k\",\"operator\":\"Exists\"}]}}";
    assert_string_equal(access_review_ignored(arena, parse(arena, odd)),
                        "spec.resourceAttributes.labelSelector partially ignored due to parse error");
    assert_string_equal(
        access_review_ignored(arena, parse(arena, "{\"fieldSelector\":{\"requirements\":[{\"key\":\"k\","
                                                  "\"operator\":\"Exists\"}]}}")),
        "spec.resourceAttributes.fieldSelector ignored due to parse error");
    assert_string_equal(access_review_ignored(arena, NULL), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_and_what), cmocka_unit_test(selectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
