/* Content negotiation: what the client can read, and what it sent. */
#pragma once

#include "api/json.h"
#include "api/status.h"
#include "apiserver/handlers/options.h"
#include "http/server.h"

typedef enum MediaForm { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF } MediaForm;
typedef enum MediaAs { AS_OBJECT, AS_TABLE, AS_PARTIAL } MediaAs;

typedef struct Media {
    MediaForm form;
    MediaAs as;
    bool pretty;
    const char *include_object; /* of Tables: "", "None", "Metadata", "Object" */
} Media;

enum {
    MEDIA_STREAM = 1 << 0, /* a watch */
    MEDIA_VIEWS = 1 << 1,  /* there are Tables and partial metadata of it */
};
/* `endpoint`: of the flags above, what the path offers. -EPROTONOSUPPORT with the 406 Status. */
int media_negotiate(Arena *arena, const HttpRequest *request, const Query *query, unsigned endpoint, Media *ret,
                    ApiError *err);
/* Of errors on paths where nothing was negotiated: JSON, spread out for who reads it with the eyes. */
Media media_plain(const HttpRequest *request);
const char *media_content_type(const Media *media, bool stream);

/* The Accept header picks aggregated discovery (apidiscovery.k8s.io/v2): true. */
bool media_wants_aggregated(const HttpRequest *request, bool *ret_unsupported);

/* Pages for people (/flagz, /statusz): text, or an object of this group when the Accept header names its kind. */
#define PAGE_GROUP "config.k8s.io"
typedef struct PageMedia {
    MediaForm form;
    const char *version; /* v1alpha1 or v1beta1; NULL: text */
} PageMedia;
/* -EPROTONOSUPPORT with the 406 Status. */
int media_negotiate_page(Arena *arena, const HttpRequest *request, const char *kind, PageMedia *ret, ApiError *err);

/* For replies of other forms: the index in `types` (ends with NULL) of the one that the Accept header asks for first,
 * -1 when it wants none of them. */
int media_choose(const HttpRequest *request, const char *const *types);

/* Decodes a body by its Content-Type (application/json when there is none). `kind_schema` finds the schema of a
 * protobuf body from its own kind. 400, 415 in the reference's words. An
 * empty body is one too: of no JSON, or YAML's null. */
int body_decode(Arena *arena, const HttpRequest *request, MediaForm *ret_form, Value **ret, DuplicateFields *duplicates,
                ApiError *err);
int patch_type_read(const HttpRequest *request, const Resource *resource, PatchType *ret, ApiError *err);
