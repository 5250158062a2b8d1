/* The API server's core: one request in (ApiRequest), one answer out, without HTTP. The HTTP handlers and the
 * in-process transport both call it. Immutable once made; any thread; writes block until they are durable. */
#pragma once

#include "apiserver/registry/decode.h"
#include "auth/jwt.h"
#include "apiserver/registry/registry.h"

typedef struct ApiCore ApiCore;

typedef struct ApiCoreConfig {
    Store *store;                   /* borrowed, as all below */
    struct CustomResources *custom; /* registry/custom_resources.h; NULL: none are served */
    StrategySettings settings;
    AdmissionHooks admission;
    const JwtKey *token_key; /* signs what TokenRequest asks for; NULL: 404 */
    const char *issuer;
    const char *const *audiences;   /* NULL-terminated; the default audiences of tokens */
    int64_t max_expiration_seconds; /* of tokens; 0: none */
    bool extend_expiration;         /* of those the token volume of pods asks for: to a year */
    /* Kinds that are answered and not stored (TokenReview, SubjectAccessReview, ...): whether `object` may be answered;
     * then, once admission has let it through, changes it into the answer. */
    int (*review_check)(void *userdata, const ApiRequest *request, Value *object, ApiError *err);
    void (*review)(void *userdata, const ApiRequest *request, Value *object);
    void *review_userdata;
} ApiCoreConfig;

ApiCore *api_core_new(const ApiCoreConfig *config);
void api_core_free(ApiCore *core);
DEFINE_CLEANUP(ApiCore, api_core_free)
Registry *api_core_registry(ApiCore *core);
/* Where on this machine the components that ComponentStatus tells of have their health checks, when it is not their
 * usual port. Any thread. */
typedef enum ApiComponent { API_CONTROLLERS, API_SCHEDULER } ApiComponent;
#define API_COMPONENTS 2
void api_core_set_component_port(ApiCore *core, ApiComponent component, uint16_t port);
uint16_t api_core_component_port(const ApiCore *core, ApiComponent component);
const ApiCoreConfig *api_core_config(const ApiCore *core);

typedef struct ApiResponse {
    int code;             /* HTTP status */
    Object *object;       /* a reference, storage form, or the version asked for where a webhook converts; or */
    Value *value;         /* a tree with kind and apiVersion, in the request's arena; or */
    const Schema *schema; /* of value */
    bool is_list;
    ObjectList list;
    char **warnings; /* in the arena */
    size_t n_warnings;
} ApiResponse;
void api_response_done(ApiResponse *response);
#define _cleanup_api_response_ _cleanup_(api_response_done)

/* Beside the request: what only the wire knows. May be NULL. */
typedef struct ApiInput {
    const DuplicateFields *duplicates; /* in the body */
} ApiInput;

/* Over a store that other servers write to as well: blocks until this request may be answered from here, as its
 * resourceVersion asks: nothing acknowledged before it is missing, or (a number) that revision is there. Else 504. Done
 * by api_execute; for watches and whoever reads the store for a request otherwise. */
int api_catch_up(ApiCore *core, const ApiRequest *request, ApiError *err);
/* May api_catch_up block? */
bool api_must_catch_up(ApiCore *core, const ApiRequest *request);
/* Is this read more than a look at the store? Then api_execute blocks. */
bool api_read_blocks(const ApiRequest *request);
/* Does everything but watches and connections. *err must be given. */
int api_execute(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret, ApiError *err);

/* The resourceVersion of a read; absent: *ret stays. */
int api_read_revision(const ApiRequest *request, uint64_t *ret, ApiError *err);
/* The store has reached this revision; else 504. */
int api_check_revision(ApiCore *core, uint64_t revision, ApiError *err);

/* Selectors and revision of a list or watch, checked in the reference's words. */
typedef struct ListParameters {
    Selector *labels, *fields;
    uint64_t revision;
    bool revision_set, exact, not_older;
} ListParameters;
void list_parameters_done(ListParameters *parameters);
#define _cleanup_list_parameters_ _cleanup_(list_parameters_done)
int list_parameters_read(const ApiRequest *request, bool watch, ListParameters *ret, ApiError *err);

/* A typed name of apiVersion and kind in front. */
Value *api_value_new(Arena *arena, const char *api_version, const char *kind);
/* Status Success with the details of what was deleted. */
Value *api_success_status(Arena *arena, const Resource *resource, const char *name, const char *uid);
