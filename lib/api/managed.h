/* metadata.managedFields: who owns which field. What k8s.io/apimachinery/pkg/util/managedfields does on every write:
 * managed_update on create, update and patches other than apply; managed_apply for server-side apply. All trees have
 * the form of the request's version; what entries of other versions own is looked up in the form of theirs. */
#pragma once

#include "api/fieldset.h"
#include "api/schema.h"
#include "api/status.h"

#define MANAGED_UPDATERS_MAX 10 /* older Update entries are folded into "ancient-changes" */
#define FIELD_MANAGER_MAX 128   /* bytes of a manager's name */

typedef struct ManagedInput {
    const Schema *schema;
    const char *api_version; /* of the request: "apps/v1" */
    const char *manager;     /* managed_name() */
    const char *subresource; /* "status"; NULL or "" for the resource itself */
    int64_t now_ns;          /* wall time */
    /* Paths this endpoint does not write, dotted and NULL-terminated ("status", "metadata.labels"); NULL: none. The
     * strategy's GetResetFields of the reference. */
    const char *const *reset_fields;
    bool resets_own_version; /* reset_fields holds for the request's version, not for what entries of others own */
    bool custom;             /* a custom resource: no Go type whose zero value a new object starts from */
    bool force;              /* managed_apply: take fields from other managers */
    /* `object`, at version `from` ("apps/v1"), as it is at `to`: the schema of that, and *ret in the arena; of a custom
     * resource with empty maps and lists where it had them, which count as fields. -ENOENT: there is no such version,
     * and what its entries say is forgotten. Other errors: in `err`, the reason. No function: entries of other versions
     * are read as if they were of the request's. */
    int (*convert)(void *userdata, Arena *arena, const char *from, const char *to, const Value *object,
                   const Schema **ret_schema, Value **ret, ApiError *err);
    void *userdata;
} ManagedInput;

/* ?fieldManager= when given, else the part of the user agent before the slash, printable and cut to FIELD_MANAGER_MAX.
 */
char *managed_name(Arena *arena, const char *field_manager, const char *user_agent);

/* Sets metadata.managedFields of `object`, a normalised and defaulted tree at input->api_version as the request wants
 * it. `live`: the same object as it is now (with its managedFields), or NULL on create. managedFields that the client
 * sent in `object` are taken when they are valid, the live ones otherwise; [{}] or, but for custom resources, [] starts
 * afresh; through a subresource they are ignored. When something cannot be converted to the version of an entry, or a
 * custom resource does not fit its schema, no managedFields are left. */
void managed_update(Arena *arena, const ManagedInput *input, const Value *live, Value *object);

/* Server-side apply. `applied` is the configuration as decoded (not normalised). *ret is a new tree with managedFields
 * set, to be normalised and defaulted by the caller; *ret_changed tells whether anything but managedFields differs from
 * live. `live` NULL: the object does not exist. Errors: 400 (managedFields in the configuration, wrong version), 409
 * with a cause for each conflict, 500 with the reference's message when the configuration does not fit the schema or
 * something cannot be converted to the version of an entry. */
int managed_apply(Arena *arena, const ManagedInput *input, const Value *live, const Value *applied, Value **ret,
                  bool *ret_changed, ApiError *err);

/* Checks managedFields after mutating admission or in a request: NULL, or why they are not valid. */
const char *managed_invalid(Arena *arena, const Value *managed_fields);

/* Of a write that changed nothing but times in managedFields nothing is left: puts the managedFields of `live` back and
 * returns true. To be called on update, patch and apply after admission, with both trees normalised; metadata.
 * resourceVersion is not compared. */
bool managed_restore_times(const Value *live, Value *object);
