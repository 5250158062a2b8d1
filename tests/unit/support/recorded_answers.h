/* Requests with what kube-apiserver v1.36.3 answered to them (tests/golden/registry/NAME.jsonl, a line each: path,
 * method, type and body; status, causes, warnings, generation; or in place of causes `ends`, how the message of a
 * refusal ends), through a registry, in order, because later ones change
 * what earlier ones made. Causes are compared as sets: some of the reference's come in the order of a Go map. */
#pragma once

#include "apiserver/registry/convert.h"
#include "apiserver/registry/decode.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

typedef struct Answer {
    int status;
    int64_t generation;
    Value *object; /* in the request's arena; NULL: refused */
    ApiError err;
    char **warnings;
    size_t n_warnings;
} Answer;

static void answer_done(Answer *answer) {
    api_error_done(&answer->err);
}
#define _cleanup_answer_ _cleanup_(answer_done)

static DecodeInput decode_input(const ApiRequest *request, Value *body) {
    const Resource *resource = request->resource;
    return (DecodeInput){.body = body,
                         .resource = resource,
                         .schema = resource->schema,
                         .group = resource->group,
                         .version = resource->version,
                         .kind = resource->kind};
}

typedef struct Patch {
    RegistryCall *call;
    bool whole, strategic;
} Patch;

static int transform(void *userdata, const Value *old, Value **ret, ApiError *err) {
    Patch *patch = userdata;
    const ApiRequest *request = patch->call->request;
    Value *patched = NULL;
    int r = 0;
    if (patch->whole) {
        DecodeInput whole = decode_input(request, value_copy(request->arena, request->body));
        return registry_decode(patch->call, &whole, ret, err);
    }
    Value *base =
        convert_object(request->arena, patch->call->resource, request->resource, value_copy(request->arena, old));
    if (patch->strategic)
        r = strategic_merge_apply(request->arena, request->resource->schema, base, request->body, &patched, err);
    else
        r = merge_patch_apply(request->arena, base, request->body, &patched);
    if (r < 0)
        return r;
    DecodeInput input = decode_input(request, patched);
    input.patched_from = base;
    input.strategic_patch = patch->strategic ? request->body : NULL;
    return registry_decode(patch->call, &input, ret, err);
}

/* Each once, as the front door sends them. */
static void take_warnings(const StrategyContext *context, Answer *ret) {
    ret->warnings = arena_alloc(context->arena, (context->n_warnings + 1) * sizeof *ret->warnings);
    for (size_t i = 0; i < context->n_warnings; i++) {
        bool seen = false;
        for (size_t j = 0; j < ret->n_warnings && !seen; j++)
            seen = streq(ret->warnings[j], context->warnings[i]);
        if (!seen)
            ret->warnings[ret->n_warnings++] = context->warnings[i];
    }
}

/* A POST when the request has no name; else a PUT, or a patch of this content type (NULL: a merge patch). */
static void ask(Registry *registry, const ApiRequest *request, const char *method, const char *type, Answer *ret) {
    _cleanup_registry_result_ RegistryResult result = {0};
    RegistryCall call;
    int r;
    registry_call_init(&call, registry, request);
    if (request->name) {
        Patch patch = {&call, method && streq(method, "PUT"), type && str_has_prefix(type, "application/strategic")};
        RegistryUpdate update = {.transform = transform, .userdata = &patch};
        r = registry_update(&call, &update, &result, &ret->err);
    } else {
        Value *object;
        DecodeInput input = decode_input(request, value_copy(request->arena, request->body));
        r = registry_decode(&call, &input, &object, &ret->err);
        r = r < 0 ? r : registry_create(&call, object, &result, &ret->err);
    }
    ret->status = r < 0 ? ret->err.code : request->name ? 200 : 201;
    take_warnings(&call.context, ret);
    if (r < 0)
        return;
    ret->object = object_value(result.object, request->arena);
    ret->generation = value_get_int(value_get(ret->object, "metadata"), "generation", 0);
}

