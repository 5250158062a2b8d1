/* Invariant: `elements` counts, for each element in the kernel, the Services that hold it, all of them with the same
 * text. An element goes with its last holder. */
#include "network/proxy/table.h"

#include "base/str.h"
#include "base/strmap.h"

#include <errno.h>
#include <stdio.h>

typedef struct Item {
    RuleKind kind;
    char *id; /* the name; of an element name, tab, key */
    uint64_t digest;
    bool held; /* false: an element that another Service has */
} Item;

typedef struct Holdings {
    Item *items;
    size_t n;
} Holdings;

typedef struct Element {
    uint64_t digest;
    unsigned holders;
} Element;

struct ProxyTable {
    char *name;
    StrMap *services; /* key -> Holdings */
    StrMap *elements; /* id -> Element */
    StrMap *stale;    /* emptied chain -> uint64_t * since when */
    /* The round. */
    StrMap *leftover_chains, *leftover_sets; /* of a reset: what is there and not claimed yet; values unused */
    bool resetting, freed;
    Buf make, empty, drop_elements, rules, add_elements, drop_sets;
};

static void holdings_free(void *p) {
    Holdings *holdings = p;
    for (size_t i = 0; i < holdings->n; i++)
        free(holdings->items[i].id);
    free(holdings->items);
    free(holdings);
}

ProxyTable *proxy_table_new(const char *name) {
    ProxyTable *t = NEW0(ProxyTable);
    t->name = xstrdup(name);
    t->services = strmap_new(holdings_free);
    t->elements = strmap_new(free);
    t->stale = strmap_new(free);
    t->leftover_chains = strmap_new(NULL);
    t->leftover_sets = strmap_new(NULL);
    return t;
}

static void done_round(ProxyTable *t) {
    Buf *all[] = {&t->make, &t->empty, &t->drop_elements, &t->rules, &t->add_elements, &t->drop_sets};
    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        buf_done(all[i]);
        *all[i] = BUF_INIT(PROXY_SCRIPT_MAX);
    }
    strmap_clear(t->leftover_chains);
    strmap_clear(t->leftover_sets);
    t->resetting = t->freed = false;
}

void proxy_table_free(ProxyTable *t) {
    if (!t)
        return;
    done_round(t);
    strmap_free(t->services);
    strmap_free(t->elements);
    strmap_free(t->stale);
    strmap_free(t->leftover_chains);
    strmap_free(t->leftover_sets);
    free(t->name);
    free(t);
}

void proxy_table_begin(ProxyTable *t) {
    done_round(t);
}

void proxy_table_reset(ProxyTable *t, const ProxySettings *settings, const char *const *existing_chains,
                       const char *const *existing_sets) {
    strmap_clear(t->services);
    strmap_clear(t->elements);
    strmap_clear(t->stale);
    t->resetting = true;
    for (size_t i = 0; existing_chains && existing_chains[i]; i++)
        if (proxy_name_is_service(existing_chains[i]))
            strmap_put(t->leftover_chains, existing_chains[i], t);
    for (size_t i = 0; existing_sets && existing_sets[i]; i++)
        if (proxy_name_is_service(existing_sets[i]))
            strmap_put(t->leftover_sets, existing_sets[i], t);
    proxy_base_rules(&t->make, settings);
}

/* ---- single items ---- */

static void write_chain(ProxyTable *t, const char *name, const char *text) {
    buf_printf(&t->make, "add chain ip %s %s\n", t->name, name);
    buf_printf(&t->empty, "flush chain ip %s %s\n", t->name, name);
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        buf_printf(&t->rules, "add rule ip %s %s %.*s\n", t->name, name, (int)n, line);
        line += n + (line[n] == '\n');
    }
    strmap_remove(t->leftover_chains, name);
    strmap_remove(t->stale, name);
}

static void retire_chain(ProxyTable *t, const char *name) {
    buf_printf(&t->empty, "flush chain ip %s %s\n", t->name, name);
    strmap_put(t->stale, name, NEW0(uint64_t)); /* dated when the script is taken */
}

static void write_element(const ProxyTable *t, Buf *out, const char *verb, const char *id, const char *text) {
    const char *tab = strchr(id, '\t');
    buf_printf(out, "%s element ip %s %.*s { %s%s }\n", verb, t->name, (int)(tab - id), id, tab + 1, text);
}

/* True when it is held now. */
static bool claim_element(ProxyTable *t, const char *id, const char *text, uint64_t digest) {
    Element *element = strmap_get(t->elements, id);
    if (element && element->digest != digest)
        return false;
    if (!element) {
        element = NEW0(Element);
        element->digest = digest;
        strmap_put(t->elements, id, element);
        write_element(t, &t->add_elements, "add", id, text);
    }
    element->holders++;
    return true;
}

static void release_element(ProxyTable *t, const char *id) {
    Element *element = strmap_get(t->elements, id);
    if (!element || --element->holders)
        return;
    write_element(t, &t->drop_elements, "delete", id, "");
    strmap_remove(t->elements, id);
    t->freed = true;
}

