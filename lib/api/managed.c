#include "api/managed.h"
#include "api/json.h"
#include "api/managed_forms.h"
#include "api/member_index.h"
#include "api/typed.h"
#include "api/utf8.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <stdio.h>

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define ANNOTATIONS_MAX (256 * 1024)
#define FEW_ENTRIES 16
#define ANCIENT "ancient-changes"

/* One entry. Who it is: manager, operation and subresource, of an Update also the version. */
typedef struct Entry {
    const char *manager, *api_version, *subresource, *time; /* subresource "" and time NULL when absent */
    bool applied;
    FieldSet *set;
} Entry;

typedef struct Managed {
    Entry *entries;
    size_t n, cap;
} Managed;

static void managed_add(Arena *arena, Managed *managed, Entry entry) {
    if (managed->n == managed->cap) {
        size_t cap = managed->cap ? managed->cap * 2 : 8;
        Entry *entries = arena_alloc(arena, cap * sizeof(Entry));
        if (managed->n)
            memcpy(entries, managed->entries, managed->n * sizeof(Entry));
        managed->entries = entries;
        managed->cap = cap;
    }
    managed->entries[managed->n++] = entry;
}

static bool same_manager(const Entry *a, const Entry *b) {
    return a->applied == b->applied && streq(a->manager, b->manager) && streq(a->subresource, b->subresource) &&
           (a->applied || streq(a->api_version, b->api_version));
}

static Entry *managed_find(Managed *managed, const Entry *who) {
    for (size_t i = 0; i < managed->n; i++)
        if (same_manager(&managed->entries[i], who))
            return &managed->entries[i];
    return NULL;
}

static void drop_empty(Managed *managed) {
    size_t n = 0;
    for (size_t i = 0; i < managed->n; i++)
        if (!fieldset_empty(managed->entries[i].set))
            managed->entries[n++] = managed->entries[i];
    managed->n = n;
}

/* ---- reading and writing ---- */

static const char *entry_decode(Arena *arena, const Value *v, size_t index, Entry *ret) {
    const char *operation = str_or(value_get_str(v, "operation"), "");
    const char *type = str_or(value_get_str(v, "fieldsType"), "");
    *ret = (Entry){.manager = str_or(value_get_str(v, "manager"), ""),
                   .api_version = str_or(value_get_str(v, "apiVersion"), ""),
                   .subresource = str_or(value_get_str(v, "subresource"), ""),
                   .time = value_get_str(v, "time"),
                   .applied = streq(operation, "Apply")};
    if (!ret->applied && !streq(operation, "Update"))
        return "operation must be `Apply` or `Update`";
    if (!*ret->api_version)
        return "apiVersion must not be empty";
    if (!*type)
        return arena_printf(arena, "missing fieldsType in managed fields entry %zu", index);
    if (!streq(type, "FieldsV1"))
        return arena_printf(arena, "invalid fieldsType %s in managed fields entry %zu", go_quoted(arena, type), index);
    if (fieldset_from_value(arena, value_get(v, "fieldsV1"), &ret->set) < 0)
        return arena_printf(arena, "error decoding set in managed fields entry %zu", index);
    return NULL;
}

/* The same for entries that same_manager. */
static const char *manager_key(Arena *arena, const Entry *entry) {
    return arena_printf(arena, "%c%zu:%s%zu:%s%s", entry->applied ? 'A' : 'U', strlen(entry->manager), entry->manager,
                        strlen(entry->subresource), entry->subresource, entry->applied ? "" : entry->api_version);
}

/* NULL, or why the list is not valid. A client may send any number of entries, so they are looked up in a table. */
static const char *managed_decode(Arena *arena, const Value *list, Managed *ret) {
    _cleanup_(strmap_freep) StrMap *places = value_len(list) > FEW_ENTRIES ? strmap_new(NULL) : NULL; /* place + 1 */
    *ret = (Managed){0};
    for (size_t i = 0; i < value_len(list); i++) {
        Entry entry;
        const char *wrong = entry_decode(arena, value_at(list, i), i, &entry);
        if (wrong)
            return wrong;
        const char *key = places ? manager_key(arena, &entry) : NULL;
        uintptr_t place = places ? (uintptr_t)strmap_get(places, key) : 0;
        Entry *before = !places ? managed_find(ret, &entry) : place ? &ret->entries[place - 1] : NULL;
        if (before) { /* the last of one name counts */
            *before = entry;
            continue;
        }
        managed_add(arena, ret, entry);
        if (places)
            strmap_put(places, key, (void *)(uintptr_t)ret->n);
    }
    return NULL;
}

static int64_t entry_seconds(const Entry *entry) {
    int64_t ns = 0;
    if (entry->time)
        (void)rfc3339_parse(entry->time, &ns);
    return ns / (int64_t)NS_PER_SEC;
}

