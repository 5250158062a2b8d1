/* Objects, lists and Status as bytes in the form the client asked for. */
#pragma once

#include "apiserver/handlers/api.h"
#include "apiserver/handlers/message_cache.h"
#include "apiserver/handlers/negotiate.h"

#define ENCODE_MAX (1024u * 1024 * 1024) /* bytes of one reply */

/* A stored object as `resource` (the version asked for): by reference where the stored bytes are what is asked. */
int encode_object(Arena *arena, const Media *media, const Resource *resource, Object *object, HttpBytes *ret);
/* A tree with kind and apiVersion. `schema` NULL: not available as protobuf, JSON then. */
int encode_value(Arena *arena, const Media *media, const Schema *schema, const Value *v, HttpBytes *ret);
int encode_list(Arena *arena, const Media *media, const Resource *resource, const ObjectList *list, HttpBytes *ret);
/* The parts of a list in JSON whose items are sent as they are stored: encode_list_is_stored says whether it is one.
 * The head ends where the first item goes; items stand with commas between; ENCODE_LIST_END follows the last. */
#define ENCODE_LIST_END "]}\n"
bool encode_list_is_stored(const Media *media, const Resource *resource);
void encode_list_head(Buf *out, const Resource *resource, const ObjectList *list);
/* Borrowed from the object; `*ret_brace`: a brace goes before it. */
const char *encode_list_item(const Object *object, size_t *ret_len, bool *ret_brace);
/* The list's own part as a tree, and its schema, which may be NULL. */
Value *encode_list_own(Arena *arena, const ObjectList *list);
const Schema *encode_list_schema(Arena *arena, const Resource *resource);
/* Protobuf of the object as it is stored: the same bytes for whoever asks. */
bool encode_is_stored_protobuf(const Media *media, const Resource *resource);
/* Appends its message alone, without the envelope: the one that is in the cache, and else it will be. */
int encode_stored_message(MessageCache *cache, Arena *scratch, const Resource *resource, Object *object, Buf *out);
/* One line (frame) of a watch. `type` is ADDED and so on. `cache`: for messages that others will want too; NULL: none.
 */
int encode_event(MessageCache *cache, const Media *media, const Resource *resource, const char *type, Object *object,
                 bool first_of_watch, HttpBytes ret[3], size_t *ret_n);
int encode_event_value(Arena *arena, const Media *media, const Schema *schema, const char *type, const Value *v,
                       HttpBytes *ret);

/* table.c and partial.c: other views of an object. */
Value *print_table_new(Arena *arena, const Resource *resource, bool with_columns);
void print_table_add(Arena *arena, Value *table, const Resource *resource, const Object *object,
                     const char *include_object, int64_t now_ns);
Value *partial_of(Arena *arena, const Object *object);
