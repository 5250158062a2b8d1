/* Objects in the forms of the versions that entries of managedFields are of, each converted once. */
#pragma once

#include "api/managed.h"

typedef struct ManagedForm {
    const Schema *schema;
    Value *value;
} ManagedForm;

/* Of one request: zero but for these two. What it holds is in the arena. */
typedef struct ManagedForms {
    Arena *arena;
    const ManagedInput *input;
    struct ManagedKnown *known;
} ManagedForms;

/* Whether what entries of these two versions say is looked up in one form. */
bool managed_same_form(const ManagedInput *input, const char *a, const char *b);
/* `object`, which is of version `from`, at `to`. The object is not changed while *forms is in use. -ENOENT: no such
 * version. Others: 500, `doing` and the reason. */
int managed_form(ManagedForms *forms, const char *from, const char *to, const Value *object, const char *doing,
                 ManagedForm *ret, ApiError *err);
