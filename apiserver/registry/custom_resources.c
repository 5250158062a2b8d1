#include "apiserver/registry/custom_resources.h"
#include "api/codec.h"
#include "api/gen/schemas.h"
#include "api/structural.h"
#include "base/clock.h"
#include "base/str.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>

typedef struct Definition { /* what one state of a CustomResourceDefinition made */
    struct Definition *older;
    Arena *arena;
    const Value *tree; /* in the arena */
    CustomVersion *versions;
    size_t n_versions;
    const Resource *storage;
    ResourceHolders holders;
    uint64_t retired_ns; /* when it was replaced, by the monotonic clock; 0: it is the newest of its definition */
} Definition;

struct CustomResources {
    ConversionService *conversions;
    pthread_rwlock_t lock;
    Definition *all; /* every one that is kept, newest first */
    const CustomVersion **served;
    size_t n_served;
    uint64_t generation;
};

CustomResources *custom_resources_new(WebhookClient *webhooks) {
    CustomResources *set = NEW0(CustomResources);
    set->conversions = conversion_service_new(webhooks);
    pthread_rwlock_init(&set->lock, NULL);
    return set;
}

static void definition_free(Definition *definition) {
    for (size_t i = 0; i < definition->n_versions; i++)
        json_schema_free(definition->versions[i].validator);
    arena_free(definition->arena);
    free(definition);
}

void custom_resources_free(CustomResources *set) {
    if (!set)
        return;
    for (Definition *d = set->all, *older; d; d = older) {
        older = d->older;
        definition_free(d);
    }
    pthread_rwlock_destroy(&set->lock);
    conversion_service_free(set->conversions);
    free(set->served);
    free(set);
}

/* ---- versions ---- */

/* v10beta3 is {10, beta, 3}. False: some other name. */
static bool parse_version(const char *s, long ret[3]) {
    char *end;
    if (*s != 'v' || !isdigit((unsigned char)s[1]))
        return false;
    ret[0] = strtol(s + 1, &end, 10);
    ret[1] = 2;
    ret[2] = 0;
    if (!*end)
        return true;
    ret[1] = str_has_prefix(end, "beta") ? 1 : str_has_prefix(end, "alpha") ? 0 : -1;
    if (ret[1] < 0)
        return false;
    end += ret[1] ? 4 : 5;
    if (!isdigit((unsigned char)*end))
        return false;
    ret[2] = strtol(end, &end, 10);
    return !*end;
}

int custom_version_compare(const char *a, const char *b) {
    static const int order[] = {1, 0, 2};
    long x[3], y[3];
    bool known_a = parse_version(a, x), known_b = parse_version(b, y);
    if (!known_a || !known_b)
        return known_a ? -1 : known_b ? 1 : strcmp(a, b);
    for (size_t i = 0; i < ELEMENTSOF(order); i++)
        if (x[order[i]] != y[order[i]])
            return x[order[i]] > y[order[i]] ? -1 : 1;
    return 0;
}

/* ---- rows ---- */

static const char *const *strings_of(Arena *arena, const Value *list) {
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    for (size_t i = 0; i < value_len(list); i++)
        out[i] = str_or(value_str(value_at(list, i)), "");
    return value_len(list) ? out : NULL;
}

static const char *version_hash(Arena *arena, const char *group, const char *version, const char *kind) {
    unsigned char digest[SHA256_DIGEST_LENGTH], text[16];
    char *name = arena_printf(arena, "%s/%s/%s", group, version, kind);
    SHA256((const unsigned char *)name, strlen(name), digest);
    EVP_EncodeBlock(text, digest, 8);
    return arena_strdup(arena, (const char *)text);
}

static void make_columns(Arena *arena, const Value *list, CustomVersion *out) {
    size_t n = value_len(list);
    out->columns = arena_alloc0(arena, (n + 1) * sizeof *out->columns);
    out->descriptions = arena_alloc0(arena, (n + 1) * sizeof *out->descriptions);
    out->n_columns = n;
    for (size_t i = 0; i < n; i++) {
        const Value *v = value_at(list, i);
        const char *path = str_or(value_get_str(v, "jsonPath"), ""), *description = value_get_str(v, "description");
        out->columns[i] = (Column){
            .name = str_or(value_get_str(v, "name"), ""),
            .type = str_or(value_get_str(v, "type"), ""),
            .format = str_or(value_get_str(v, "format"), ""),
            .priority = (int)value_get_int(v, "priority", 0),
            .json_path = path,
        };
        out->descriptions[i] =
            !str_empty(description)
                ? description
                : arena_printf(arena, "Custom resource definition column (in JSONPath format): %s", path);
    }
}

