/* What a custom resource's structural schema promises beyond the types of values: lists that are sets or maps, embedded
 * resources, and the fields of the scale subresource. In the reference's words. */
#pragma once

#include "api/status.h"

/* Items of sets and keys of maps (x-kubernetes-list-type) that come twice, and items of maps that are no objects. */
void custom_check_lists(const Value *schema, const Value *object, FieldErrors *errors);
/* apiVersion, kind and metadata where x-kubernetes-embedded-resource stands; not those of the object itself. */
void custom_check_embedded(const Value *schema, const Value *object, FieldErrors *errors);
/* Whether the decoder takes the embedded resources of a body as it came: NULL, or what it says of the first that is
 * none, in the arena. */
const char *custom_refuse_embedded(Arena *arena, const Value *schema, const Value *body);
/* Both, of a value at `path` that no decoder has seen (a default): the first that is no resource at all is told alone.
 * False when something was told. */
bool custom_check_undecoded(const Value *schema, const Value *v, const FieldPath *path, FieldErrors *errors);
/* A path of a scale subresource (".spec.replicas"; NULL: none): absent, or a number of replicas. */
void custom_check_replicas(const Value *object, const char *path, FieldErrors *errors);
/* The same for its label selector: absent, or a string. */
void custom_check_selector(const Value *object, const char *path, FieldErrors *errors);
