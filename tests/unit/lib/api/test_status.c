#include "api/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *status_text(Arena *arena, const ApiError *err) {
    _cleanup_buf_ Buf buf = BUF_INIT(BUF_NO_LIMIT);
    value_write_json(&buf, api_error_to_status(arena, err));
    return arena_strdup(arena, buf.data);
}

#define HEAD "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":"

static void constructors(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    assert_int_equal(api_error_not_found(&err, "apps", "deployments", "x"), -ENOENT);
    assert_string_equal(status_text(arena, &err),
                        HEAD "\"deployments.apps \\\"x\\\" not found\",\"reason\":\"NotFound\",\"details\":"
                             "{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\"},\"code\":404}");
    assert_int_equal(api_error_already_exists(&err, "", "pods", "x"), -EEXIST);
    assert_string_equal(err.message, "pods \"x\" already exists");
    assert_int_equal(api_error_conflict(&err, "", "pods", "x", "why"), -ESTALE);
    assert_string_equal(err.message, "Operation cannot be fulfilled on pods \"x\": why");
    assert_int_equal(api_error_bad_request(&err, "a %d", 1), -EINVAL);
    assert_string_equal(status_text(arena, &err), HEAD "\"a 1\",\"reason\":\"BadRequest\",\"code\":400}");
    assert_int_equal(api_error_forbidden(&err, "", "pods", "", "no"), -EACCES);
    assert_string_equal(err.message, "pods is forbidden: no");
    assert_int_equal(api_error_forbidden(&err, "", "", "", "no"), -EACCES);
    assert_string_equal(err.message, "forbidden: no");
    assert_int_equal(api_error_method_not_supported(&err, "apps", "deployments", "create"), -EOPNOTSUPP);
    assert_string_equal(err.message, "create is not supported on resources of kind \"deployments.apps\"");
    assert_int_equal(api_error_expired(&err, "old"), -EKEYEXPIRED);
    assert_int_equal(api_error_from_errno(&err, -EIO, "reading"), -EIO);
    assert_string_equal(err.message, "Internal error occurred: reading: Input/output error");
    assert_int_equal(api_error_not_found(NULL, "", "pods", "x"), -ENOENT);
}

static void there_and_back(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0}, back = {0};
    api_error_set(&err, 429, "TooManyRequests", "slow");
    api_error_cause(&err, "R", "m", "f");
    err.retry_after = 3;
    assert_int_equal(api_error_from_status(&back, api_error_to_status(arena, &err), 0), -EAGAIN);
    assert_string_equal(status_text(arena, &back), status_text(arena, &err));
    assert_int_equal(api_error_from_status(&back, NULL, 503), -EHOSTUNREACH);
    assert_int_equal(back.code, 503);
}

static void field_errors(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath spec = FIELD(NULL, "spec"), list = FIELD(&spec, "containers"), item = FIELD_INDEX(&list, 3),
              key = FIELD_KEY(&spec, "a.b/c");
    static const char *const supported[] = {"A", "B", NULL};
    assert_int_equal(api_error_invalid(&err, "", "Pod", "x", &errors), 0);
    field_required(&errors, &item, "say");
    assert_int_equal(api_error_invalid(&err, "", "Pod", "x", &errors), -EINVAL);
    assert_string_equal(err.message, "Pod \"x\" is invalid: spec.containers[3]: Required value: say");
    field_required(&errors, &item, "say"); /* named once in the message, twice in the causes */
    field_invalid(&errors, &key, value_int(arena, 5), "must be %d", 4);
    field_invalid_str(&errors, NULL, "q\"", "no");
    field_not_supported(&errors, &spec, value_string(arena, "C"), supported);
    field_forbidden(&errors, &spec, "not %s", "this");
    field_too_long(&errors, &spec, 63);
    field_too_many(&errors, &spec, 9, 1);
    field_duplicate(&errors, &spec, value_object(arena));
    field_not_found(&errors, &spec, value_bool(arena, true));
    field_type_invalid(&errors, &spec, NULL, "d");
    assert_int_equal(api_error_invalid(&err, "apps", "Deployment", "x", &errors), -EINVAL);
    assert_string_equal(err.message, "Deployment.apps \"x\" is invalid: [spec.containers[3]: Required value: say, "
                                     "spec[a.b/c]: Invalid value: 5: must be 4, "
                                     "<nil>: Invalid value: \"q\\\"\": no, spec: Unsupported value: \"C\": supported "
                                     "values: \"A\", \"B\", spec: Forbidden: not this, "
                                     "spec: Too long: may not be more than 63 bytes, spec: Too many: 9: must have at "
                                     "most 1 item, spec: Duplicate value: {}, "
                                     "spec: Not found: true, spec: Invalid value: null: d]");
    assert_int_equal(err.n_causes, 11);
    assert_string_equal(err.causes[10].reason, "FieldValueTypeInvalid");
}

static void many_field_errors(void **state _unused_) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_api_error_ ApiError err = {0};
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    for (int i = 0; i < FIELD_ERRORS_MAX + 100; i++) {
        FieldPath path = FIELD_INDEX(NULL, i);
        field_required(&errors, &path, "");
    }
    assert_int_equal(api_error_invalid(&err, "", "Pod", "x", &errors), -EINVAL);
    assert_int_equal(err.n_causes, FIELD_ERRORS_MAX);
}

/* Each once, and no more than are kept; those that come after them find room. */
static void merged_field_errors(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    FieldErrors all = FIELD_ERRORS_INIT(arena), many = FIELD_ERRORS_INIT(arena);
    for (size_t i = 0; i < 40; i++) {
        FieldErrors one = FIELD_ERRORS_INIT(arena);
        FieldPath at = FIELD_INDEX(NULL, i);
        field_required(&one, &at, "");
        field_errors_merge(&all, &one);
        field_errors_merge(&all, &one);
        field_required(&all, NULL, arena_printf(arena, "%zu", i));
    }
    assert_int_equal(all.n, 80);
    for (size_t i = 0; i < 40; i++) {
        assert_string_equal(all.items[2 * i].field, arena_printf(arena, "[%zu]", i));
        assert_string_equal(all.items[2 * i + 1].detail, arena_printf(arena, "%zu", i));
    }
    for (size_t i = 0; i < FIELD_ERRORS_MAX + 50; i++) {
        FieldPath at = FIELD_INDEX(NULL, 100 + i);
        field_required(&many, &at, "");
    }
    field_errors_merge(&all, &many);
    assert_int_equal(field_errors_kept(&many), FIELD_ERRORS_MAX);
    assert_int_equal(field_errors_kept(&all), FIELD_ERRORS_MAX);
    assert_int_equal(all.n, 80 + FIELD_ERRORS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructors),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(field_errors),
        cmocka_unit_test(many_field_errors),
        cmocka_unit_test(merged_field_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
