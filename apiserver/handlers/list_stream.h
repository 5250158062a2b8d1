/* A list too large to be made at once: its items are written while the client takes them, and compressed on the way.
 * Only its references to objects are held meanwhile, and the loop has other connections' turns in between. */
#pragma once

#include "apiserver/handlers/http.h"

#define LIST_STREAM_MIN (2 * HTTP_GZIP_MIN) /* bytes of stored items of a list that comes in parts */
#define LIST_STREAM_PART (64 * 1024)        /* bytes written in one go */

typedef struct ListStream ListStream;

/* Takes the contents of a list that is large and sent as it is stored; else leaves it, and returns NULL. Protobuf has a
 * length in front of all: items that were never encoded are, to learn theirs. */
ListStream *list_stream_new(Exchange *exchange, ObjectList *list);
/* Answers the exchange; takes both. Any thread. */
void list_stream_start(ListStream *stream, int code, const HttpHeader *headers, size_t n_headers);
