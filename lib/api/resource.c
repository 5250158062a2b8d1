#include "api/resource.h"

#include "api/gen/resources.h"
#include "base/str.h"

const Resource *resource_builtin(size_t index) {
    return index < resources_builtin_count ? &resources_builtin[index] : NULL;
}

typedef const char *(*ResourceName)(const Resource *);

static const char *plural_of(const Resource *resource) {
    return resource->plural;
}

static const char *kind_of(const Resource *resource) {
    return resource->kind;
}

static const Resource *find(const uint16_t *index, ResourceName name_of, const char *group, const char *version,
                            const char *name) {
    size_t low = 0, high = resources_builtin_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const Resource *resource = &resources_builtin[index[middle]];
        int r = strcmp(name, name_of(resource));
        r = r ? r : strcmp(group, resource->group);
        r = r ? r : strcmp(version, resource->version);
        if (r == 0)
            return resource;
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const Resource *resource_find(const char *group, const char *version, const char *plural) {
    return find(resources_by_plural, plural_of, group, version, plural);
}

const Resource *resource_find_kind(const char *group, const char *version, const char *kind) {
    return find(resources_by_kind, kind_of, group, version, kind);
}

const Subresource *resource_subresource(const Resource *resource, const char *name) {
    for (size_t i = 0; i < resource->n_subresources; i++)
        if (streq(resource->subresources[i].name, name))
            return &resource->subresources[i];
    return NULL;
}

char *resource_api_version(Arena *arena, const Resource *resource) {
    if (!*resource->group)
        return arena_strdup(arena, resource->version);
    return arena_printf(arena, "%s/%s", resource->group, resource->version);
}