static void release(ProxyTable *t, const Item *item) {
    if (item->kind == RULE_CHAIN)
        retire_chain(t, item->id);
    else if (item->kind == RULE_SET)
        buf_printf(&t->drop_sets, "delete set ip %s %s\n", t->name, item->id);
    else if (item->held)
        release_element(t, item->id);
}

static bool claim(ProxyTable *t, const Rule *rule, Item *item) {
    if (rule->kind == RULE_CHAIN)
        write_chain(t, rule->name, rule->text);
    else if (rule->kind == RULE_SET) {
        buf_printf(&t->make, "add set ip %s %s { %s }\n", t->name, rule->name, rule->text);
        strmap_remove(t->leftover_sets, rule->name);
    } else
        return claim_element(t, item->id, rule->text, item->digest);
    return true;
}

/* ---- a Service ---- */

static Item item_of(const Rule *rule) {
    return (Item){.kind = rule->kind,
                  .id = rule->key ? xasprintf("%s\t%s", rule->name, rule->key) : xstrdup(rule->name),
                  .digest = hash_bytes(rule->text, strlen(rule->text))};
}

/* Names of chains, sets and elements differ by their first letters or the tab, so one map does for all kinds. */
static StrMap *index_of(Holdings *holdings) {
    StrMap *map = strmap_new(NULL);
    for (size_t i = 0; holdings && i < holdings->n; i++)
        strmap_put(map, holdings->items[i].id, &holdings->items[i]);
    return map;
}

bool proxy_table_set(ProxyTable *t, const char *service, const RuleList *rules) {
    Holdings *old = strmap_take(t->services, service), *now = NEW0(Holdings);
    _cleanup_(strmap_freep) StrMap *before = index_of(old);
    bool *unchanged = NEWN0(bool, rules->n + 1), all_held = true;
    now->items = NEWN0(Item, rules->n + 1);
    /* First what stays; then what goes, so that an element may change its text; then what comes. */
    for (size_t i = 0; i < rules->n; i++) {
        Item *item = &now->items[now->n++], *was;
        *item = item_of(&rules->items[i]);
        was = strmap_get(before, item->id);
        if (!was || (was->digest != item->digest && item->kind == RULE_ELEMENT))
            continue;
        unchanged[i] = was->digest == item->digest && was->held;
        if (unchanged[i])
            item->held = true;
        if (unchanged[i] || item->kind == RULE_CHAIN) /* a chain with another text is rewritten, not retired */
            strmap_remove(before, item->id);
    }
    for (size_t i = 0; old && i < old->n; i++)
        if (strmap_get(before, old->items[i].id))
            release(t, &old->items[i]);
    for (size_t i = 0; i < rules->n; i++)
        if (!unchanged[i] && !(now->items[i].held = claim(t, &rules->items[i], &now->items[i])))
            all_held = false;
    free(unchanged);
    if (old)
        holdings_free(old);
    if (now->n)
        strmap_put(t->services, service, now);
    else
        holdings_free(now);
    return all_held;
}

static void retire_leftovers(ProxyTable *t) {
    const char *name;
    void *unused;
    STRMAP_FOREACH (t->leftover_chains, name, unused)
        retire_chain(t, name);
    STRMAP_FOREACH (t->leftover_sets, name, unused)
        buf_printf(&t->drop_sets, "delete set ip %s %s\n", t->name, name);
}

int proxy_table_script(ProxyTable *t, uint64_t now_ns, char **ret, bool *ret_freed) {
    const char *name;
    uint64_t *since;
    retire_leftovers(t);
    STRMAP_FOREACH (t->stale, name, since)
        if (!*since)
            *since = now_ns;
    const Buf *parts[] = {&t->make, &t->empty, &t->drop_elements, &t->rules, &t->add_elements, &t->drop_sets};
    _cleanup_buf_ Buf script = BUF_INIT(PROXY_SCRIPT_MAX);
    for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
        script.failed = script.failed || parts[i]->failed;
        if (parts[i]->len)
            buf_append(&script, parts[i]->data, parts[i]->len);
    }
    *ret_freed = t->freed;
    if (script.failed)
        return -E2BIG;
    *ret = script.len ? buf_take(&script, NULL) : NULL;
    done_round(t);
    return 0;
}

char *proxy_table_sweep(ProxyTable *t, uint64_t now_ns, uint64_t *ret_next_ns) {
    _cleanup_buf_ Buf script = BUF_INIT(PROXY_SCRIPT_MAX);
    _cleanup_(strmap_freep) StrMap *due = strmap_new(NULL);
    const char *name;
    uint64_t *since;
    void *unused;
    *ret_next_ns = 0;
    STRMAP_FOREACH (t->stale, name, since)
        if (*since + PROXY_STALE_NS <= now_ns)
            strmap_put(due, name, t);
        else if (!*ret_next_ns || *since + PROXY_STALE_NS < *ret_next_ns)
            *ret_next_ns = *since + PROXY_STALE_NS;
    STRMAP_FOREACH (due, name, unused) {
        buf_printf(&script, "delete chain ip %s %s\n", t->name, name);
        strmap_remove(t->stale, name);
    }
    return script.len && !script.failed ? buf_take(&script, NULL) : NULL;
}