/* Apply before Update, older first. */
static int compare_entries(const void *pa, const void *pb) {
    const Entry *a = pa, *b = pb;
    if (a->applied != b->applied)
        return a->applied ? -1 : 1;
    int64_t at = entry_seconds(a), bt = entry_seconds(b);
    if (at != bt)
        return at < bt ? -1 : 1;
    int r = strcmp(a->manager, b->manager);
    if (!r)
        r = strcmp(a->api_version, b->api_version);
    return r ? r : strcmp(a->subresource, b->subresource);
}

static Value *entry_encode(Arena *arena, const Entry *entry) {
    Value *v = value_object(arena);
    if (*entry->manager)
        value_set_interned(arena, v, "manager", value_string(arena, entry->manager));
    value_set_interned(arena, v, "operation", value_string(arena, entry->applied ? "Apply" : "Update"));
    value_set_interned(arena, v, "apiVersion", value_string(arena, entry->api_version));
    if (entry->time)
        value_set_interned(arena, v, "time", value_string(arena, entry->time));
    value_set_interned(arena, v, "fieldsType", value_string(arena, "FieldsV1"));
    value_set_interned(arena, v, "fieldsV1", fieldset_to_value(arena, entry->set));
    if (*entry->subresource)
        value_set_interned(arena, v, "subresource", value_string(arena, entry->subresource));
    return v;
}

static void managed_encode(Arena *arena, Managed *managed, Value *object) {
    Value *metadata = value_ensure_object(arena, object, "metadata");
    if (!managed->n) {
        value_remove(metadata, "managedFields");
        return;
    }
    qsort(managed->entries, managed->n, sizeof(Entry), compare_entries);
    Value *list = value_array(arena);
    for (size_t i = 0; i < managed->n; i++)
        value_append(arena, list, entry_encode(arena, &managed->entries[i]));
    value_set_interned(arena, metadata, "managedFields", list);
}

const char *managed_invalid(Arena *arena, const Value *managed_fields) {
    Managed managed;
    return managed_decode(arena, managed_fields, &managed);
}

char *managed_name(Arena *arena, const char *field_manager, const char *user_agent) {
    if (!str_empty(field_manager))
        return arena_strdup(arena, field_manager);
    const char *agent = user_agent ? user_agent : "";
    size_t n = strcspn(agent, "/"), used = 0;
    char *name = arena_alloc(arena, FIELD_MANAGER_MAX + 1);
    for (size_t i = 0; i < n;) {
        uint32_t rune;
        char encoded[4];
        i += utf8_decode(agent + i, n - i, &rune);
        if (rune < 0x80 ? rune < 0x20 || rune == 0x7f : !utf8_is_printable(rune))
            continue;
        size_t width = utf8_encode(rune, encoded);
        if (used + width > FIELD_MANAGER_MAX)
            break;
        memcpy(name + used, encoded, width);
        used += width;
    }
    name[used] = 0;
    return name;
}

/* ---- what both ways share ---- */

/* Never owned by anybody. */
static FieldSet *stripped_fields(Arena *arena) {
    static const char *const paths[] = {"apiVersion",
                                        "kind",
                                        "metadata",
                                        "metadata.name",
                                        "metadata.namespace",
                                        "metadata.creationTimestamp",
                                        "metadata.selfLink",
                                        "metadata.uid",
                                        "metadata.clusterName",
                                        "metadata.generation",
                                        "metadata.managedFields",
                                        "metadata.resourceVersion",
                                        NULL};
    return fieldset_from_paths(arena, paths);
}

static Entry entry_of(Arena *arena, const ManagedInput *input, bool applied) {
    return (Entry){.manager = str_or(input->manager, "unknown"),
                   .api_version = arena_strdup(arena, input->api_version),
                   .subresource = str_or(input->subresource, ""),
                   .applied = applied};
}

static const char *now_text(Arena *arena, const ManagedInput *input) {
    char text[RFC3339_MAX];
    return arena_strdup(arena, rfc3339_format(input->now_ns, text));
}

static Comparison compare_filtered(Arena *arena, const ManagedInput *input, const Schema *schema, const Value *before,
                                   const Value *after) {
    Comparison c = typed_compare(arena, schema, before, after);
    FieldSet *reset = fieldset_from_paths(arena, input->reset_fields);
    if (reset) {
        c.removed = fieldset_difference_deep(arena, c.removed, reset);
        c.modified = fieldset_difference_deep(arena, c.modified, reset);
        c.added = fieldset_difference_deep(arena, c.added, reset);
    }
    return c;
}

/* What a write changes, in the forms of all the versions that entries are of. */
typedef struct Change {
    ManagedForms *forms;
    const Value *before, *after;
    struct {
        const char *api_version;
        bool missing;
        Comparison comparison;
    } * versions; /* the request's first */
    size_t n;
} Change;

