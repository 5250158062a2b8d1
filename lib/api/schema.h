/* The schema tables: facts of the published API (Go types, OpenAPI documents and .proto files of Kubernetes v1.36.3),
 * generated into gen/ by hack/update-api. One schema drives strict decoding, normalising (what a Go round trip drops or
 * adds), defaulting, protobuf, strategic merge, server-side apply and OpenAPI. CustomResourceDefinitions make the same
 * structures at run time. Static tables are immutable and shared by all threads. */
#pragma once

#include "api/value.h"

typedef enum SchemaType {
    SCHEMA_STRUCT,
    SCHEMA_MAP,  /* string keys; element */
    SCHEMA_LIST, /* element */
    SCHEMA_STRING,
    SCHEMA_BOOL,
    SCHEMA_INT32,
    SCHEMA_INT64,
    SCHEMA_DOUBLE,
    SCHEMA_BYTES,         /* base64 in JSON */
    SCHEMA_QUANTITY,      /* resource.Quantity: string or number in, canonical string out */
    SCHEMA_INT_OR_STRING, /* intstr.IntOrString */
    SCHEMA_TIME,          /* metav1.Time */
    SCHEMA_MICRO_TIME,    /* metav1.MicroTime */
    SCHEMA_DURATION,      /* metav1.Duration */
    SCHEMA_RAW,           /* runtime.RawExtension: any object, bytes in protobuf */
    SCHEMA_FIELDS_V1,     /* metav1.FieldsV1: any object, bytes in protobuf */
    SCHEMA_JSON,          /* apiextensions JSON: any value */
    SCHEMA_JSON_UNION,    /* JSONSchemaPropsOrBool, OrArray, OrStringArray: any value, `name` says which */
} SchemaType;

typedef enum ListKind { LIST_ATOMIC, LIST_SET, LIST_MAP } ListKind; /* x-kubernetes-list-type */

enum {
    FIELD_OMIT_EMPTY = 1 << 0,  /* Go drops the zero value (json omitempty on a non-pointer, or omitzero) */
    FIELD_POINTER = 1 << 1,     /* a Go pointer: zero is kept, null and absent are dropped */
    FIELD_IS_REQUIRED = 1 << 2, /* in OpenAPI's required list */
    FIELD_MERGE = 1 << 3,       /* strategic patchStrategy merge */
    FIELD_RETAIN_KEYS = 1 << 4,
    FIELD_REPLACE = 1 << 5,
    FIELD_ATOMIC = 1 << 6, /* x-kubernetes-map-type: atomic, or an atomic list */
    FIELD_INLINE = 1 << 7, /* comes from an embedded Go struct: flattened in JSON, see Schema.inlines for protobuf */
    FIELD_WRITE_NULL =
        1 << 8,               /* Go writes null when it is absent (nil pointer, slice, map or time without omitempty) */
    FIELD_OMIT_ZERO = 1 << 9, /* json omitzero on a struct: dropped when all of it is zero */
    FIELD_GRANULAR = 1 << 10, /* x-kubernetes-map-type: granular; of a struct, though it is atomic elsewhere */
    FIELD_ZERO_DEFAULT = 1 << 11, /* OpenAPI default: the type's zero value, as Go always has one */
};

enum { SCHEMA_FIELDS_MAX = 64 }; /* fields of one struct of the published API; the largest has 44 */

typedef struct Schema Schema;

typedef struct SchemaField {
    const char *name; /* interned: compare by content, store by pointer */
    const Schema *schema;
    const char *default_json;    /* OpenAPI default, as JSON text; NULL: none */
    const char *patch_merge_key; /* strategic merge; NULL: none */
    uint16_t number;             /* protobuf; 0: not in the message */
    uint16_t flags;
    uint32_t description; /* see schema_description; 0: none */
} SchemaField;

/* An embedded struct: flattened into fields[first .. first+count) of the outer one (with number 0 there), but in
 * protobuf a message of its own, numbered in `schema`. */
typedef struct SchemaInline {
    const Schema *schema;
    const char *go_name; /* as the decoder's messages name it: VolumeSource */
    uint16_t number;     /* 0: not in the message (TypeMeta) */
    uint16_t first, count;
} SchemaInline;

struct Schema {
    SchemaType type;
    const char *name;    /* io.k8s.api.core.v1.PodSpec; NULL for anonymous */
    const char *go_type; /* as the reference's messages print it: v1.PodSpec, []string; NULL for custom resources */
    const SchemaField *fields; /* SCHEMA_STRUCT: in Go's order of declaration (the order of encoded JSON) */
    const uint16_t *by_name;   /* indexes into fields, sorted by name, for binary search */
    uint16_t n_fields;
    const SchemaInline *inlines;
    uint16_t n_inlines;
    uint16_t n_by_number;
    const uint16_t *by_number; /* what protobuf has, by number: i < n_fields is fields[i], else inlines[i - n_fields] */
    bool has_defaults;         /* some field below has default_json (set in the static tables only) */
    bool list_wrapped; /* SCHEMA_LIST: in protobuf a message { repeated T items = 1; } (authentication's ExtraValue) */
    uint32_t description;      /* see schema_description; 0: none */
    const Schema *element;     /* SCHEMA_MAP and SCHEMA_LIST */
    bool element_pointer;      /* null elements are kept */
    bool element_zero_default; /* as FIELD_ZERO_DEFAULT, of each element */
    bool list_unmarked;        /* has no x-kubernetes-list-type (which means LIST_ATOMIC) */
    ListKind list_kind;
    const char *const *list_map_keys; /* LIST_MAP; NULL-terminated */
    bool map_atomic;                  /* struct or map with x-kubernetes-map-type: atomic */
    bool preserve_unknown;            /* unknown members are kept (custom resources) */
    bool free_form;                   /* unknown members may be applied, and are then dropped unless they are kept */
    const char *const *enum_values;   /* NULL: any; NULL-terminated */
    const char *format;               /* OpenAPI format; NULL: none */
    const char *unions;               /* x-kubernetes-unions as JSON; NULL: none */
};

/* NULL when the struct has no such field. */
const SchemaField *schema_field(const Schema *schema, const char *name, size_t len);
/* By OpenAPI definition name (io.k8s.api.core.v1.Pod); NULL when unknown. */
const Schema *schema_by_name(const char *name);

/* What a type or field is for, in this project's words (descriptions/): plain ASCII without quotes or backslashes. In
 * the tables a text is an offset and no pointer, as a pointer would be memory of every process that has the tables. */
extern const char schema_descriptions[];
/* NULL for 0. */
static inline const char *schema_description(uint32_t offset) {
    return offset ? schema_descriptions + offset : NULL;
}