static void make_subresources(Arena *arena, const Value *subresources, const Schema *schema, CustomVersion *out) {
    const Value *scale = value_get(subresources, "scale");
    const uint16_t verbs = VERB_GET | VERB_PATCH | VERB_UPDATE;
    Subresource *rows = arena_alloc0(arena, 2 * sizeof *rows);
    size_t n = 0;
    out->has_status = value_is(value_get(subresources, "status"), VALUE_OBJECT);
    if (out->has_status)
        rows[n++] = (Subresource){.name = "status", .kind = out->resource.kind, .verbs = verbs, .schema = schema};
    if (value_is(scale, VALUE_OBJECT)) {
        rows[n++] = (Subresource){.name = "scale",
                                  .group = "autoscaling",
                                  .version = "v1",
                                  .kind = "Scale",
                                  .verbs = verbs,
                                  .schema = &schema_autoscaling_v1_Scale};
        out->spec_replicas = value_get_str(scale, "specReplicasPath");
        out->status_replicas = value_get_str(scale, "statusReplicasPath");
        out->label_selector = value_get_str(scale, "labelSelectorPath");
    }
    out->resource.subresources = rows;
    out->resource.n_subresources = n;
}

/* What an old version is to be replaced with: the best served one that is not deprecated. */
static const char *deprecation_of(Arena *arena, const Value *crd, const Value *version) {
    const Value *spec = value_get(crd, "spec"), *other;
    const char *own = value_get_str(version, "deprecationWarning"), *best = NULL;
    const char *group = value_get_str(spec, "group"), *kind = value_get_str(value_get(spec, "names"), "kind");
    const char *name = value_get_str(version, "name");
    if (!value_get_bool(version, "deprecated", false))
        return NULL;
    if (!str_empty(own))
        return own;
    VALUE_FOREACH (other, value_get(spec, "versions")) {
        const char *candidate = str_or(value_get_str(other, "name"), "");
        if (value_get_bool(other, "served", false) && !value_get_bool(other, "deprecated", false) &&
            custom_version_compare(candidate, name) < 0 && (!best || custom_version_compare(candidate, best) < 0))
            best = candidate;
    }
    char *text = arena_printf(arena, "%s/%s %s is deprecated", group, name, kind);
    return best ? arena_printf(arena, "%s; use %s/%s %s", text, group, best, kind) : text;
}

static const char *const *selectable_of(Arena *arena, const Value *list) {
    const char **out = arena_alloc0(arena, (value_len(list) + 1) * sizeof *out);
    for (size_t i = 0; i < value_len(list); i++) {
        const char *path = str_or(value_get_str(value_at(list, i), "jsonPath"), "");
        out[i] = path + (*path == '.');
    }
    return out;
}

static void make_version(Definition *definition, const Value *v, CustomVersion *out) {
    Arena *arena = definition->arena;
    const Value *spec = value_get(definition->tree, "spec"), *names = value_get(spec, "names");
    const char *group = str_or(value_get_str(spec, "group"), ""), *ignored;
    const char *plural = str_or(value_get_str(names, "plural"), ""), *kind = str_or(value_get_str(names, "kind"), "");
    out->schema = value_path(v, "schema", "openAPIV3Schema", NULL);
    out->deprecation = deprecation_of(arena, definition->tree, v);
    /* A pattern this server cannot compile was refused when the definition came. */
    if (json_schema_new(out->schema, &out->validator, &ignored) < 0)
        json_schema_new(NULL, &out->validator, &ignored);
    Resource *row = &out->resource;
    *row = (Resource){
        .group = group,
        .version = str_or(value_get_str(v, "name"), ""),
        .plural = plural,
        .singular = str_or(value_get_str(names, "singular"), ""),
        .kind = kind,
        .list_kind = str_or(value_get_str(names, "listKind"), ""),
        .short_names = strings_of(arena, value_get(names, "shortNames")),
        .categories = strings_of(arena, value_get(names, "categories")),
        .namespaced = streq_null(value_get_str(spec, "scope"), "Namespaced"),
        .verbs = VERBS_ALL,
        .schema = structural_schema(arena, out->schema),
        .storage_prefix = arena_printf(arena, "%s/%s", group, plural),
        .selectable_fields = selectable_of(arena, value_get(v, "selectableFields")),
        .custom = out,
    };
    make_subresources(arena, value_get(v, "subresources"), row->schema, out);
    make_columns(arena, value_get(v, "additionalPrinterColumns"), out);
    if (value_get_bool(v, "storage", false))
        definition->storage = row;
}

