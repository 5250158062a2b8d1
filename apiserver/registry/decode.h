/* From a decoded body to the tree the engine works on: kind and version checked, strict field validation, normalised,
 * defaulted, in the form of the storage row. */
#pragma once

#include "api/json.h"
#include "apiserver/registry/registry.h"

typedef enum FieldValidation {
    FIELD_VALIDATION_WARN,
    FIELD_VALIDATION_IGNORE,
    FIELD_VALIDATION_STRICT
} FieldValidation;
/* "" and NULL: the default, Warn. */
FieldValidation field_validation_of(const char *text);

typedef struct DecodeInput {
    Value *body;                        /* changed in place */
    const DuplicateFields *duplicates;  /* found by the parser; NULL: none */
    const Resource *resource;           /* as the request names it */
    const Schema *schema;               /* of the kind expected: the resource's or a subresource's */
    const char *group, *version, *kind; /* expected */
    const Value *strategic_patch;       /* the strategic merge patch that made `body`, as merging left it; NULL: another
                                           kind, or none */
    const Value *json_patch;            /* likewise the operations of a JSON patch */
    const Value *patched_from; /* `body` is this with a patch applied: other words for what is wrong; NULL: it is not */
} DecodeInput;
/* How the reference begins to say that it did not find the kind and version in a text. */
#define NO_KIND_PREFIX "couldn't get version/kind; json parse error: "
/* The scheme that knows its kinds, as its messages name it; and what it says of a kind and version it does not know. */
#define REGISTRY_SCHEME "\"pkg/runtime/scheme.go:111\""
#define NO_KIND_REGISTERED "no kind \"%s\" is registered for version \"%s\" in scheme " REGISTRY_SCHEME
/* The scale of a custom resource has a scheme of its own, which does not know a Scale when it words what is wrong with
 * a body: this is all it says, whatever it is. */
int registry_refuse_custom_scale(ApiError *err);
/* What it says of `value` as the kind or apiVersion (`name`) of an object, in the arena; NULL: nothing, it is a text or
 * absent. */
const char *registry_type_error(Arena *arena, const char *name, const Value *value);
/* Kind, version, fields: *ret in the form of the kind expected. Strict violations: 400, or warnings in the call. */
int registry_decode_kind(RegistryCall *call, const DecodeInput *input, Value **ret, ApiError *err);
/* The same, then defaults and conversion to the storage row. */
int registry_decode(RegistryCall *call, const DecodeInput *input, Value **ret, ApiError *err);
/* The Go type of a kind inside the reference: of the package that is named after the group ("core.ConfigMap"). */
const char *registry_internal_type(Arena *arena, const char *group, const char *kind);
void registry_set_defaults(Arena *arena, const Resource *resource, Value *object);
