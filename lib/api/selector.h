/* Label and field selectors: parsed once, matched against objects without allocating. Immutable; any thread. Messages
 * follow k8s.io/apimachinery/pkg/labels and /fields. */
#pragma once

#include "api/object.h"
#include "api/status.h"

typedef struct Selector Selector;
#define SELECTOR_TEXT_MAX 65536

/* Whether `key` is a label key (a qualified name) and `value` a label value; what is wrong is appended to `why` in the
 * reference's words, several joined by "; ". */
bool label_key_check(const char *key, Buf *why);
bool label_value_check(const char *value, Buf *why);

/* "a=b,c in (d,e),!f"; "" or NULL selects everything (gives NULL, which matches all). err: 400 with the reference's
 * text. */
int label_selector_parse(const char *text, Selector **ret, ApiError *err);
/* A metav1.LabelSelector object: absent (NULL) selects nothing, {} everything. */
int label_selector_from_value(const Value *label_selector, Selector **ret);
/* A plain map as in Service.spec.selector; empty selects everything. */
Selector *label_selector_from_map(const Value *map);
/* "spec.nodeName=n1,status.phase!=Failed" */
int field_selector_parse(const char *text, Selector **ret, ApiError *err);
void selector_free(Selector *selector);
DEFINE_CLEANUP(Selector, selector_free)

bool label_selector_matches(const Selector *selector, const Object *object);
bool label_selector_matches_value(const Selector *selector, const Value *labels); /* a map of strings; NULL is empty */
bool field_selector_matches(const Selector *selector, const Object *object);
/* The first field of the selector that `resource` does not know, or NULL. */
const char *field_selector_unknown(const Selector *selector, const Resource *resource);
/* Whether it asks for nothing but names and namespaces, which are the same in every version. NULL does. */
bool field_selector_is_of_metadata(const Selector *selector);
/* Before its first use: the field `from`, and what lies under it, is called `to`. */
void field_selector_rename(Selector *selector, const char *from, const char *to);
/* When the selector requires exactly one value of `field` (as spec.nodeName=n1), that value; else NULL. */
const char *selector_exact(const Selector *selector, const char *field);
/* Canonical text, as in scale.status.selector. */
void selector_write(Buf *out, const Selector *selector);
