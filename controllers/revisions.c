#include "controllers/revisions.h"

#include "base/str.h"
#include "controllers/claim.h"
#include "controllers/deployment.h"
#include "controllers/meta.h"
#include "controllers/template_hash.h"

#include <errno.h>

#define FLOAT_EXACT_MAX ((int64_t)1 << 53)

static char *template_hash(Arena *arena, const Value *owner, _unused_ const Value *data, int64_t collisions) {
    return pod_template_hash(arena, value_path(owner, "spec", "template", NULL), collisions);
}

static char *data_hash(Arena *arena, _unused_ const Value *owner, const Value *data, int64_t collisions) {
    return revision_data_hash(arena, data, MAX(collisions, (int64_t)0));
}

const RevisionKind revisions_of_daemonset = {"controller-revision-hash", template_hash};
const RevisionKind revisions_of_statefulset = {"controller.kubernetes.io/hash", data_hash};

const Value *revision_template(const Revision *revision) {
    return value_path(revision->value, "data", "spec", "template", NULL);
}

static int compare_number(const void *a, const void *b) {
    const Revision *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1) : strcmp(x->name, y->name);
}

static Revision read_revision(const RevisionKind *kind, Arena *arena, Object *object) {
    Value *value = object_value(object, arena);
    return (Revision){.name = arena_strdup(arena, object_name(object)),
                      .hash = arena_strdup(arena, str_or(object_label(object, kind->hash_label), "")),
                      .number = value_get_int(value, "revision", 0),
                      .value = value,
                      .object = object};
}

/* What goes through map[string]any in Go: members sorted by name, numbers as float64. */
static void as_go_map(Value *v) {
    Value *item;
    if (value_is(v, VALUE_INT) && (v->integer > FLOAT_EXACT_MAX || v->integer < -FLOAT_EXACT_MAX)) {
        v->type = VALUE_DOUBLE;
        v->number = (double)v->integer;
    }
    value_sort_members(v);
    VALUE_FOREACH_MEMBER (m, v)
        as_go_map(m->value);
    VALUE_FOREACH (item, v)
        as_go_map(item);
}

/* {"spec": {"template": {..., "$patch": "replace"}}}: what rollbacks apply to the owner. As Go encodes maps:
 * clients compare the bytes with what they make of the owner, and the hash is taken over them. */
Value *revision_data(Arena *arena, const Value *owner) {
    Value *data = value_object(arena), *template = value_copy(arena, value_path(owner, "spec", "template", NULL));
    value_set_str(arena, template, "$patch", "replace");
    value_set(arena, value_ensure_object(arena, data, "spec"), "template", template);
    as_go_map(data);
    return data;
}

static bool same_template(Arena *arena, const Revision *revision, const Value *owner) {
    Value *template = value_copy(arena, revision_template(revision));
    value_remove(template, "$patch");
    return deployment_template_equal(arena, template, value_path(owner, "spec", "template", NULL));
}

static int raise_number(Client *client, Arena *arena, const Object *owner, Revision *revision, int64_t number) {
    value_set_int(arena, revision->value, "revision", number);
    revision->number = number;
    return client_update(client, resource_find("apps", "v1", "controllerrevisions"), object_namespace(owner),
                         revision->name, NULL, revision->value, NULL, NULL);
}

