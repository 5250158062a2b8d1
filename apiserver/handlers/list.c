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
    bool from_now = str_empty(o->resource_version) || streq(o->resource_version, "0");
    if (!*match && !o->send_initial_events_set && from_now)
        match = *only; /* such a watch begins with what there is */
    else if (o->send_initial_events_set && !streq(match, *only))
        field_forbidden(errors, &at, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (!*match)
        return;
    if (!o->send_initial_events_set && !str_empty(o->resource_version_match))
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

int api_read_revision(const ApiRequest *request, uint64_t *ret, ApiError *err) {
    const char *text = request->options.resource_version;
    bool lists = request->verb == API_LIST || request->verb == API_DELETE_COLLECTION;
    int r = str_empty(text) ? 0 : str_to_uint64(text, ret);
    if (r < 0)
        return api_error_set(err, lists ? 400 : 500, lists ? "BadRequest" : "",
                             "%sresourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": %s",
                             lists ? "invalid resource version: " : "", text, text,
                             r == -ERANGE ? "value out of range" : "invalid syntax");
    return 0;
}

int api_check_revision(ApiCore *core, uint64_t revision, ApiError *err) {
    uint64_t current = store_revision(registry_store(api_core_registry(core)));
    if (revision <= current)
        return 0;
    int r = api_error_set(err, 504, "Timeout", "Timeout: Too large resource version: %llu, current: %llu",
                          (unsigned long long)revision, (unsigned long long)current);
    api_error_cause(err, "ResourceVersionTooLarge", "Too large resource version", NULL);
    err->retry_after = 1;
    return r;
}

/* A list goes on at the revision of its token: nothing else may be said about it. */
static int check_continue(const ApiRequest *request, ApiError *err) {
    const ApiOptions *o = &request->options;
    if (str_empty(o->continue_token))
        return 0;
    int r = store_check_continue(request->resource->storage, request->ns, o->continue_token, err);
    if (r == 0 && !str_empty(o->resource_version) && !streq(o->resource_version, "0"))
        return api_error_bad_request(err, "specifying resource version is not allowed when using continue");
    return r;
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
    r = r < 0 || watch ? r : check_continue(request, err);
    r = r < 0 ? r : api_read_revision(request, &p.revision, err);
    if (r < 0)
        return r;
    p.revision_set = !str_empty(request->options.resource_version);
    convert_field_selector(request->resource, p.fields);
    p.exact = streq_null(request->options.resource_version_match, "Exact");
    p.not_older = streq_null(request->options.resource_version_match, "NotOlderThan");
    bool pages = request->options.limit > 0 || request->verb == API_DELETE_COLLECTION;
    p.exact |= pages && !p.not_older && p.revision > 0; /* what no match meant before there were any */
    *ret = p;
    p = (ListParameters){0};
    return 0;
}

int verb_list(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    (void)input;
    _cleanup_list_parameters_ ListParameters p = {0};
    Store *store = registry_store(api_core_registry(core));
    int r = list_parameters_read(request, false, &p, err);
    r = r < 0 ? r : api_check_revision(core, p.revision, err);
    if (r < 0)
        return r;
    bool any = p.revision_set && p.revision == 0 && str_empty(request->options.continue_token);
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