static Change change_of(ManagedForms *forms, const Value *before, const Value *after, const Managed *managed) {
    const ManagedInput *input = forms->input;
    Change change = {.forms = forms, .before = before, .after = after, .n = 1};
    change.versions = arena_alloc0(forms->arena, (managed->n + 1) * sizeof *change.versions);
    change.versions[0].api_version = input->api_version;
    change.versions[0].comparison = compare_filtered(forms->arena, input, input->schema, before, after);
    return change;
}

/* As the entry's version sees it; NULL: there is no such version. */
static int change_at(Change *change, const char *api_version, const Comparison **ret, ApiError *err) {
    const ManagedInput *input = change->forms->input;
    size_t i = 0;
    while (i < change->n && !managed_same_form(input, change->versions[i].api_version, api_version))
        i++;
    if (i == change->n) {
        ManagedForm before, after;
        int r = managed_form(change->forms, input->api_version, api_version, change->before,
                             "failed to convert old object: ", &before, err);
        if (r == 0)
            r = managed_form(change->forms, input->api_version, api_version, change->after,
                             "failed to convert new object: ", &after, err);
        if (r < 0 && r != -ENOENT)
            return r;
        change->versions[i].api_version = api_version;
        change->versions[i].missing = r < 0;
        if (r == 0)
            change->versions[i].comparison =
                input->resets_own_version
                    ? typed_compare(change->forms->arena, before.schema, before.value, after.value)
                    : compare_filtered(change->forms->arena, input, before.schema, before.value, after.value);
        change->n++;
    }
    *ret = change->versions[i].missing ? NULL : &change->versions[i].comparison;
    return 0;
}

/* What changed, and what went, is its own no longer. */
static int disown(Change *change, Entry *entry, ApiError *err) {
    Arena *arena = change->forms->arena;
    const Comparison *c = NULL;
    int r = change_at(change, entry->api_version, &c, err);
    if (r < 0)
        return r;
    if (c) {
        entry->set = fieldset_difference(arena, entry->set, c->modified);
        entry->set = fieldset_difference(arena, entry->set, c->added);
        entry->set = fieldset_difference(arena, entry->set, c->removed);
    } else
        entry->set = NULL;
    return 0;
}

/* Entries as the schemas of today have them; what those of versions that are no more say is forgotten. `live` must fit
 * the others. */
static int reconcile(ManagedForms *forms, const Value *live, Managed *managed, ApiError *err) {
    for (size_t i = 0; i < managed->n; i++) {
        Entry *entry = &managed->entries[i];
        ManagedForm form;
        int r = managed_form(forms, forms->input->api_version, entry->api_version, live, "", &form, err);
        if (r < 0 && r != -ENOENT)
            return r;
        entry->set = r < 0 ? NULL : typed_reconcile(forms->arena, form.schema, entry->set);
    }
    return 0;
}

/* What `object` was before it was: of the same kind. */
static Value *empty_object(Arena *arena, const ManagedInput *input, const Value *object) {
    if (!input->custom)
        return typed_zero(arena, input->schema);
    Value *empty = value_object(arena);
    value_set_str(arena, empty, "apiVersion", value_get_str(object, "apiVersion"));
    value_set_str(arena, empty, "kind", value_get_str(object, "kind"));
    return empty;
}

/* `object` without metadata.managedFields; shares everything else. */
static Value *without_managed(Arena *arena, const Value *object) {
    Value *copy = value_object(arena);
    VALUE_FOREACH_MEMBER (m, object) {
        Value *v = m->value;
        if (streq(m->name, "metadata") && value_is(v, VALUE_OBJECT)) {
            Value *metadata = value_object(arena);
            VALUE_FOREACH_MEMBER (inner, v)
                if (!streq(inner->name, "managedFields"))
                    value_add(arena, metadata, inner->name, inner->value);
            v = metadata;
        }
        value_add(arena, copy, m->name, v);
    }
    return copy;
}

/* ---- update ---- */

static int compare_age(const void *pa, const void *pb) {
    const Entry *a = *(Entry *const *)pa, *b = *(Entry *const *)pb;
    int64_t at = entry_seconds(a), bt = entry_seconds(b);
    return at != bt ? (at < bt ? -1 : 1) : strcmp(a->manager, b->manager);
}

/* What the oldest updaters of one version are folded into. */
typedef struct Bucket {
    Entry *first, *into; /* the oldest of the version; the bucket, once there is one */
    FieldSet **sets;     /* folded, and not yet in into->set */
    size_t n, cap;
} Bucket;

static Bucket *bucket_of(Arena *arena, StrMap *buckets, const char *api_version) {
    Bucket *bucket = strmap_get(buckets, api_version);
    if (!bucket) {
        bucket = ARENA_NEW0(arena, Bucket);
        strmap_put(buckets, api_version, bucket);
    }
    return bucket;
}