static Definition *definition_new(ConversionService *conversions, const Value *crd) {
    Definition *definition = NEW0(Definition);
    definition->arena = arena_new(0);
    definition->tree = value_copy(definition->arena, crd);
    const Value *versions = value_path(definition->tree, "spec", "versions", NULL), *v;
    definition->versions = arena_alloc0(definition->arena, (value_len(versions) + 1) * sizeof(CustomVersion));
    const CustomConversion *conversion = custom_conversion_new(definition->arena, conversions, definition->tree);
    VALUE_FOREACH (v, versions) {
        definition->versions[definition->n_versions].conversion = conversion;
        make_version(definition, v, &definition->versions[definition->n_versions++]);
    }
    if (!definition->storage && definition->n_versions)
        definition->storage = &definition->versions[0].resource;
    for (size_t i = 0; i < definition->n_versions; i++) {
        Resource *row = &definition->versions[i].resource;
        definition->versions[i].all = definition->versions;
        definition->versions[i].n_all = definition->n_versions;
        row->storage = definition->storage;
        row->holders = &definition->holders;
        row->storage_version_hash =
            version_hash(definition->arena, row->group, definition->storage->version, row->kind);
    }
    return definition;
}

/* ---- the set ---- */

static bool is_established(const Value *crd) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(crd, "status", "conditions", NULL))
        if (streq_null(value_get_str(condition, "type"), "Established"))
            return streq_null(value_get_str(condition, "status"), "True");
    return false;
}

static const char *uid_of(const Value *crd) {
    return str_or(value_get_str(value_get(crd, "metadata"), "uid"), "");
}

static Definition *find_same(CustomResources *set, const Value *crd) {
    for (Definition *d = set->all; d; d = d->older)
        if (streq(uid_of(d->tree), uid_of(crd)))
            return value_equal(value_get(d->tree, "spec"), value_get(crd, "spec")) ? d : NULL;
    return NULL;
}

static int compare_served(const void *a, const void *b) {
    const Resource *x = &(*(const CustomVersion *const *)a)->resource,
                   *y = &(*(const CustomVersion *const *)b)->resource;
    int r = strcmp(x->group, y->group);
    r = r ? r : custom_version_compare(x->version, y->version);
    return r ? r : strcmp(x->plural, y->plural);
}

static bool is_served(const Definition *definition, size_t i) {
    return value_get_bool(value_at(value_path(definition->tree, "spec", "versions", NULL), i), "served", false);
}

static bool is_listed(const Definition *definition, const Value *const *definitions, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (streq(uid_of(definition->tree), uid_of(definitions[i])))
            return true;
    return false;
}

/* Retires what was replaced or whose definition is gone; frees what has been retired for long and nobody holds. The one
 * writer may look without the lock. */
static void sweep(CustomResources *set, const Value *const *definitions, size_t n, uint64_t now_ns) {
    Definition *gone = NULL;
    for (Definition **at = &set->all, *d; (d = *at);) {
        bool newest = is_listed(d, definitions, n);
        for (const Definition *newer = set->all; newer != d && newest; newer = newer->older)
            newest = !streq(uid_of(newer->tree), uid_of(d->tree));
        if (!newest && !d->retired_ns)
            d->retired_ns = MAX(now_ns, (uint64_t)1);
        if (!d->retired_ns || now_ns - d->retired_ns < CUSTOM_ROWS_GRACE_SECONDS * NS_PER_SEC ||
            atomic_load_explicit(&d->holders.n, memory_order_acquire)) {
            at = &d->older;
            continue;
        }
        pthread_rwlock_wrlock(&set->lock);
        *at = d->older;
        pthread_rwlock_unlock(&set->lock);
        d->older = gone;
        gone = d;
    }
    for (Definition *older; gone; gone = older) {
        older = gone->older;
        definition_free(gone);
    }
}

