/* The body of a request as the tree that its verb takes. */
#pragma once

#include "apiserver/handlers/http.h"

/* Sets exchange->request.body, and of its options what the body says. *duplicates: fields it names twice. Errors in the
 * words of the reference's decoders. Not on a loop's thread when the body is large. */
int request_body_read(Exchange *exchange, DuplicateFields *duplicates, ApiError *err);
