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
    bool of_list; /* AS_PARTIAL: of a list is what was asked for */
    bool pretty;
    const char *include_object; /* of Tables: "", "None", "Metadata", "Object" */
} Media;

enum {
    MEDIA_STREAM = 1 << 0,      /* a watch */
    MEDIA_VIEWS = 1 << 1,       /* there are Tables and partial metadata of it */
    MEDIA_NO_MESSAGES = 1 << 2, /* the objects themselves have no protobuf form: custom resources */
};
#define MEDIA_TYPES "application/json, application/yaml, application/vnd.kubernetes.protobuf"
#define MEDIA_STREAM_TYPES "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"

/* `endpoint`: of the flags above, what the path offers. -EPROTONOSUPPORT with the 406 Status. */
int media_negotiate(Arena *arena, const HttpRequest *request, const Query *query, unsigned endpoint, Media *ret,
                    ApiError *err);
/* The reference's router comes first on its own paths (those of kinds that are built in, of discovery below a group, of
 * the version): the Accept header must name one of `types` ("a/b, c/d") by its plain name, or any. -EPROTONOSUPPORT
 * with the 406 Status. */
int media_check_produces(const HttpRequest *request, const char *types, ApiError *err);
/* Of errors, on every path: as the Accept header asks, JSON spread out when that cannot be. */
Media media_of_error(Arena *arena, const HttpRequest *request);
const char *media_content_type(const Media *media, bool stream);

/* The Accept header picks aggregated discovery (apidiscovery.k8s.io/v2): true. */
bool media_wants_aggregated(const HttpRequest *request);

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
 * protobuf body from its own kind. Members that came in YAML are sorted. 400, 415 in the reference's words. An empty
 * body is one too: of no JSON, or YAML's null. */
int body_decode(Arena *arena, const HttpRequest *request, MediaForm *ret_form, Value **ret, DuplicateFields *duplicates,
                ApiError *err);
int patch_type_read(const HttpRequest *request, const Resource *resource, PatchType *ret, ApiError *err);
