/* Replies as the reference writes them: the fields that are in every head, warnings, values and errors in the form that
 * was negotiated. Any thread. */
#pragma once

#include "apiserver/handlers/negotiate.h"
#include "base/random.h"
#include "http/server.h"

#define REPLY_HEADERS_MAX 80 /* what is more is left out */

typedef struct ReplyHeaders {
    HttpHeader items[REPLY_HEADERS_MAX];
    size_t n;
    char audit_id[UUID_LEN + 1];
} ReplyHeaders;
/* Borrows the type; must stay where it is while it is used. */
void reply_headers_init(ReplyHeaders *headers, const char *content_type);
/* Another value for one that is there. Borrowed. */
void reply_headers_set(ReplyHeaders *headers, const char *name, const char *value);
/* Each warning once, in the arena: all of them whole, or else as many as the reference's limit takes, each cut. */
void reply_headers_warn(ReplyHeaders *headers, Arena *arena, char *const *warnings, size_t n);

/* 405 as the reference's router says it. */
int api_error_not_allowed(ApiError *err);
void http_reply_not_allowed(HttpRequest *http);
#define HTTP_HASH_MAX 65
#define HTTP_ETAG_MAX (HTTP_HASH_MAX + 2)
/* What is sent is known by its SHA-256; its tag is that in quotes. */
void http_hash_of(const void *bytes, size_t len, char ret[HTTP_HASH_MAX]);
void http_etag_of(const char *hash, char ret[HTTP_ETAG_MAX]);
/* Whether the client has what has this tag (or hash), or anything. */
bool http_has_etag(const HttpRequest *http, const char *tag);
void http_reply_error(HttpRequest *http, const ApiError *err); /* as the Accept header asks, where it can */
void http_reply_error_with(HttpRequest *http, const ApiError *err, char *const *warnings, size_t n);
/* JSON without a media, and where the media cannot have it. */
void http_reply_value(HttpRequest *http, const Media *media, int status, const Schema *schema, const Value *v);
/* An object that media_negotiate_page chose; the older version comes with a warning. */
void http_reply_page(HttpRequest *http, Arena *arena, const PageMedia *media, const char *kind, const Value *v);
void http_reply_text(HttpRequest *http, int status, const char *content_type, const char *text);
