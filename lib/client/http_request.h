/* An ApiRequest as an HTTP request: method, URL, content type and body; and answers back to objects. Pure, no I/O. */
#pragma once

#include "client/api.h"
#include "base/buf.h"

const char *http_request_method(const ApiRequest *request);
/* Appends "/apis/apps/v1/namespaces/x/deployments/y?..." */
void http_request_path(Buf *out, const ApiRequest *request);
/* Of the body; NULL when there is none. */
const char *http_request_content_type(const ApiRequest *request);
const char *http_request_accept(const ApiRequest *request);

/* An object of `resource` from a decoded answer: kind and apiVersion are set when a list left them out, and with
 * `metadata_only` everything but the metadata is dropped. */
Object *http_answer_object(Arena *arena, const Resource *resource, Value *v, bool metadata_only);
/* Is v an object of this resource (else a Status, Scale, ...)? */
bool http_answer_is_object(Arena *arena, const Resource *resource, const Value *v);
uint64_t http_answer_revision(const Value *v); /* metadata.resourceVersion; 0 when absent */
