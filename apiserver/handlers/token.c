/* TokenRequest: a signed token for a service account (pkg/registry/core/serviceaccount/storage/token.go). */
#include "apiserver/handlers/verbs.h"
#include "api/gen/schemas.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>

#define EXPIRATION_DEFAULT 3600
#define EXPIRATION_MIN 600
#define EXPIRATION_MAX ((int64_t)1 << 32)
#define EXPIRATION_POD 3607                   /* asked for by the token volume of old clients: */
#define EXPIRATION_EXTENDED (365 * 24 * 3600) /* they do not read it again, so it lives a year and warns */

static int validate(Arena *arena, const Value *request, ApiError *err) {
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    FieldPath spec = FIELD(NULL, "spec"), at = FIELD(&spec, "expirationSeconds");
    int64_t seconds = value_get_int(value_get(request, "spec"), "expirationSeconds", EXPIRATION_DEFAULT);
    if (seconds < EXPIRATION_MIN)
        field_invalid(&errors, &at, value_int(arena, seconds), "may not specify a duration less than 10 minutes");
    if (seconds > EXPIRATION_MAX)
        field_invalid(&errors, &at, value_int(arena, seconds), "may not specify a duration larger than 2^32 seconds");
    return api_error_invalid(err, "authentication.k8s.io", "TokenRequest", "", &errors);
}

/* The account is named by the path; the body may name it too. */
static int check_account(RegistryCall *call, const Value *body, ApiError *err) {
    const char *name = meta_get(body, "name"), *ns = meta_get(body, "namespace");
    FieldErrors errors = FIELD_ERRORS_INIT(call->context.arena);
    FieldPath meta = FIELD(NULL, "metadata"), name_at = FIELD(&meta, "name"), ns_at = FIELD(&meta, "namespace");
    if (!str_empty(name) && !streq(name, call->request->name))
        field_invalid_str(&errors, &name_at, name, "must match the service account name if specified");
    else if (!str_empty(ns) && !streq_null(ns, call->request->ns))
        field_invalid_str(&errors, &ns_at, ns, "must match the service account namespace if specified");
    return api_error_invalid(err, "authentication.k8s.io", "TokenRequest", call->request->name, &errors);
}

static int bound_object(RegistryCall *call, const Value *ref, ServiceAccountToken *token, ApiError *err) {
    const char *kind = str_or(value_get_str(ref, "kind"), ""), *version = str_or(value_get_str(ref, "apiVersion"), "");
    const char *name = str_or(value_get_str(ref, "name"), ""), *uid = value_get_str(ref, "uid");
    bool is_pod = streq(kind, "Pod"), is_secret = streq(kind, "Secret"), is_node = streq(kind, "Node");
    bool core = !strchr(version, '/');
    if (!core || (!is_pod && !is_secret && !is_node))
        return api_error_bad_request(err, "cannot bind token to object of type %s%s, Kind=%s", core ? "/" : "", version,
                                     kind);
    const char *plural = is_pod ? "pods" : is_secret ? "secrets" : "nodes";
    _cleanup_object_ Object *object = NULL;
    int r = store_get(registry_store(call->registry), resource_find("", "v1", plural), is_node ? "" : call->request->ns,
                      name, &object);
    if (r < 0)
        return r == -ENOENT ? api_error_not_found(err, "", plural, name) : registry_store_error(call, name, r, err);
    if (!str_empty(uid) && !streq(uid, object_uid(object)))
        return api_error_conflict(err, "", plural, name,
                                  arena_printf(call->context.arena,
                                               "the UID in the bound object reference (%s) does not match the UID in "
                                               "record. The object might have been deleted and then recreated",
                                               uid));
    uid = arena_strdup(call->context.arena, object_uid(object));
    if (is_pod) {
        Value *pod = object_value(object, call->context.arena);
        const char *account = value_get_str(value_get(pod, "spec"), "serviceAccountName");
        if (!streq_null(account, call->request->name))
            return api_error_bad_request(
                err, "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount name.",
                call->request->name);
        token->pod_name = name, token->pod_uid = uid;
        const char *node = value_get_str(value_get(pod, "spec"), "nodeName");
        _cleanup_object_ Object *found = NULL;
        if (!str_empty(node) &&
            store_get(registry_store(call->registry), resource_find("", "v1", "nodes"), "", node, &found) == 0)
            token->node_uid = arena_strdup(call->context.arena, object_uid(found));
        token->node_name = str_empty(node) ? NULL : node;
    } else if (is_secret)
        token->secret_name = name, token->secret_uid = uid;
    else
        token->node_name = name, token->node_uid = uid;
    return 0;
}

