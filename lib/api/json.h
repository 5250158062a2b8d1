/* Decoders into Value trees. Limits: the arena's limit bounds memory, JSON_DEPTH_MAX the nesting. Duplicate members:
 * the last wins, as in encoding/json; each is reported to `duplicates` when given (strict field validation). Invalid
 * UTF-8 becomes U+FFFD as in Go. Errors: -EBADMSG with the reference's message in *err_message (in the arena; may be
 * NULL), -ENOMEM past the arena's limit, -ELOOP for depth. */
#pragma once

#include "api/value.h"

#define JSON_DEPTH_MAX 200 /* the reference refuses at 10,000; no API type nests deeper than some 30 */

typedef struct DuplicateFields { /* in the arena */
    char **messages; /* duplicate field "spec.replicas"; of YAML: line 3: key "replicas" already set in map */
    uint32_t *at;    /* json_parse only: where in the text each is */
    size_t n;
    char *yaml_message; /* yaml_parse only: all of them in the words of the reference's strict YAML decoder */
} DuplicateFields;

int json_parse(Arena *arena, const char *text, size_t len, Value **ret, DuplicateFields *duplicates,
               char **err_message);
/* One YAML document (JSON is one too). Aliases are expanded at most to YAML_ALIAS_MAX values in all and cycles are
 * refused. Scalars resolve as in sigs.k8s.io/yaml v1.1 rules (yes/no/on/off are booleans). */
#define YAML_ALIAS_MAX 100000
int yaml_parse(Arena *arena, const char *text, size_t len, Value **ret, DuplicateFields *duplicates,
               char **err_message);
/* Every document of a stream (manifests, kubeconfig), empty ones left out: an array value. */
int yaml_parse_all(Arena *arena, const char *text, size_t len, Value **ret_array, char **err_message);
