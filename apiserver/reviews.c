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

static int token_review(Reviews *reviews, const ApiRequest *request, Value *object, ApiError *err) {
    Arena *arena = request->arena;
    Value *spec = value_ensure_object(arena, object, "spec"), *status = value_object(arena);
    const char *token = value_get_str(spec, "token"), *why = NULL;
    const char *const *audiences = NULL;
    UserInfo *user = NULL;
    if (str_empty(token))
        return api_error_bad_request(err, "token is required for TokenReview in authentication");
    int r = authenticate_token(reviews->authenticator, token, strings(arena, value_get(spec, "audiences")), arena,
                               &user, &audiences, &why);
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
    value_set(arena, object, "status", status);
    return 0;
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

static int access_review(Reviews *reviews, const ApiRequest *request, Value *object, ReviewKind kind, ApiError *err) {
    Arena *arena = request->arena;
    Value *spec = value_ensure_object(arena, object, "spec"), *status = value_object(arena);
    const Value *resource = value_get(spec, "resourceAttributes"), *path = value_get(spec, "nonResourceAttributes");
    bool self = kind == REVIEW_SELF;
    AuthzAttributes a = {.user = self ? request->user : asked_user(arena, spec)};
    const char *reason = "";
    FieldErrors errors = FIELD_ERRORS_INIT(arena);
    access_review_validate(&errors, object, str_or(request->ns, ""), kind);
    /* The reference's refusals name no kind. */
    int r = api_error_invalid(err, request->resource->group, "", "", &errors);
    if (r < 0)
        return r;
    if (resource)
        fill(resource, &a);
    else {
        a.verb = str_or(value_get_str(path, "verb"), "");
        a.path = str_or(value_get_str(path, "path"), "");
    }
    value_set_bool(arena, status, "allowed", authorizer_allows(reviews->authorizer, &a, arena, &reason));
    if (!str_empty(reason))
        value_set_str(arena, status, "reason", reason);
    const char *ignored = access_review_ignored(arena, resource);
    if (*ignored)
        value_set_str(arena, status, "evaluationError", ignored);
    value_set(arena, object, "status", status);
    return 0;
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

static int rules_review(Reviews *reviews, const ApiRequest *request, Value *object, ApiError *err) {
    static const char *const of_resources[] = {"verbs", "apiGroups", "resources", "resourceNames", NULL};
    static const char *const of_paths[] = {"verbs", "nonResourceURLs", NULL};
    Arena *arena = request->arena;
    Value *status = value_object(arena), *resources = value_array(arena), *paths = value_array(arena), *rules;
    const char *ns = value_get_str(value_get(object, "spec"), "namespace"), *error;
    const Value *rule;
    if (str_empty(ns))
        return api_error_bad_request(err, "no namespace on request");
    bool complete = authorizer_user_rules(reviews->authorizer, request->user, ns, arena, &rules, &error);
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
    /* the reference answers with a new object: nothing of what was sent is in it */
    value_set(arena, object, "metadata", value_object(arena));
    value_set(arena, object, "spec", value_object(arena));
    value_set(arena, object, "status", status);
    return 0;
}

int reviews_answer(void *userdata, const ApiRequest *request, Value *object, ApiError *err) {
    Reviews *reviews = userdata;
    const char *plural = request->resource->plural;
    if (streq(plural, "tokenreviews"))
        return token_review(reviews, request, object, err);
    if (streq(plural, "selfsubjectreviews")) {
        Value *status = value_object(request->arena);
        char time[RFC3339_MAX];
        Value *meta = value_object(request->arena); /* nothing of what was sent */
        value_set(request->arena, object, "metadata", meta);
        value_set_str(request->arena, meta, "creationTimestamp", rfc3339_format(now_realtime_ns(), time));
        value_set(request->arena, status, "userInfo", user_value(request->arena, request->user));
        value_set(request->arena, object, "status", status);
        return 0;
    }
    if (streq(plural, "subjectaccessreviews"))
        return access_review(reviews, request, object, REVIEW_SUBJECT, err);
    if (streq(plural, "localsubjectaccessreviews"))
        return access_review(reviews, request, object, REVIEW_LOCAL, err);
    if (streq(plural, "selfsubjectaccessreviews"))
        return access_review(reviews, request, object, REVIEW_SELF, err);
    if (streq(plural, "selfsubjectrulesreviews"))
        return rules_review(reviews, request, object, err);
    return api_error_set(err, 501, "NotImplemented", "%s are not answered yet", plural);
}
