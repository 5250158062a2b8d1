/* The shape of one API request and its answer, without HTTP: what the API server executes and what the client sends.
 * The HTTP handlers, the HTTP client and the in-process transport all speak it. */
#pragma once

#include "api/object.h"
#include "api/status.h"

typedef struct UserInfo {
    const char *name, *uid;
    const char *const *groups; /* NULL-terminated */
    const Pair *extra;         /* key repeated for several values */
    size_t n_extra;
} UserInfo;

typedef enum ApiVerb {
    API_GET,
    API_LIST,
    API_WATCH,
    API_CREATE,
    API_UPDATE,
    API_PATCH,
    API_DELETE,
    API_DELETE_COLLECTION,
    API_CONNECT
} ApiVerb;

typedef enum PatchType { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY } PatchType;

/* Query options of the protocol (metav1 ListOptions, CreateOptions, ...). Strings borrowed; NULL: absent. */
typedef struct ApiOptions {
    const char *label_selector, *field_selector;
    const char *resource_version, *resource_version_match, *continue_token;
    int64_t limit;
    int64_t timeout_seconds; /* watch; 0: the server's choice */
    bool allow_watch_bookmarks, send_initial_events, send_initial_events_set;
    bool dry_run, force, force_set;
    const char *field_manager, *field_validation;
    PatchType patch_type;
    bool metadata_only; /* PartialObjectMetadata will do; a transport on shared objects may give the whole */
} ApiOptions;

typedef struct ApiAccount {
    const char *ns, *name;
} ApiAccount;

typedef struct ApiRequest {
    ApiVerb verb;
    const Resource *resource;
    const char *ns;          /* NULL: cluster-scoped or all namespaces */
    const char *name;        /* NULL: the collection */
    const char *subresource; /* NULL: none */
    /* API_GET of a document of the server's instead of an object (`resource` is NULL): "/api" or "/apis" give
     * aggregated discovery (apidiscovery.k8s.io/v2). NULL: an object. */
    const char *document;
    const UserInfo *user; /* in process: the component's identity */
    const ApiAccount *as; /* the service account that a client's request acts as; NULL: who the transport is */
    const char *user_agent;
    ApiOptions options;
    const Value *body; /* decoded, or NULL */
    Arena *arena;      /* the request's own */
    /* Monotonic: nothing is written after it; 0: none. In the server only. */
    uint64_t deadline_ns;
} ApiRequest;