static const char *const *audiences_of(Arena *arena, const Value *spec, const char *const *otherwise) {
    const Value *list = value_get(spec, "audiences");
    size_t n = value_len(list);
    if (!n)
        return otherwise;
    const char **out = arena_alloc0(arena, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = str_or(value_str(value_at(list, i)), "");
    return out;
}

static bool are_ours(const char *const *audiences, const char *const *ours) {
    while (*audiences && str_in(*audiences, ours))
        audiences++;
    return !*audiences;
}

static void shorten(RegistryCall *call, int64_t max, Value *request, ServiceAccountToken *token) {
    if (!max || token->expiration_seconds <= max)
        return;
    strategy_warn(&call->context, "requested expiration of %" PRId64 " seconds shortened to %" PRId64 " seconds",
                  token->expiration_seconds, max);
    token->expiration_seconds = max;
    value_set_int(call->context.arena, value_get(request, "spec"), "expirationSeconds", max);
}

static void track_fields(RegistryCall *call, Value *body) {
    ManagedInput managed;
    registry_managed_input(call, &managed);
    managed.schema = &schema_authentication_v1_TokenRequest;
    managed.api_version = "authentication.k8s.io/v1";
    managed.reset_fields = NULL;
    managed.convert = NULL;
    managed_update(call->context.arena, &managed, NULL, body);
}

static void answer(Arena *arena, Value *request, const Object *account, const ServiceAccountToken *token, char *text,
                   ApiResponse *ret) {
    char time[RFC3339_MAX];
    Value *spec = value_ensure_object(arena, request, "spec"), *status = value_ensure_object(arena, request, "status");
    Value *audiences = value_array(arena), *meta = meta_ensure(arena, request);
    for (const char *const *a = token->audiences; *a; a++)
        value_append(arena, audiences, value_string(arena, *a));
    value_set(arena, spec, "audiences", audiences);
    value_set_str(arena, meta, "name", object_name(account));
    value_set_str(arena, meta, "uid", object_uid(account));
    value_set_str(arena, meta, "namespace", object_namespace(account));
    value_set_str(arena, meta, "creationTimestamp", rfc3339_format(now_realtime_ns(), time));
    value_set_str(arena, status, "token", text);
    int64_t lifetime = token->warn_after_seconds ? token->warn_after_seconds : token->expiration_seconds;
    value_set_str(arena, status, "expirationTimestamp",
                  rfc3339_format((token->now_seconds + lifetime) * (int64_t)NS_PER_SEC, time));
    ret->value = request;
    ret->schema = &schema_authentication_v1_TokenRequest;
}

static int decode(RegistryCall *call, const ApiInput *input, Value **ret, ApiError *err) {
    DecodeInput in = {
        .body = value_copy(call->context.arena, call->request->body),
        .duplicates = input->duplicates,
        .resource = call->request->resource,
        .schema = &schema_authentication_v1_TokenRequest,
        .group = "authentication.k8s.io",
        .version = "v1",
        .kind = "TokenRequest",
    };
    int r = registry_decode_kind(call, &in, ret, err);
    if (r < 0)
        return r;
    Value *spec = value_ensure_object(call->context.arena, *ret, "spec");
    if (!value_is(value_get(spec, "expirationSeconds"), VALUE_INT))
        value_set_int(call->context.arena, spec, "expirationSeconds", EXPIRATION_DEFAULT);
    return validate(call->context.arena, *ret, err);
}

int token_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err) {
    const ApiCoreConfig *config = api_core_config(core);
    RegistryCall call;
    _cleanup_object_ Object *account = NULL;
    _cleanup_(wipe_freep) char *text = NULL;
    Value *body;
    registry_call_init(&call, api_core_registry(core), request);
    if (!config->token_key)
        return api_error_not_found(err, "", "serviceaccounts/token", request->name);
    int r = decode(&call, input, &body, err);
    r = r < 0 ? r : check_account(&call, body, err);
    r = r < 0 ? r : registry_get(&call, str_or(request->ns, ""), request->name, &account, err);
    if (r < 0)
        return r;
    const char *uid = meta_get(body, "uid");
    if (!str_empty(uid) && !streq(uid, object_uid(account)))
        return api_error_conflict(err, "authentication.k8s.io", "TokenRequest", request->name,
                                  arena_printf(request->arena,
                                               "the UID in the token request (%s) does not match the UID of the "
                                               "service account (%s)",
                                               uid, object_uid(account)));
    track_fields(&call, body);
    r = registry_admit_create(&call, body, request->name, err);
    if (r < 0)
        return r;
    const Value *spec = value_get(body, "spec"), *ref = value_get(spec, "boundObjectRef");
    ServiceAccountToken token = {
        .issuer = config->issuer,
        .audiences = audiences_of(request->arena, spec, config->audiences),
        .ns = object_namespace(account),
        .name = object_name(account),
        .uid = object_uid(account),
        .now_seconds = call.context.now_ns / (int64_t)NS_PER_SEC,
        .expiration_seconds = value_get_int(spec, "expirationSeconds", EXPIRATION_DEFAULT),
    };
    if (!value_is_empty(ref))
        r = bound_object(&call, ref, &token, err);
    if (r < 0)
        return r;
    shorten(&call, config->max_expiration_seconds, body, &token);
    if (config->extend_expiration && token.expiration_seconds == EXPIRATION_POD && token.pod_name &&
        are_ours(token.audiences, config->audiences)) {
        token.warn_after_seconds = token.expiration_seconds;
        token.expiration_seconds = EXPIRATION_EXTENDED;
    }
    r = jwt_sign(config->token_key, service_account_claims(request->arena, &token), &text);
    if (r < 0)
        return api_error_from_errno(err, r, "signing the token");
    answer(request->arena, body, account, &token, text, ret);
    response_take_warnings(ret, &call);
    return 0;
}
