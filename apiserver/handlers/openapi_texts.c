#include "apiserver/handlers/openapi_texts.h"
#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>

struct OpenApiTexts {
    Arena *arena;
    StrMap *by_name; /* "io.k8s.api.core.v1.Pod", and with a blank and a member's name behind it */
};

static void keep(OpenApiTexts *texts, const char *definition, const char *member, const Value *described) {
    const char *text = value_get_str(described, "description");
    if (str_empty(text))
        return;
    const char *key = member ? arena_printf(texts->arena, "%s %s", definition, member) : definition;
    strmap_put(texts->by_name, key, arena_strdup(texts->arena, text));
}

static void keep_all(OpenApiTexts *texts, const Value *definitions) {
    VALUE_FOREACH_MEMBER (definition, definitions) {
        keep(texts, definition->name, NULL, definition->value);
        VALUE_FOREACH_MEMBER (member, value_get(definition->value, "properties"))
            keep(texts, definition->name, member->name, member->value);
    }
}

int openapi_texts_read(const char *path, OpenApiTexts **ret, char **ret_error) {
    _cleanup_free_ char *text = NULL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t len;
    char *why = NULL;
    Value *document = NULL;
    int r = fs_read_file(path, OPENAPI_TEXTS_FILE_MAX, &text, &len);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", path, strerror(-r));
        return r;
    }
    if (json_parse(arena, text, len, &document, NULL, &why) < 0) {
        *ret_error = xasprintf("%s: %s", path, str_or(why, "not JSON"));
        return -EINVAL;
    }
    _cleanup_(openapi_texts_freep) OpenApiTexts *texts = NEW0(OpenApiTexts);
    texts->arena = arena_new(0);
    texts->by_name = strmap_new(NULL);
    keep_all(texts, value_get(document, "definitions"));
    if (!strmap_size(texts->by_name)) {
        *ret_error = xasprintf("%s: a Swagger 2 document whose definitions are described is wanted, as of kubectl get "
                               "--raw /openapi/v2",
                               path);
        return -EINVAL;
    }
    *ret = TAKE_PTR(texts);
    return 0;
}

void openapi_texts_free(OpenApiTexts *texts) {
    if (!texts)
        return;
    strmap_free(texts->by_name);
    arena_free(texts->arena);
    free(texts);
}

static void put(const OpenApiTexts *texts, Arena *arena, const char *key, Value *described) {
    char *text = strmap_get(texts->by_name, key);
    if (text && value_is(described, VALUE_OBJECT))
        value_set(arena, described, "description", value_string(arena, text));
}

void openapi_texts_put(const OpenApiTexts *texts, Arena *arena, Value *document) {
    Value *definitions = value_get(document, "definitions");
    if (!definitions)
        definitions = value_path(document, "components", "schemas", NULL);
    VALUE_FOREACH_MEMBER (definition, definitions) {
        put(texts, arena, definition->name, definition->value);
        VALUE_FOREACH_MEMBER (member, value_get(definition->value, "properties"))
            put(texts, arena, arena_printf(arena, "%s %s", definition->name, member->name), member->value);
    }
}