/* One writer: whoever follows the definitions. */
void custom_resources_serve(CustomResources *set, const Value *const *definitions, size_t n, uint64_t now_ns) {
    size_t total = 0, count = 0;
    for (size_t i = 0; i < n; i++)
        total += value_len(value_path(definitions[i], "spec", "versions", NULL));
    const CustomVersion **served = xcalloc(total + 1, sizeof *served);
    for (size_t i = 0; i < n; i++) {
        if (!is_established(definitions[i]))
            continue;
        Definition *d = find_same(set, definitions[i]);
        if (!d) {
            d = definition_new(set->conversions, definitions[i]);
            pthread_rwlock_wrlock(&set->lock);
            d->older = set->all;
            set->all = d;
            pthread_rwlock_unlock(&set->lock);
        }
        for (size_t j = 0; j < d->n_versions; j++)
            if (is_served(d, j))
                served[count++] = &d->versions[j];
    }
    qsort(served, count, sizeof *served, compare_served);
    pthread_rwlock_wrlock(&set->lock);
    bool same = count == set->n_served && (!count || memcmp(served, set->served, count * sizeof *served) == 0);
    const CustomVersion **old = set->served;
    set->served = served;
    set->n_served = count;
    set->generation += !same;
    pthread_rwlock_unlock(&set->lock);
    free(old);
    sweep(set, definitions, n, now_ns);
}

size_t custom_resources_states(CustomResources *set) {
    size_t n = 0;
    pthread_rwlock_rdlock(&set->lock);
    for (const Definition *d = set->all; d; d = d->older)
        n++;
    pthread_rwlock_unlock(&set->lock);
    return n;
}

const Resource *custom_resources_find(CustomResources *set, const char *group, const char *version,
                                      const char *plural) {
    const Resource *found = NULL;
    if (!set)
        return NULL;
    pthread_rwlock_rdlock(&set->lock);
    for (size_t i = 0; i < set->n_served && !found; i++) {
        const Resource *row = &set->served[i]->resource;
        if (streq(row->plural, plural) && streq(row->group, group) && streq(row->version, version))
            found = row;
    }
    pthread_rwlock_unlock(&set->lock);
    return found;
}

const Resource *custom_resources_stored(CustomResources *set, const char *storage_prefix) {
    const Resource *found = NULL;
    pthread_rwlock_rdlock(&set->lock);
    for (Definition *d = set->all; d && !found; d = d->older)
        if (d->storage && streq(d->storage->storage_prefix, storage_prefix))
            found = d->storage;
    pthread_rwlock_unlock(&set->lock);
    return found;
}

const Resource *custom_resource_at_version(const Resource *resource, const char *api_version) {
    const CustomVersion *own = custom_version(resource);
    const char *slash = strchr(api_version, '/');
    size_t n = slash ? (size_t)(slash - api_version) : 0;
    if (!slash || strlen(resource->group) != n || strncmp(resource->group, api_version, n) != 0)
        return NULL;
    for (size_t i = 0; i < own->n_all; i++)
        if (streq(own->all[i].resource.version, slash + 1))
            return &own->all[i].resource;
    return NULL;
}

const Resource **custom_resources_all(CustomResources *set, Arena *arena) {
    if (!set)
        return arena_alloc0(arena, sizeof(Resource *));
    pthread_rwlock_rdlock(&set->lock);
    const Resource **out = arena_alloc0(arena, (set->n_served + 1) * sizeof *out);
    for (size_t i = 0; i < set->n_served; i++)
        out[i] = &set->served[i]->resource;
    pthread_rwlock_unlock(&set->lock);
    return out;
}

uint64_t custom_resources_generation(CustomResources *set) {
    if (!set)
        return 0;
    pthread_rwlock_rdlock(&set->lock);
    uint64_t generation = set->generation;
    pthread_rwlock_unlock(&set->lock);
    return generation;
}

/* ---- objects ---- */

bool custom_resources_converts(const Resource *resource) {
    return resource->custom && custom_version(resource)->conversion;
}

int custom_resources_convert(Arena *arena, const Resource *resource, Value **objects, size_t n, ApiError *err) {
    const CustomConversion *conversion = custom_version(resource)->conversion;
    const char *api_version = resource_api_version(arena, resource);
    for (size_t i = 0; i < n && !conversion; i++)
        value_set_str(arena, objects[i], "apiVersion", api_version);
    return conversion ? custom_conversion_run(conversion, arena, api_version, objects, n, err) : 0;
}

int custom_resources_convert_objects(const Resource *resource, Object **objects, size_t n, ApiError *err) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value **trees = arena_alloc(arena, (n + 1) * sizeof *trees);
    size_t *places = arena_alloc(arena, (n + 1) * sizeof *places), others = 0;
    const char *api_version = resource_api_version(arena, resource);
    for (size_t i = 0; i < n; i++) {
        trees[others] = object_value(objects[i], arena);
        if (!streq_null(value_get_str(trees[others], "apiVersion"), api_version))
            places[others++] = i;
    }
    int r = custom_resources_convert(arena, resource, trees, others, err);
    for (size_t i = 0; r == 0 && i < others; i++) {
        Object **object = &objects[places[i]];
        _cleanup_object_ Object *made = object_from_value(resource, trees[i]);
        Object *converted = object_with_revision(made, object_revision(*object));
        object_unref(*object);
        *object = converted;
    }
    return r;
}