static void bucket_add(Arena *arena, Bucket *bucket, Entry *updater) {
    if (bucket->n == bucket->cap) {
        size_t cap = bucket->cap ? bucket->cap * 2 : 8;
        FieldSet **sets = arena_alloc(arena, cap * sizeof(FieldSet *));
        if (bucket->n)
            memcpy(sets, bucket->sets, bucket->n * sizeof(FieldSet *));
        bucket->sets = sets;
        bucket->cap = cap;
    }
    bucket->sets[bucket->n++] = updater->set;
    bucket->into->time = updater->time;
    updater->set = NULL;
}

/* Folds the oldest updaters of each version into one bucket until MANAGED_UPDATERS_MAX are left. */
static void cap_updaters(Arena *arena, Managed *managed) {
    Entry **updaters = arena_alloc(arena, managed->n * sizeof(Entry *));
    size_t n = 0;
    for (size_t i = 0; i < managed->n; i++)
        if (!managed->entries[i].applied)
            updaters[n++] = &managed->entries[i];
    if (n <= MANAGED_UPDATERS_MAX)
        return;
    qsort(updaters, n, sizeof(Entry *), compare_age);
    _cleanup_(strmap_freep) StrMap *buckets = strmap_new(NULL);
    for (size_t i = 0; i < n; i++)
        if (streq(updaters[i]->manager, ANCIENT) && !*updaters[i]->subresource)
            bucket_of(arena, buckets, updaters[i]->api_version)->into = updaters[i];
    for (size_t i = 0, left = n; i < n && left > MANAGED_UPDATERS_MAX; i++) {
        Bucket *bucket = bucket_of(arena, buckets, updaters[i]->api_version);
        if (!bucket->first) { /* the first of its version makes room for the others */
            bucket->first = updaters[i];
            continue;
        }
        if (!bucket->into) {
            bucket->into = bucket->first;
            bucket->into->manager = ANCIENT;
            bucket->into->subresource = "";
        }
        if (bucket->into == updaters[i])
            continue;
        bucket_add(arena, bucket, updaters[i]);
        left--;
    }
    const char *version;
    Bucket *bucket;
    STRMAP_FOREACH (buckets, version, bucket)
        if (bucket->n)
            bucket->into->set =
                fieldset_union(arena, fieldset_union_all(arena, bucket->sets, bucket->n), bucket->into->set);
    drop_empty(managed);
}

/* Takes what changed from everybody and gives it to the entry of this request. */
static int update_owners(ManagedForms *forms, const Value *live, const Value *object, Managed *managed, Entry self,
                         ApiError *err) {
    Arena *arena = forms->arena;
    Change change = change_of(forms, live, object, managed);
    const Comparison *own = &change.versions[0].comparison;
    for (size_t i = 0; i < managed->n; i++) {
        int r = disown(&change, &managed->entries[i], err);
        if (r < 0)
            return r;
    }
    drop_empty(managed);
    self.set = fieldset_difference(arena, fieldset_union(arena, own->modified, own->added), stripped_fields(arena));
    if (fieldset_empty(self.set))
        return 0;
    Entry *before = managed_find(managed, &self);
    if (before) {
        before->set = fieldset_union(arena, self.set, before->set);
        before->time = self.time;
        before->api_version = self.api_version;
    } else
        managed_add(arena, managed, self);
    return 0;
}

/* Is the list sent to be forgotten: [{}] or []? The latter is nothing in the metadata of a custom resource. */
static bool is_reset(const ManagedInput *input, const Value *list) {
    if (!value_is(list, VALUE_ARRAY))
        return false;
    if (list->len == 0)
        return !input->custom;
    return list->len == 1 && value_is(list->items[0], VALUE_OBJECT) && list->items[0]->len == 0;
}

static void decode_live_or_new(Arena *arena, const ManagedInput *input, const Value *live, const Value *object,
                               Managed *ret) {
    const Value *sent = value_path(object, "metadata", "managedFields", NULL);
    const Value *kept = value_path(live, "metadata", "managedFields", NULL);
    *ret = (Managed){0};
    if (str_empty(input->subresource)) {
        if (is_reset(input, sent))
            return;
        if (!managed_decode(arena, sent, ret) && ret->n)
            return;
    }
    if (managed_decode(arena, kept, ret))
        *ret = (Managed){0};
}

