#include "apiserver/reviews.h"
#include "apiserver/review_validate.h"
#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

static Value *user_value(Arena *arena, const UserInfo *user) {
    Value *v = value_object(arena), *groups = value_array(arena), *extra = value_object(arena);
    if (!user)
        return v;
    value_set_str(arena, v, "username", user->name);
    if (!str_empty(user->uid))
        value_set_str(arena, v, "uid", user->uid);
    for (size_t i = 0; user->groups && user->groups[i]; i++)
        value_append(arena, groups, value_string(arena, user->groups[i]));
    if (groups->len)
        value_set(arena, v, "groups", groups);
    for (size_t i = 0; i < user->n_extra; i++)
        value_append(arena, value_ensure_array(arena, extra, user->extra[i].key),
                     value_string(arena, user->extra[i].value));
    if (extra->len)
        value_set(arena, v, "extra", extra);
    return v;
}

static const char *const *strings(Arena *arena, const Value *list) {
    size_t n = value_len(list);
    const char **out = arena_alloc0(arena, (n + 1) * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = str_or(value_str(value_at(list, i)), "");
    return out;
}

/* One request, and the row it is of. */
typedef struct Asked {
    Reviews *reviews;
    const ApiRequest *request;
    Value *object;
    ReviewKind kind; /* of access reviews */
} Asked;

static int check_token(const Asked *asked, ApiError *err) {
    if (str_empty(value_get_str(value_get(asked->object, "spec"), "token")))
        return api_error_bad_request(err, "token is required for TokenReview in authentication");
    return 0;
}

static void answer_token(const Asked *asked) {
    Arena *arena = asked->request->arena;
    const Value *spec = value_get(asked->object, "spec");
    Value *status = value_object(arena);
    const char *why = NULL;
    const char *const *audiences = NULL;
    UserInfo *user = NULL;
    int r = authenticate_token(asked->reviews->authenticator, value_get_str(spec, "token"),
                               strings(arena, value_get(spec, "audiences")), arena, &user, &audiences, &why);
    if (r == 0) {
        Value *list = value_array(arena);
        value_set_bool(arena, status, "authenticated", true);
        value_set(arena, status, "user", user_value(arena, user));
        for (; audiences && *audiences; audiences++)
            value_append(arena, list, value_string(arena, *audiences));
        value_set(arena, status, "audiences", list);
    } else {
        value_set(arena, status, "user", value_object(arena));
        if (!str_empty(why))
            value_set_str(arena, status, "error", why);
    }
    value_set(arena, asked->object, "status", status);
}

/* The reference answers with a new object: nothing of what was sent is in it. */
static void answer_self(const Asked *asked) {
    Arena *arena = asked->request->arena;
    Value *meta = value_object(arena), *status = value_object(arena);
    char time[RFC3339_MAX];
    value_set(arena, asked->object, "metadata", meta);
    value_set_str(arena, meta, "creationTimestamp", rfc3339_format(now_realtime_ns(), time));
    value_set(arena, status, "userInfo", user_value(arena, asked->request->user));
    value_set(arena, asked->object, "status", status);
}

static UserInfo *asked_user(Arena *arena, const Value *spec) {
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    user->name = str_or(value_get_str(spec, "user"), "");
    user->uid = value_get_str(spec, "uid");
    user->groups = strings(arena, value_get(spec, "groups"));
    return user;
}

static void fill(const Value *from, AuthzAttributes *a) {
    a->is_resource = true;
    a->verb = str_or(value_get_str(from, "verb"), "");
    a->group = str_or(value_get_str(from, "group"), "");
    a->version = str_or(value_get_str(from, "version"), "");
    a->resource = str_or(value_get_str(from, "resource"), "");
    a->subresource = str_or(value_get_str(from, "subresource"), "");
    a->ns = str_or(value_get_str(from, "namespace"), "");
    a->name = str_or(value_get_str(from, "name"), "");
}

static int check_access(const Asked *asked, ApiError *err) {
    const ApiRequest *request = asked->request;
    const char *ns = str_or(meta_get(asked->object, "namespace"), "");
    FieldErrors errors = FIELD_ERRORS_INIT(request->arena);
    access_review_validate(&errors, asked->object, ns, asked->kind);
    /* The reference's refusals name no kind. */
    int r = api_error_invalid(err, request->resource->group, "", "", &errors);
    if (r == 0 && asked->kind == REVIEW_LOCAL && !streq(ns, str_or(request->ns, ""))) /* a webhook changed it */
        return api_error_bad_request(err, "spec.resourceAttributes.namespace must match namespace: %s",
                                     str_or(request->ns, ""));
    return r;
}

static void answer_access(const Asked *asked) {
    Arena *arena = asked->request->arena;
    const Value *spec = value_get(asked->object, "spec"), *resource = value_get(spec, "resourceAttributes"),
                *path = value_get(spec, "nonResourceAttributes");
    Value *status = value_object(arena);
    AuthzAttributes a = {.user = asked->kind == REVIEW_SELF ? asked->request->user : asked_user(arena, spec),
                         .explain = true};
    const char *reason = "";
    if (resource)
        fill(resource, &a);
    else {
        a.verb = str_or(value_get_str(path, "verb"), "");
        a.path = str_or(value_get_str(path, "path"), "");
    }
    value_set_bool(arena, status, "allowed", authorizer_allows(asked->reviews->authorizer, &a, arena, &reason));
    if (!str_empty(reason))
        value_set_str(arena, status, "reason", reason);
    const char *ignored = access_review_ignored(arena, resource);
    if (*ignored)
        value_set_str(arena, status, "evaluationError", ignored);
    value_set(arena, asked->object, "status", status);
}

static Value *list_or_empty(Arena *arena, const Value *rule, const char *name) {
    const Value *list = value_get(rule, name);
    return list ? value_copy(arena, list) : value_array(arena);
}

static void add_rule(Arena *arena, const Value *rule, const char *const *members, Value *list) {
    Value *v = value_object(arena);
    for (; *members; members++) {
        Value *items = list_or_empty(arena, rule, *members);
        if (items->len || streq(*members, "verbs"))
            value_set(arena, v, *members, items);
    }
    value_append(arena, list, v);
}

static int check_rules(const Asked *asked, ApiError *err) {
    if (str_empty(value_get_str(value_get(asked->object, "spec"), "namespace")))
        return api_error_bad_request(err, "no namespace on request");
    return 0;
}

static void answer_rules(const Asked *asked) {
    static const char *const of_resources[] = {"verbs", "apiGroups", "resources", "resourceNames", NULL};
    static const char *const of_paths[] = {"verbs", "nonResourceURLs", NULL};
    Arena *arena = asked->request->arena;
    Value *status = value_object(arena), *resources = value_array(arena), *paths = value_array(arena), *rules;
    const char *ns = value_get_str(value_get(asked->object, "spec"), "namespace"), *error;
    const Value *rule;
    bool complete = authorizer_user_rules(asked->reviews->authorizer, asked->request->user, ns, arena, &rules, &error);
    VALUE_FOREACH (rule, rules) {
        if (value_len(value_get(rule, "resources")))
            add_rule(arena, rule, of_resources, resources);
        if (value_len(value_get(rule, "nonResourceURLs")))
            add_rule(arena, rule, of_paths, paths);
    }
    value_set(arena, status, "resourceRules", resources);
    value_set(arena, status, "nonResourceRules", paths);
    value_set_bool(arena, status, "incomplete", !complete);
    if (error)
        value_set_str(arena, status, "evaluationError", error);
    /* a new object, as in answer_self */
    value_set(arena, asked->object, "metadata", value_object(arena));
    value_set(arena, asked->object, "spec", value_object(arena));
    value_set(arena, asked->object, "status", status);
}

/* ---- the table ---- */

static const struct Row {
    const char *plural;
    ReviewKind kind;
    int (*check)(const Asked *asked, ApiError *err); /* NULL: anything may be answered */
    void (*answer)(const Asked *asked);
} rows[] = {
    {"tokenreviews", 0, check_token, answer_token},
    {"selfsubjectreviews", 0, NULL, answer_self},
    {"subjectaccessreviews", REVIEW_SUBJECT, check_access, answer_access},
    {"localsubjectaccessreviews", REVIEW_LOCAL, check_access, answer_access},
    {"selfsubjectaccessreviews", REVIEW_SELF, check_access, answer_access},
    {"selfsubjectrulesreviews", 0, check_rules, answer_rules},
};

static const struct Row *row_of(const ApiRequest *request) {
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        if (streq(rows[i].plural, request->resource->plural))
            return &rows[i];
    return NULL;
}

int reviews_check(void *userdata, const ApiRequest *request, Value *object, ApiError *err) {
    const struct Row *row = row_of(request);
    if (!row)
        return api_error_set(err, 501, "NotImplemented", "%s are not answered yet", request->resource->plural);
    Asked asked = {userdata, request, object, row->kind};
    return row->check ? row->check(&asked, err) : 0;
}

void reviews_answer(void *userdata, const ApiRequest *request, Value *object) {
    const struct Row *row = row_of(request);
    Asked asked = {userdata, request, object, row->kind};
    row->answer(&asked);
}