bool custom_resources_selects_converted(const Resource *resource, const Selector *fields) {
    return custom_resources_converts(resource) && !field_selector_is_of_metadata(fields);
}

/* One page as the store has it, of which *ret takes what passes. */
static int select_page(Store *store, const Resource *resource, const ListQuery *query, const Selector *fields,
                       ObjectList *ret, ApiError *err) {
    _cleanup_object_list_ ObjectList page = {0};
    int r = store_list(store, query, &page, err);
    r = r < 0 ? r : custom_resources_convert_objects(resource, page.items, page.n, err);
    if (r < 0)
        return r;
    ret->items = xreallocn(ret->items, ret->n + page.n + 1, sizeof(*ret->items));
    for (size_t i = 0; i < page.n; i++)
        if (field_selector_matches(fields, page.items[i]))
            ret->items[ret->n++] = TAKE_PTR(page.items[i]);
    ret->revision = page.revision;
    free(ret->continue_token);
    ret->continue_token = TAKE_PTR(page.continue_token);
    return 0;
}

int custom_resources_list(Store *store, const Resource *resource, const ListQuery *query, ObjectList *ret,
                          ApiError *err) {
    if (!custom_resources_selects_converted(resource, query->fields))
        return store_list(store, query, ret, err);
    _cleanup_object_list_ ObjectList list = {.remaining = -1};
    ListQuery next = *query;
    _cleanup_free_ char *token = NULL;
    next.fields = NULL;
    do {
        next.limit = query->limit ? query->limit - list.n : 0; /* so that a page never ends amid one of the store */
        free(token);
        token = TAKE_PTR(list.continue_token);
        next.continue_token = token ? token : query->continue_token;
        if (token)
            next.at_revision = 0; /* the token says it */
        int r = select_page(store, resource, &next, query->fields, &list, err);
        if (r < 0)
            return r;
    } while (list.continue_token && list.n < query->limit);
    *ret = list;
    list = (ObjectList){0};
    return 0;
}

void custom_resources_metrics_write(CustomResources *set, Buf *out) {
    conversion_metrics_write(set->conversions, out);
}

void custom_resource_default(Arena *arena, const Resource *resource, Value *object) {
    structural_default_nulls(arena, custom_version(resource)->schema, object);
    schema_default(arena, resource->schema, object);
}

void custom_resource_read(Arena *arena, const Resource *resource, Value *object) {
    bool stored = resource == resource->storage;
    if (!stored && !custom_resources_converts(resource))
        custom_resource_default(arena, resource->storage, object);
    value_set(arena, object, "apiVersion", value_printf(arena, "%s/%s", resource->group, resource->version));
    schema_normalize(arena, resource->schema, object, NULL, NULL);
    structural_drop_nulls(custom_version(resource)->schema, object);
    if (stored)
        custom_resource_default(arena, resource, object);
}

/* One step of a path: ".name", "['name']" or "[3]". *ret_index -1: a name. */
static const char *next_step(const char *p, char name[256], long *ret_index) {
    size_t n = 0;
    *ret_index = -1;
    if (*p == '[') {
        char quote = p[1];
        if (quote != '\'' && quote != '"') {
            char *end;
            if (!isdigit((unsigned char)quote))
                return NULL;
            *ret_index = strtol(p + 1, &end, 10);
            return *end == ']' ? end + 1 : NULL;
        }
        for (p += 2; *p && *p != quote && n < 255; p++)
            name[n++] = *p;
        name[n] = 0;
        return *p == quote && p[1] == ']' ? p + 2 : NULL;
    }
    if (*p != '.')
        return NULL;
    for (p++; *p && *p != '.' && *p != '[' && n < 255; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (strchr("*?@(){}\"' ", *p))
            return NULL;
        name[n++] = *p;
    }
    name[n] = 0;
    return n && n < 255 ? p : NULL;
}

Value *custom_resource_at(const Value *object, const char *path) {
    Value *v = (Value *)(uintptr_t)object;
    char name[256];
    long index;
    while (v && *path) {
        path = next_step(path, name, &index);
        if (!path)
            return NULL;
        v = index >= 0 ? value_at(v, (size_t)index) : value_get(v, name);
    }
    return v;
}
