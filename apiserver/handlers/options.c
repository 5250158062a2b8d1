#include "apiserver/handlers/options.h"
#include "api/managed.h"
#include "base/str.h"

#include <errno.h>

int options_read_int(const Query *query, const char *name, int64_t *ret, ApiError *err) {
    const char *text = query_get(query, name);
    int r = text ? str_to_int64(text, ret) : 0;
    return r < 0 ? api_error_bad_request(err, "strconv.ParseInt: parsing \"%s\": %s", text,
                                         r == -ERANGE ? "value out of range" : "invalid syntax")
                 : 0;
}

static const char *options_kind(ApiVerb verb) {
    switch (verb) {
    case API_CREATE:
        return "CreateOptions";
    case API_UPDATE:
        return "UpdateOptions";
    case API_PATCH:
        return "PatchOptions";
    default:
        return "DeleteOptions";
    }
}

static void check_dry_run(const Query *query, FieldErrors *errors) {
    static const char *const supported[] = {"All", NULL};
    FieldPath at = FIELD(NULL, "dryRun");
    Value *all = value_array(errors->arena);
    bool bad = false;
    for (size_t i = 0; i < query->n; i++)
        if (streq(query->items[i].key, "dryRun")) {
            value_append(errors->arena, all, value_string(errors->arena, query->items[i].value));
            bad |= !streq(query->items[i].value, "All");
        }
    if (bad)
        field_not_supported(errors, &at, all, supported);
}

static void check_writes(const Query *query, const ApiOptions *o, FieldErrors *errors) {
    static const char *const supported[] = {"", "Ignore", "Strict", "Warn", NULL};
    FieldPath manager = FIELD(NULL, "fieldManager"), validation = FIELD(NULL, "fieldValidation");
    if (o->field_manager && strlen(o->field_manager) > FIELD_MANAGER_MAX)
        field_too_long(errors, &manager, FIELD_MANAGER_MAX);
    for (size_t i = 0; o->field_manager && o->field_manager[i]; i++)
        if ((unsigned char)o->field_manager[i] < 0x20 || o->field_manager[i] == 0x7f)
            field_invalid_str(errors, &manager, o->field_manager, "invalid character U+%04X (at position %zu)",
                              (unsigned char)o->field_manager[i], i);
    check_dry_run(query, errors);
    if (o->field_validation && !str_in(o->field_validation, supported))
        field_not_supported(errors, &validation, value_string(errors->arena, o->field_validation), supported);
}

int options_check_patch(Arena *arena, const ApiOptions *options, ApiError *err) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath manager = FIELD(NULL, "fieldManager"), force = FIELD(NULL, "force");
    if (options->patch_type == PATCH_APPLY) {
        if (str_empty(options->field_manager))
            field_required(&errors, &manager, "is required for apply patch");
    } else if (options->force_set)
        field_forbidden(&errors, &force, "may not be specified for non-apply patch");
    return api_error_invalid(err, "meta.k8s.io", "PatchOptions", "", &errors);
}

int options_read(Arena *arena, const Query *query, ApiVerb verb, ApiOptions *ret, ApiError *err) {
    ApiOptions o = {
        .label_selector = query_get(query, "labelSelector"),
        .field_selector = query_get(query, "fieldSelector"),
        .resource_version = query_get(query, "resourceVersion"),
        .resource_version_match = query_get(query, "resourceVersionMatch"),
        .continue_token = query_get(query, "continue"),
        .allow_watch_bookmarks = query_bool(query, "allowWatchBookmarks"),
        .send_initial_events = query_bool(query, "sendInitialEvents"),
        .send_initial_events_set = query_get(query, "sendInitialEvents") != NULL,
        .field_manager = query_get(query, "fieldManager"),
        .field_validation = query_get(query, "fieldValidation"),
        .dry_run = query_get(query, "dryRun") != NULL,
        .force = query_bool(query, "force"),
        .force_set = query_get(query, "force") != NULL,
    };
    bool lists = verb == API_LIST || verb == API_WATCH || verb == API_DELETE_COLLECTION;
    int r = lists ? options_read_int(query, "limit", &o.limit, err) : 0;
    r = r < 0 || !lists ? r : options_read_int(query, "timeoutSeconds", &o.timeout_seconds, err);
    if (r < 0)
        return r;
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    if (verb == API_CREATE || verb == API_UPDATE || verb == API_PATCH)
        check_writes(query, &o, &errors);
    else if (verb == API_DELETE || verb == API_DELETE_COLLECTION)
        check_dry_run(query, &errors);
    r = api_error_invalid(err, "meta.k8s.io", options_kind(verb), "", &errors);
    if (r == 0)
        *ret = o;
    return r;
}
