/* A list too large to be made at once: its items are written while the client takes them, and compressed on the way.
 * Only its references to objects are held meanwhile, and the loop has other connections' turns in between. */
#pragma once

#include "apiserver/handlers/http.h"

#define LIST_STREAM_MIN HTTP_GZIP_MIN /* bytes of a list that comes in parts */
#define LIST_STREAM_PART (64 * 1024)  /* bytes written in one go */

/* Is it large, and sent as it is stored? */
bool list_stream_suits(const Media *media, const Resource *resource, const ObjectList *list);
/* Answers the exchange, and takes it. Takes the contents of the list, which list_stream_suits. Any thread. */
void list_stream_start(Exchange *exchange, int code, const HttpHeader *headers, size_t n_headers, ObjectList *list);