void managed_update(Arena *arena, const ManagedInput *input, const Value *live, Value *object) {
    Managed managed;
    decode_live_or_new(arena, input, live, object, &managed);
    value_remove(value_get(object, "metadata"), "managedFields");
    /* An object whose owners were never recorded stays so, unless this creates it. */
    if (managed.n || str_empty(value_get_str(value_get(live, "metadata"), "uid"))) {
        Entry self = entry_of(arena, input, false);
        self.time = now_text(arena, input);
        const Value *before = live ? without_managed(arena, live) : empty_object(arena, input, object);
        ManagedForms forms = {.arena = arena, .input = input};
        _cleanup_api_error_ ApiError err = {0};
        /* Types of custom resources are checked later, or never where a status is to be ignored. */
        bool fits =
            !input->custom || (typed_fits(arena, input->schema, object) && typed_fits(arena, input->schema, before));
        if (!fits || reconcile(&forms, before, &managed, &err) < 0 ||
            update_owners(&forms, before, object, &managed, self, &err) < 0)
            managed.n = 0;
        cap_updaters(arena, &managed);
    }
    managed_encode(arena, &managed, object);
}

/* ---- apply ---- */

typedef struct Conflict {
    const Entry *entry;
    const char *identifier; /* of the manager, to sort by; set when they are refused */
    FieldSet *set;
} Conflict;

typedef struct Apply {
    Arena *arena;
    const ManagedInput *input;
    ManagedForms forms;
    const Value *live; /* without managedFields */
    Managed managed;
    Conflict *conflicts;
    size_t n_conflicts;
    Value *result;
} Apply;

static FieldSet *named_fields(Arena *arena, const Schema *schema, const Value *object) {
    return typed_with_named_fields(arena, schema, typed_fieldset(arena, schema, object));
}

/* What is being pruned, both in the form of one version. */
typedef struct Pruning {
    const char *api_version;
    const Schema *schema;
    Value *merged, *pruned;
} Pruning;

static int pruning_convert(Apply *apply, Pruning *p, const char *to, ApiError *err) {
    Arena *arena = apply->arena;
    const char *what = "failed to prune fields: failed add back owned items: failed to convert";
    ManagedForm merged, pruned;
    if (managed_same_form(apply->input, p->api_version, to))
        return 0;
    int r = managed_form(&apply->forms, p->api_version, to, p->merged,
                         arena_printf(arena, "%s merged object at version %s: ", what, to), &merged, err);
    if (r == 0)
        r = managed_form(&apply->forms, p->api_version, to, p->pruned,
                         arena_printf(arena, "%s pruned object at version %s: ", what, to), &pruned, err);
    if (r == 0)
        *p = (Pruning){.api_version = to, .schema = merged.schema, .merged = merged.value, .pruned = pruned.value};
    return r;
}