static int make_revision(const RevisionKind *kind, Client *client, Arena *arena, const Object *owner,
                         const Value *value, int64_t number, Revisions *revisions) {
    const Resource *resource = resource_find("apps", "v1", "controllerrevisions");
    _cleanup_object_ Object *created = NULL;
    Value *data = revision_data(arena, value);
    char *hash = kind->hash(arena, value, data, revisions->collisions);
    Value *revision = value_object(arena), *metadata = value_ensure_object(arena, revision, "metadata");
    value_set_str(arena, revision, "apiVersion", "apps/v1");
    value_set_str(arena, revision, "kind", "ControllerRevision");
    value_set_str(arena, metadata, "name", arena_printf(arena, "%.223s-%s", object_name(owner), hash));
    value_set_str(arena, metadata, "namespace", object_namespace(owner));
    Value *labels = value_copy(arena, value_path(value, "spec", "template", "metadata", "labels", NULL));
    if (!labels)
        labels = value_object(arena);
    value_set_str(arena, labels, kind->hash_label, hash);
    value_set(arena, metadata, "labels", labels);
    value_set(arena, metadata, "annotations", value_copy(arena, value_path(value, "metadata", "annotations", NULL)));
    value_append(arena, value_ensure_array(arena, metadata, "ownerReferences"), owner_ref_value(arena, owner));
    value_set(arena, revision, "data", data);
    value_set_int(arena, revision, "revision", number);
    int r = client_create(client, resource, object_namespace(owner), revision, &created, NULL);
    if (r == -EEXIST) {
        r = client_get(client, resource, object_namespace(owner), value_get_str(metadata, "name"), &created, NULL);
        if (r < 0)
            return r;
        Revision there = read_revision(kind, arena, created);
        if (!same_template(arena, &there, value)) {
            revisions->collisions = MAX(revisions->collisions, (int64_t)0) +
                                    1; /* another template of the same hash: the next try adds the count */
            return make_revision(kind, client, arena, owner, value, number, revisions);
        }
    }
    if (r < 0)
        return r;
    revisions->current = &revisions->items[revisions->n++];
    *revisions->current = read_revision(kind, arena, created);
    revisions->current->object = NULL;
    return 0;
}

/* Those of an owner that was deleted without its dependents are taken over. */
static int claim_revisions(Client *client, Informer *informer, const Object *owner, const Value *value,
                           ClientList *ret) {
    _cleanup_(selector_freep) Selector *selector = NULL;
    label_selector_from_value(value_path(value, "spec", "selector", NULL), &selector);
    return claim_owned(&(Claim){.client = client, .informer = informer, .owner = owner, .selector = selector}, ret);
}

int revisions_sync(const RevisionKind *kind, Client *client, Informer *informer, Arena *arena, const Object *owner,
                   const Value *value, int64_t collisions, Revisions *ret) {
    Revisions revisions = {.collisions = collisions};
    int r = claim_revisions(client, informer, owner, value, &revisions.list);
    if (r < 0) {
        client_list_done(&revisions.list);
        return r;
    }
    revisions.items = arena_alloc0(arena, (revisions.list.n + 1) * sizeof(Revision));
    for (size_t i = 0; i < revisions.list.n; i++)
        revisions.items[revisions.n++] = read_revision(kind, arena, revisions.list.items[i]);
    qsort(revisions.items, revisions.n, sizeof(*revisions.items), compare_number);
    int64_t newest = revisions.n ? revisions.items[revisions.n - 1].number : 0;
    for (size_t i = revisions.n; i-- > 0 && !revisions.current;)
        if (same_template(arena, &revisions.items[i], value))
            revisions.current = &revisions.items[i];
    if (!revisions.current)
        r = make_revision(kind, client, arena, owner, value, newest + 1, &revisions);
    else if (revisions.current->number < newest)
        r = raise_number(client, arena, owner, revisions.current, newest + 1);
    if (r < 0) {
        client_list_done(&revisions.list);
        return r;
    }
    *ret = revisions;
    return 0;
}

void revisions_done(Revisions *revisions) {
    client_list_done(&revisions->list);
}

int revisions_trim(Client *client, const Revisions *revisions, int64_t limit,
                   bool (*in_use)(const Revision *revision, void *userdata), void *userdata) {
    int64_t old = 0;
    for (size_t i = 0; i < revisions->n; i++)
        old += &revisions->items[i] != revisions->current && !in_use(&revisions->items[i], userdata);
    for (size_t i = 0; i < revisions->n && old > limit; i++) {
        const Revision *revision = &revisions->items[i];
        if (revision == revisions->current || !revision->object || in_use(revision, userdata))
            continue;
        int r = client_delete(client, object_resource(revision->object), object_namespace(revision->object),
                              revision->name, &(ClientDelete){.grace_seconds = -1}, NULL);
        if (r < 0 && r != -ENOENT)
            return r;
        old--;
    }
    return 0;
}