/* "/apis/apps/v1/namespaces/NS/deployments/NAME/status"; namespaces have the same form without a namespace. */
static void read_path(ApiRequest *request, const char *path) {
    size_t n, i = 2;
    char **parts = str_split(request->arena, path, '/', &n);
    const char *group = streq(parts[1], "apis") ? parts[i++] : "", *version = parts[i++];
    if (streq(parts[i], "namespaces") && n > i + 2 && !streq(parts[i + 2], "status")) {
        request->ns = parts[i + 1];
        i += 2;
    }
    request->resource = resource_find(group, version, parts[i]);
    assert_non_null(request->resource);
    request->name = n > i + 1 ? parts[i + 1] : NULL;
    request->subresource = n > i + 2 ? parts[i + 2] : NULL;
}

/* uids differ from those of the recording: any one is as good as "<uid>". */
static bool same_text(const char *want, const char *have) {
    for (; *want && *have; want++, have++) {
        if (str_has_prefix(want, "<uid>") && strlen(have) >= 36 && have[8] == '-' && have[13] == '-') {
            want += strlen("<uid>") - 1;
            have += 35;
        } else if (*want != *have)
            return false;
    }
    return *want == *have;
}

static bool has_cause(const ApiError *err, const Value *want) {
    for (size_t i = 0; i < err->n_causes; i++)
        if (same_text(value_str(value_at(want, 0)), err->causes[i].reason) &&
            same_text(str_or(value_str(value_at(want, 1)), ""), str_or(err->causes[i].field, "")) &&
            same_text(value_str(value_at(want, 2)), err->causes[i].message))
            return true;
    return false;
}

/* Prints what differs; false when something does. */
static bool compare(const Value *line, const Answer *answer) {
    const char *name = value_get_str(line, "name");
    const Value *causes = value_get(line, "causes"), *warnings = value_get(line, "warnings"), *cause;
    bool same = true;
#define DIFFERS(...) (same = false, print_error("%s: ", name), print_error(__VA_ARGS__))
    if (answer->status != value_get_int(line, "status", 0))
        DIFFERS("status %d, not %d: %s\n", answer->status, (int)value_get_int(line, "status", 0),
                str_or(answer->err.message, ""));
    const char *ends = value_get_str(line, "ends");
    if (ends && !str_has_suffix(str_or(answer->err.message, ""), ends))
        DIFFERS("not \"... %s\": %s\n", ends, str_or(answer->err.message, ""));
    if (answer->status == 422 && !ends) {
        if (answer->err.n_causes != value_len(causes))
            DIFFERS("%zu causes, not %zu: %s\n", answer->err.n_causes, value_len(causes), answer->err.message);
        VALUE_FOREACH (cause, causes)
            if (!has_cause(&answer->err, cause))
                DIFFERS("no cause %s: %s\n", value_str(value_at(cause, 1)), value_str(value_at(cause, 2)));
    }
    if (answer->n_warnings != value_len(warnings))
        DIFFERS("%zu warnings, not %zu\n", answer->n_warnings, value_len(warnings));
    for (size_t i = 0; i < answer->n_warnings && i < value_len(warnings); i++)
        if (!same_text(value_str(value_at(warnings, i)), answer->warnings[i]))
            DIFFERS("warning %zu: %s\n", i, answer->warnings[i]);
    if (answer->status < 300 && answer->generation != value_get_int(line, "generation", 0))
        DIFFERS("generation %d, not %d\n", (int)answer->generation, (int)value_get_int(line, "generation", 0));
#undef DIFFERS
    return same;
}

static bool run_line(Registry *registry, const char *text, size_t len) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const UserInfo user = {.name = "admin"};
    Value *line;
    char *why = NULL;
    _cleanup_answer_ Answer answer = {0};
    assert_int_equal(json_parse(arena, text, len, &line, NULL, &why), 0);
    ApiRequest request = {.arena = arena, .user = &user, .user_agent = "test", .body = value_get(line, "body")};
    read_path(&request, value_get_str(line, "path"));
    ask(registry, &request, value_get_str(line, "method"), value_get_str(line, "type"), &answer);
    return compare(line, &answer);
}

/* Fails when an answer differs (all that do are printed), or there are fewer than `least`. */
static void run_recorded(Registry *registry, const char *path, size_t least) {
    _cleanup_free_ char *line = NULL;
    size_t cap = 0, n = 0, differ = 0;
    FILE *golden = fopen(path, "re");
    assert_non_null(golden);
    for (ssize_t len; (len = getline(&line, &cap, golden)) > 0; n++)
        differ += !run_line(registry, line, (size_t)len);
    fclose(golden);
    assert_true(n >= least);
    assert_int_equal(differ, 0);
}
