/* What SubjectAccessReview and its like are checked for. Pure; any thread. */
#pragma once

#include "api/status.h"

typedef enum ReviewKind { REVIEW_SUBJECT, REVIEW_LOCAL, REVIEW_SELF } ReviewKind;

/* `ns`: the review's own; a local review is about that. */
void access_review_validate(FieldErrors *errors, const Value *review, const char *ns, ReviewKind kind);
/* What the answer says of selectors that were not understood; "" when nothing. */
const char *access_review_ignored(Arena *arena, const Value *resource_attributes);
