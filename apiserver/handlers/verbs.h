/* The verbs of the core, one a file. Each fills *ret or *err. `core` and `request` are borrowed for the call. */
#pragma once

#include "apiserver/handlers/api.h"

typedef int (*api_verb_fn)(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                           ApiError *err);

int verb_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_list(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_update(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_delete(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int verb_delete_collection(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                           ApiError *err);

/* Subresources with a kind of their own. */
int scale_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int scale_update(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int scale_patch(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int binding_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int eviction_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
int token_create(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);
/* Kinds that are computed. Block. */
int component_status_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                         ApiError *err);
int component_status_list(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                          ApiError *err);

/* The part of an object that a subresource of its own kind may change (finalize, approval, ephemeralcontainers,
 * resize): `object` becomes the old one with that part of the new. */
Value *subresource_mask(Arena *arena, const char *subresource, const Value *old, Value *object);
/* A condition of a pod's status is true from now on, or was already. `reason` and `message` may be NULL. */
void pod_condition_true(Arena *arena, Value *pod, const char *type, const char *reason, const char *message,
                        int64_t now_ns);
typedef struct PatchedBody {
    Value *body;
    const Value *strategic_patch, *json_patch; /* as DecodeInput has them */
} PatchedBody;
/* Applies the request's patch to a tree in the form of `schema`. */
int patch_apply(const ApiRequest *request, const Schema *schema, const Value *original, PatchedBody *ret,
                ApiError *err);
/* Of server-side apply: only what the configuration is, for fields that the kind does not have are the merge's to
 * refuse, whatever fieldValidation says. 400. */
int applied_check(const char *api_version, const char *kind, const Value *applied, ApiError *err);
/* Members that came twice are refused or warned of, as fieldValidation says, once merging let the rest pass. 400. */
int applied_check_duplicates(RegistryCall *call, const DuplicateFields *duplicates, ApiError *err);
/* `merged` as its Go type has it: what fits the schema may still be no value of that (a quantity, a time, base64). 500.
 */
int applied_convert(Arena *arena, const Schema *schema, const char *api_version, const char *kind, const Value *applied,
                    Value *merged, ApiError *err);
/* The patched or sent tree names the object of the URL. */
int check_name(const ApiRequest *request, const Value *object, ApiError *err);
/* Moves warnings of a call into the answer. */
void response_take_warnings(ApiResponse *response, const RegistryCall *call);