/* Puts back into `pruned` what entries of one version own of `merged`. */
static int add_back(Apply *apply, Pruning *p, const char *version, ApiError *err) {
    Arena *arena = apply->arena;
    FieldSet **sets = arena_alloc(arena, apply->managed.n * sizeof(FieldSet *));
    size_t n = 0;
    for (size_t i = 0; i < apply->managed.n; i++) {
        const Entry *entry = &apply->managed.entries[i];
        if (managed_same_form(apply->input, entry->api_version, version))
            sets[n++] = entry->set;
    }
    FieldSet *owned = fieldset_union_all(arena, sets, n);
    int r = pruning_convert(apply, p, version, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    FieldSet *keep = fieldset_union(arena, named_fields(arena, p->schema, p->pruned),
                                    typed_with_named_fields(arena, p->schema, owned));
    p->pruned = typed_remove(arena, p->schema, p->merged,
                             fieldset_difference(arena, named_fields(arena, p->schema, p->merged), keep));
    return 0;
}

/* Of each version once, that of the last configuration first: what is pruned may be needed to convert the rest. */
static int add_back_all(Apply *apply, Pruning *p, const char *first, ApiError *err) {
    int r = add_back(apply, p, first, err);
    for (size_t i = 0; r == 0 && i < apply->managed.n; i++) {
        const char *version = apply->managed.entries[i].api_version;
        bool done = managed_same_form(apply->input, version, first);
        for (size_t k = 0; k < i && !done; k++)
            done = managed_same_form(apply->input, apply->managed.entries[k].api_version, version);
        if (!done)
            r = add_back(apply, p, version, err);
    }
    return r;
}

/* Takes out the items of the last configuration that this one does not have, in the form of the version that it was of;
 * puts back what others own, and what nobody does. */
static int prune(Apply *apply, Value *merged, const Entry *last, Value **ret, ApiError *err) {
    Arena *arena = apply->arena;
    const char *own = apply->input->api_version;
    ManagedForm before, after;
    *ret = merged;
    if (fieldset_empty(last->set))
        return 0;
    int r =
        managed_form(&apply->forms, own, last->api_version, merged,
                     "failed to prune fields: failed to convert merged object to last applied version: ", &before, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    FieldSet *last_named = typed_with_named_fields(arena, before.schema, last->set);
    Pruning p = {.api_version = last->api_version,
                 .schema = before.schema,
                 .merged = before.value,
                 .pruned = typed_remove(arena, before.schema, before.value, last_named)};
    r = add_back_all(apply, &p, last->api_version, err);
    if (r == 0)
        r = managed_form(&apply->forms, p.api_version, last->api_version, p.pruned,
                         "failed to prune fields: failed add back dangling items: failed to convert pruned object to "
                         "last applied version: ",
                         &after, err);
    if (r < 0)
        return r;
    FieldSet *gone = fieldset_difference(arena, named_fields(arena, before.schema, before.value),
                                         named_fields(arena, before.schema, after.value));
    Value *left = typed_remove(arena, before.schema, before.value, fieldset_intersection(arena, gone, last_named));
    r = managed_form(&apply->forms, last->api_version, own, left, "failed to prune fields: ", &after, err);
    if (r == 0)
        *ret = after.value;
    return r;
}

/* Compares and takes the changed fields from the others; collects conflicts instead unless forced. */
static int take_fields(Apply *apply, const Entry *self, bool force, ApiError *err) {
    Arena *arena = apply->arena;
    Change change = change_of(&apply->forms, apply->live, apply->result, &apply->managed);
    apply->conflicts = arena_alloc(arena, apply->managed.n * sizeof(Conflict));
    apply->n_conflicts = 0;
    int r = 0;
    for (size_t i = 0; i < apply->managed.n; i++) {
        Entry *entry = &apply->managed.entries[i];
        const Comparison *c;
        if (same_manager(entry, self))
            continue;
        r = change_at(&change, entry->api_version, &c, err);
        if (r < 0)
            return r;
        FieldSet *conflict = c ? fieldset_union(arena, fieldset_intersection(arena, entry->set, c->modified),
                                                fieldset_intersection(arena, entry->set, c->added))
                               : NULL;
        if (conflict)
            apply->conflicts[apply->n_conflicts++] = (Conflict){.entry = entry, .set = conflict};
    }
    if (apply->n_conflicts && !force)
        return 0;
    for (size_t i = 0; r == 0 && i < apply->managed.n; i++) {
        Entry *entry = &apply->managed.entries[i];
        if (!same_manager(entry, self))
            r = disown(&change, entry, err);
    }
    apply->n_conflicts = 0;
    return r;
}

static int apply_once(Apply *apply, const Value *applied, bool force, ApiError *err) {
    Arena *arena = apply->arena;
    Entry self = entry_of(arena, apply->input, true), last = self;
    const Schema *schema = apply->input->schema;
    Value *merged = typed_merge(arena, schema, (Value *)apply->live, (Value *)applied);
    FieldSet *set = typed_fieldset(arena, schema, applied);
    FieldSet *reset = fieldset_from_paths(arena, apply->input->reset_fields);
    set = fieldset_difference_deep(arena, set, reset);
    Entry *before = managed_find(&apply->managed, &self);
    if (before) {
        last = *before;
        before->set = set;
        before->api_version = self.api_version;
    } else {
        self.set = set;
        managed_add(arena, &apply->managed, self);
    }
    int r = prune(apply, merged, &last, &apply->result, err);
    return r < 0 ? r : take_fields(apply, &self, force, err);
}

/* ---- conflicts ---- */

static void write_manager(Buf *out, const Entry *entry) {
    go_quote(out, entry->manager);
    if (*entry->subresource) {
        buf_puts(out, " with subresource ");
        go_quote(out, entry->subresource);
    }
    if (!entry->applied)
        buf_printf(out, " using %s", entry->api_version);
}

typedef struct ConflictWriter {
    ApiError *err;
    Buf message, cause;
    size_t n;
    bool alone;
} ConflictWriter;

static void write_conflict(void *user, const char *path) {
    ConflictWriter *writer = user;
    api_error_cause(writer->err, "FieldManagerConflict", writer->cause.data, path);
    buf_printf(&writer->message, writer->alone ? ": %s" : "\n- %s", path);
}

static void count_conflict(void *user, const char *path _unused_) {
    ++*(size_t *)user;
}

/* What the reference knows a manager by, and sorts them by: the JSON of its entry. */
static const char *identifier_of(Arena *arena, const Entry *entry) {
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    Value *key = value_object(arena);
    value_set_str(arena, key, "manager", entry->manager);
    value_set_str(arena, key, "operation", entry->applied ? "Apply" : "Update");
    if (!entry->applied)
        value_set_str(arena, key, "apiVersion", entry->api_version);
    if (*entry->subresource)
        value_set_str(arena, key, "subresource", entry->subresource);
    value_write_json(&text, key);
    return arena_strdup(arena, text.data);
}

static int compare_conflicts(const void *pa, const void *pb) {
    const Conflict *a = pa, *b = pb;
    return strcmp(a->identifier, b->identifier);
}

static int refuse_conflicts(Apply *apply, ApiError *err) {
    size_t n = 0;
    for (size_t i = 0; i < apply->n_conflicts; i++) {
        fieldset_each(apply->conflicts[i].set, count_conflict, &n);
        apply->conflicts[i].identifier = identifier_of(apply->arena, apply->conflicts[i].entry);
    }
    qsort(apply->conflicts, apply->n_conflicts, sizeof(Conflict), compare_conflicts);
    ConflictWriter writer = {.message = BUF_INIT(BUF_NO_LIMIT), .cause = BUF_INIT(BUF_NO_LIMIT), .alone = n == 1};
    ApiError found = {0};
    writer.err = &found;
    for (size_t i = 0; i < apply->n_conflicts; i++) {
        buf_clear(&writer.cause);
        buf_puts(&writer.cause, "conflict with ");
        write_manager(&writer.cause, apply->conflicts[i].entry);
        if (n == 1)
            buf_puts(&writer.message, writer.cause.data);
        else {
            buf_puts(&writer.message, i ? "\nconflicts with " : "conflicts with ");
            write_manager(&writer.message, apply->conflicts[i].entry);
            buf_putc(&writer.message, ':');
        }
        fieldset_each(apply->conflicts[i].set, write_conflict, &writer);
    }
    int r = api_error_set(err, 409, "Conflict", "Apply failed with %zu conflict%s: %s", n, n == 1 ? "" : "s",
                          writer.message.data);
    for (size_t i = 0; i < found.n_causes; i++)
        api_error_cause(err, found.causes[i].reason, found.causes[i].message, found.causes[i].field);
    api_error_done(&found);
    buf_done(&writer.message);
    buf_done(&writer.cause);
    return r;
}

/* ---- the annotation of client-side apply ---- */

static const char *last_applied(const Value *object) {
    return value_str(value_get(value_path(object, "metadata", "annotations", NULL), LAST_APPLIED));
}

/* Fields that client-side apply set and that are still as it set them: kubectl may take those from others. */
static FieldSet *client_side_fields(Apply *apply) {
    const char *text = last_applied(apply->live);
    Value *config;
    if (str_empty(text) || json_parse(apply->arena, text, strlen(text), &config, NULL, NULL) < 0 ||
        !streq(str_or(value_get_str(config, "apiVersion"), ""), apply->input->api_version) ||
        typed_validate(apply->arena, apply->input->schema, config))
        return NULL;
    Arena *arena = apply->arena;
    Comparison c = typed_compare(arena, apply->input->schema, config, apply->live);
    FieldSet *set = typed_fieldset(arena, apply->input->schema, config);
    set = fieldset_difference(arena, set, c.modified);
    set = fieldset_difference(arena, set, c.added);
    return fieldset_difference(arena, set, c.removed);
}

/* Takes the allowed fields out of the conflicts; true when none is left. */
static bool allow_client_side(Apply *apply) {
    FieldSet *allowed = client_side_fields(apply);
    if (!allowed)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < apply->n_conflicts; i++) {
        Conflict conflict = apply->conflicts[i];
        conflict.set = fieldset_difference(apply->arena, conflict.set, allowed);
        if (conflict.set)
            apply->conflicts[n++] = conflict;
    }
    apply->n_conflicts = n;
    return n == 0;
}

/* kubectl keeps the annotation up to date when it changes to server-side apply. */
static void sync_last_applied(Arena *arena, const ManagedInput *input, const Value *applied, Value *object) {
    if (!streq(str_or(input->manager, ""), "kubectl") || str_empty(last_applied(object)))
        return;
    Value *config = value_copy(arena, applied);
    value_remove(value_path(config, "metadata", "annotations", NULL), LAST_APPLIED);
    value_sort_deep(config);
    _cleanup_buf_ Buf text = BUF_INIT(ANNOTATIONS_MAX);
    value_write_json(&text, config);
    buf_putc(&text, '\n');
    Value *metadata = value_copy(arena, value_get(object, "metadata"));
    value_set(arena, object, "metadata", metadata);
    value_set_str(arena, value_get(metadata, "annotations"), LAST_APPLIED, text.failed ? NULL : text.data);
}

/* ---- managed_apply ---- */

static int check_applied(Arena *arena, const ManagedInput *input, const Value *applied, ApiError *err) {
    const char *version = str_or(value_get_str(applied, "apiVersion"), ""), *kind = value_get_str(applied, "kind");
    if (!streq(version, input->api_version))
        return api_error_bad_request(
            err, "Incorrect version specified in apply patch. Specified patch version: %s, expected: %s", version,
            input->api_version);
    const Value *metadata = value_get(applied, "metadata");
    if (!value_is(value_get(metadata, "managedFields"), VALUE_NULL) && value_get(metadata, "managedFields"))
        return api_error_bad_request(err, "metadata.managedFields must be nil");
    char *wrong = typed_validate(arena, input->schema, applied);
    if (!wrong)
        return 0;
    const char *slash = strchr(version, '/');
    return api_error_set(err, 500, "", "failed to create typed patch object (%s/%s; %s%s, Kind=%s): %s",
                         str_or(value_get_str(metadata, "namespace"), ""), str_or(value_get_str(metadata, "name"), ""),
                         slash ? "" : "/", version, str_or(kind, ""), wrong);
}

/* An object whose owners were never recorded: all it has belongs to "before-first-apply". */
static int record_existing(Apply *apply, ApiError *err) {
    if (apply->managed.n || !apply->live)
        return 0;
    ManagedInput input = *apply->input;
    input.manager = "before-first-apply";
    Entry self = entry_of(apply->arena, &input, false);
    self.time = now_text(apply->arena, &input);
    return update_owners(&apply->forms, empty_object(apply->arena, &input, apply->live), apply->live, &apply->managed,
                         self, err);
}

static void finish(Apply *apply, const Value *applied, bool changed) {
    Arena *arena = apply->arena;
    Entry self = entry_of(arena, apply->input, true), *own = managed_find(&apply->managed, &self);
    if (own) {
        own->set = fieldset_difference(arena, own->set, stripped_fields(arena));
        if (changed)
            own->time = now_text(arena, apply->input);
    }
    drop_empty(&apply->managed);
    sync_last_applied(arena, apply->input, applied, apply->result);
    value_set(arena, apply->result, "metadata",
              value_copy(arena, value_ensure_object(arena, apply->result, "metadata")));
    managed_encode(arena, &apply->managed, apply->result);
}

int managed_apply(Arena *arena, const ManagedInput *input, const Value *live, const Value *applied, Value **ret,
                  bool *ret_changed, ApiError *err) {
    int r = check_applied(arena, input, applied, err);
    if (r < 0)
        return r;
    Apply apply = {.arena = arena, .input = input, .forms = {.arena = arena, .input = input}};
    const char *wrong = managed_decode(arena, value_path(live, "metadata", "managedFields", NULL), &apply.managed);
    if (wrong)
        return api_error_set(err, 500, "", "failed to decode managed fields: %s", wrong);
    apply.live = live ? without_managed(arena, live) : NULL;
    r = record_existing(&apply, err);
    if (!live)
        apply.live = empty_object(arena, input, applied);
    if (r == 0)
        r = reconcile(&apply.forms, apply.live, &apply.managed, err);
    if (r < 0)
        return r;
    Managed before = {.n = apply.managed.n, .cap = apply.managed.n};
    before.entries = arena_alloc(arena, before.n * sizeof(Entry));
    if (before.n)
        memcpy(before.entries, apply.managed.entries, before.n * sizeof(Entry));
    r = apply_once(&apply, applied, input->force, err);
    if (r < 0)
        return r;
    if (apply.n_conflicts) {
        if (!streq(str_or(input->manager, ""), "kubectl") || !allow_client_side(&apply))
            return refuse_conflicts(&apply, err);
        apply.managed = before;
        r = apply_once(&apply, applied, true, err);
        if (r < 0)
            return r;
    }
    bool changed = !typed_equal(apply.live, apply.result);
    apply.result = without_managed(arena, apply.result); /* the top is our own from here on */
    finish(&apply, applied, changed);
    *ret = value_copy(arena, apply.result); /* it shares parts with live and applied, and the caller will change it */
    *ret_changed = changed || !live;
    return 0;
}

/* ---- writes that change nothing ---- */

/* Objects equal but for the members named; both ways, so that neither has more. */
static bool equal_but(const Value *a, const Value *b, const char *const *but) {
    for (int way = 0; way < 2; way++) {
        const Value *from = way ? b : a, *to = way ? a : b;
        _cleanup_member_index_ MemberIndex others = member_index_new(to);
        VALUE_FOREACH_MEMBER (m, from)
            if (!str_in(m->name, but) && !value_equal(m->value, member_index_get(&others, m->name)))
                return false;
    }
    return true;
}

bool managed_restore_times(const Value *live, Value *object) {
    static const char *const metadata_only[] = {"metadata", NULL}, *const times_only[] = {"time", NULL};
    static const char *const not_compared[] = {"managedFields", "resourceVersion", NULL};
    const Value *before = value_get(live, "metadata");
    Value *after = value_get(object, "metadata");
    Value *old = value_get(before, "managedFields"), *new = value_get(after, "managedFields");
    if (value_len(old) != value_len(new) || !value_len(old) || !equal_but(before, after, not_compared) ||
        !equal_but(live, object, metadata_only))
        return false;
    for (size_t i = 0; i < old->len; i++)
        if (!equal_but(old->items[i], new->items[i], times_only))
            return false;
    *new = *old; /* shares the entries, which nothing changes any more */
    return true;
}
