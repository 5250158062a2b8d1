/* The formats of names, keys and values (k8s.io/apimachinery/pkg/util/validation), each as a check that says what is
 * wrong in the reference's words. Pure; any thread. */
#pragma once

#include "api/status.h"

#define NAME_MESSAGES_MAX 6

typedef struct NameMessages {
    Arena *arena; /* where messages that are put together live */
    const char *items[NAME_MESSAGES_MAX];
    size_t n;
} NameMessages;

/* Adds a message for each way in which `value` is wrong; none when it is fine. */
typedef void (*name_check)(const char *value, NameMessages *messages);

void name_dns_label(const char *value, NameMessages *messages);          /* IsDNS1123Label */
void name_dns_subdomain(const char *value, NameMessages *messages);      /* IsDNS1123Subdomain */
void name_dns1035_label(const char *value, NameMessages *messages);      /* IsDNS1035Label */
void name_wildcard_subdomain(const char *value, NameMessages *messages); /* IsWildcardDNS1123Subdomain */
void name_qualified(const char *value, NameMessages *messages);          /* IsQualifiedName */
void name_label_value(const char *value, NameMessages *messages);        /* IsValidLabelValue */
void name_port(const char *value, NameMessages *messages);               /* IsValidPortName */
void name_percent(const char *value, NameMessages *messages);            /* IsValidPercent */
void name_http_header(const char *value, NameMessages *messages);        /* IsHTTPHeaderName */
void name_env_var(const char *value, NameMessages *messages);        /* IsRelaxedEnvVarName, the default since 1.34 */
void name_env_var_strict(const char *value, NameMessages *messages); /* IsEnvVarName */
void name_config_key(const char *value, NameMessages *messages);     /* IsConfigMapKey */
void name_c_identifier(const char *value, NameMessages *messages);   /* IsCIdentifier */
void name_path_segment(const char *value, NameMessages *messages);   /* path.IsValidPathSegmentName */
void name_path_segment_prefix(const char *value, NameMessages *messages); /* path.IsValidPathSegmentPrefix */

/* All of them in one text, in their arena. */
char *name_messages_text(const NameMessages *messages, const char *separator);
/* True when `value` passes. */
bool name_is_valid(const char *value, name_check check);
/* An Invalid field error for each message. */
void field_check_name(FieldErrors *errors, const FieldPath *path, const char *value, name_check check);
/* 1..65535 and any other closed range. */
void field_check_port(FieldErrors *errors, const FieldPath *path, int64_t port);
void field_check_range(FieldErrors *errors, const FieldPath *path, int64_t value, int64_t low, int64_t high);

/* metav1/validation: a map of labels (errors at the path of the map), a LabelSelector. */
void field_check_labels(FieldErrors *errors, const FieldPath *path, const Value *labels);
void field_check_label_selector(FieldErrors *errors, const FieldPath *path, const Value *selector);
