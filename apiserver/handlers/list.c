#include "apiserver/handlers/verbs.h"
#include "apiserver/registry/convert.h"
#include "apiserver/registry/custom_resources.h"
#include "base/str.h"

#include <errno.h>

void list_parameters_done(ListParameters *parameters) {
    selector_free(parameters->labels);
    selector_free(parameters->fields);
    *parameters = (ListParameters){0};
}

static const char *const matches[] = {"Exact", "NotOlderThan", "", NULL};

static void validate_list_match(const ApiOptions *o, const char *match, bool bad, FieldErrors *errors) {
    FieldPath at = FIELD(NULL, "resourceVersionMatch");
    if (str_empty(o->resource_version))
        field_forbidden(errors, &at, "resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (!str_empty(o->continue_token))
        field_forbidden(errors, &at, "resourceVersionMatch is forbidden when continue is provided");
    if (bad)
        field_not_supported(errors, &at, value_string(errors->arena, match), matches);
    if (streq(match, "Exact") && streq_null(o->resource_version, "0"))
        field_forbidden(errors, &at, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
}

static void validate_watch(const ApiOptions *o, const char *match, FieldErrors *errors) {
    static const char *const only[] = {"NotOlderThan", NULL};
    FieldPath at = FIELD(NULL, "resourceVersionMatch");
    if (o->send_initial_events_set && !streq(match, *only))
        field_forbidden(errors, &at, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (!*match)
        return;
    if (!o->send_initial_events_set)
        field_forbidden(errors, &at,
                        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (!streq(match, *only))
        field_not_supported(errors, &at, value_string(errors->arena, match), only);
    if (!str_empty(o->continue_token))
        field_forbidden(errors, &at, "resourceVersionMatch is forbidden when continue is provided");
}

/* ValidateListOptions of k8s.io/apimachinery/pkg/apis/meta/internalversion/validation. */
static void validate_match(const ApiRequest *request, bool watch, FieldErrors *errors) {
    const ApiOptions *o = &request->options;
    const char *match = o->resource_version_match;
    FieldPath initial = FIELD(NULL, "sendInitialEvents");
    bool bad = match && *match && !str_in(match, matches);
    if (watch)
        return validate_watch(o, str_or(match, ""), errors);
    if (!str_empty(match))
        validate_list_match(o, match, bad, errors);
    if (o->send_initial_events_set)
        field_forbidden(errors, &initial, "sendInitialEvents is forbidden for list");
}

static bool names_fields_plainly(const Resource *resource) {
    /* kinds with a conversion function for their fields say "field label not supported"; the others word it otherwise
     */
    return resource->selectable_fields != NULL;
}

static int check_fields(const ApiRequest *request, const Selector *fields, ApiError *err) {
    const char *unknown = fields ? field_selector_unknown(fields, request->resource) : NULL;
    if (!unknown)
        return 0;
    if (names_fields_plainly(request->resource))
        return api_error_bad_request(err, "field label not supported: %s", unknown);
    return api_error_bad_request(
        err, "\"%s\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", unknown);
}

static int read_revision(const ApiRequest *request, ListParameters *p, ApiError *err) {
    const char *text = request->options.resource_version;
    if (str_empty(text))
        return 0;
    bool watch = request->verb == API_WATCH;
    if (str_to_uint64(text, &p->revision) < 0)
        return api_error_set(err, watch ? 500 : 400, watch ? "" : "BadRequest",
                             "%sresourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid "
                             "syntax",
                             watch ? "" : "invalid resource version: ", text, text);
    p->revision_set = true;
    return 0;
}

int list_parameters_read(const ApiRequest *request, bool watch, ListParameters *ret, ApiError *err) {
    _cleanup_list_parameters_ ListParameters p = {0};
    FieldErrors errors = FIELD_ERRORS_INIT(request->arena);
    int r = label_selector_parse(request->options.label_selector, &p.labels, err);
    r = r < 0 ? r : field_selector_parse(request->options.field_selector, &p.fields, err);
    if (r < 0)
        return r;
    validate_match(request, watch, &errors);
    r = api_error_invalid(err, "meta.k8s.io", "ListOptions", "", &errors);
    r = r < 0 ? r : check_fields(request, p.fields, err);
    r = r < 0 ? r : read_revision(request, &p, err);
    if (r < 0)
        return r;
    convert_field_selector(request->resource, p.fields);
    p.exact = streq_null(request->options.resource_version_match, "Exact");
    p.not_older = streq_null(request->options.resource_version_match, "NotOlderThan");
    *ret = p;
    p = (ListParameters){0};
    return 0;
}

static int too_new(uint64_t revision, uint64_t current, ApiError *err) {
    int r = api_error_set(err, 504, "Timeout", "Timeout: Too large resource version: %llu, current: %llu",
                          (unsigned long long)revision, (unsigned long long)current);
    api_error_cause(err, "ResourceVersionTooLarge", "Too large resource version", NULL);
    err->retry_after = 1;
    return r;
}

int verb_list(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    _cleanup_list_parameters_ ListParameters p = {0};
    Store *store = registry_store(api_core_registry(core));
    int r = list_parameters_read(request, false, &p, err);
    if (r < 0)
        return r;
    if (!str_empty(request->options.continue_token) && p.revision_set && p.revision != 0)
        return api_error_bad_request(err, "specifying resource version is not allowed when using continue");
    uint64_t current = store_revision(store);
    bool any = p.revision_set && p.revision == 0 && str_empty(request->options.continue_token);
    if (p.revision > current)
        return too_new(p.revision, current, err);
    ListQuery query = {
        .resource = request->resource->storage,
        .ns = request->ns,
        .labels = p.labels,
        .fields = p.fields,
        /* "0" asks for whatever is at hand: the reference's cache then knows no pages */
        .limit = request->options.limit > 0 && !any ? (size_t)request->options.limit : 0,
        .continue_token = str_empty(request->options.continue_token) ? NULL : request->options.continue_token,
        .at_revision = p.exact ? p.revision : 0,
    };
    ret->is_list = true;
    return custom_resources_list(store, request->resource, &query, &ret->list, err);
}
