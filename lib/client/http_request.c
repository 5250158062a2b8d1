#include "client/http_request.h"

#include "base/str.h"

const char *http_request_method(const ApiRequest *request) {
    switch (request->verb) {
    case API_GET:
    case API_LIST:
    case API_WATCH:
    case API_CONNECT:
        return "GET";
    case API_CREATE:
        return "POST";
    case API_UPDATE:
        return "PUT";
    case API_PATCH:
        return "PATCH";
    case API_DELETE:
    case API_DELETE_COLLECTION:
        return "DELETE";
    }
    return "GET";
}

const char *http_request_content_type(const ApiRequest *request) {
    if (!request->body)
        return NULL;
    if (request->verb != API_PATCH)
        return "application/json";
    switch (request->options.patch_type) {
    case PATCH_JSON:
        return "application/json-patch+json";
    case PATCH_MERGE:
        return "application/merge-patch+json";
    case PATCH_STRATEGIC:
        return "application/strategic-merge-patch+json";
    case PATCH_APPLY:
        return "application/apply-patch+yaml";
    }
    return "application/json";
}

const char *http_request_accept(const ApiRequest *request) {
    if (request->document)
        return "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    if (!request->options.metadata_only)
        return "application/json";
    if (request->verb == API_LIST)
        return "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    return "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
}

static void add_query(Buf *out, char *separator, const char *name, const char *value) {
    if (str_empty(value))
        return;
    buf_putc(out, *separator);
    *separator = '&';
    buf_printf(out, "%s=", name);
    percent_encode(out, value, NULL);
}

static void add_number(Buf *out, char *separator, const char *name, int64_t value) {
    if (value == 0)
        return;
    buf_printf(out, "%c%s=%lld", *separator, name, (long long)value);
    *separator = '&';
}

static void add_flag(Buf *out, char *separator, const char *name, bool given, bool value) {
    if (given)
        add_query(out, separator, name, value ? "true" : "false");
}

void http_request_path(Buf *out, const ApiRequest *request) {
    const Resource *resource = request->resource;
    const ApiOptions *options = &request->options;
    char separator = '?';
    if (request->document) {
        buf_puts(out, request->document);
        return;
    }
    if (*resource->group)
        buf_printf(out, "/apis/%s/%s", resource->group, resource->version);
    else
        buf_printf(out, "/api/%s", resource->version);
    if (resource->namespaced && !str_empty(request->ns)) {
        buf_puts(out, "/namespaces/");
        percent_encode(out, request->ns, NULL);
    }
    buf_printf(out, "/%s", resource->plural);
    if (request->name) {
        buf_putc(out, '/');
        percent_encode(out, request->name, NULL);
    }
    if (request->subresource)
        buf_printf(out, "/%s", request->subresource);
    add_flag(out, &separator, "watch", request->verb == API_WATCH, true);
    add_query(out, &separator, "labelSelector", options->label_selector);
    add_query(out, &separator, "fieldSelector", options->field_selector);
    add_query(out, &separator, "resourceVersion", options->resource_version);
    add_query(out, &separator, "resourceVersionMatch", options->resource_version_match);
    add_number(out, &separator, "limit", options->limit);
    add_query(out, &separator, "continue", options->continue_token);
    add_number(out, &separator, "timeoutSeconds", options->timeout_seconds);
    add_flag(out, &separator, "allowWatchBookmarks", options->allow_watch_bookmarks, true);
    add_flag(out, &separator, "sendInitialEvents", options->send_initial_events_set, options->send_initial_events);
    add_query(out, &separator, "dryRun", options->dry_run ? "All" : NULL);
    add_flag(out, &separator, "force", options->force_set || options->force, options->force);
    add_query(out, &separator, "fieldManager", options->field_manager);
    add_query(out, &separator, "fieldValidation", options->field_validation);
}

uint64_t http_answer_revision(const Value *v) {
    const char *text = value_get_str(value_get(v, "metadata"), "resourceVersion");
    uint64_t revision;
    return text && str_to_uint64(text, &revision) >= 0 ? revision : 0;
}

bool http_answer_is_object(Arena *arena, const Resource *resource, const Value *v) {
    const char *kind = value_get_str(v, "kind"), *version = value_get_str(v, "apiVersion");
    return kind && version && streq(kind, resource->kind) && streq(version, resource_api_version(arena, resource));
}

Object *http_answer_object(Arena *arena, const Resource *resource, Value *v, bool metadata_only) {
    uint64_t revision = http_answer_revision(v);
    Value *whole = value_object(arena);
    value_set_str(arena, whole, "apiVersion", resource_api_version(arena, resource));
    value_set_str(arena, whole, "kind", resource->kind);
    if (metadata_only) {
        Value *metadata = value_get(v, "metadata");
        if (value_is(metadata, VALUE_OBJECT))
            value_remove(metadata, "managedFields");
        value_set(arena, whole, "metadata", metadata);
    } else {
        VALUE_FOREACH_MEMBER (member, v)
            if (!streq(member->name, "kind") && !streq(member->name, "apiVersion"))
                value_set(arena, whole, member->name, member->value);
    }
    _cleanup_object_ Object *object = object_from_value(resource, whole);
    return object_with_revision(object, revision);
}
