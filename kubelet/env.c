#include "kubelet/env.h"

#include "base/str.h"
#include "base/strmap.h"

#include <ctype.h>
#include <errno.h>

/* Variables in order of first definition; a later definition replaces the value in place. */
typedef struct EnvTable {
    Arena *arena;
    RuntimePair *items;
    size_t n, cap;
    StrMap *index; /* name -> position + 1 */
} EnvTable;

static RuntimePair *table_find(const EnvTable *t, const char *name) {
    size_t at = (size_t)strmap_get(t->index, name);
    return at ? &t->items[at - 1] : NULL;
}

static void table_set(EnvTable *t, const char *name, const char *value) {
    RuntimePair *have = table_find(t, name);
    if (have) {
        have->value = arena_strdup(t->arena, value);
        return;
    }
    if (t->n == ENV_MAX)
        return;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 32;
        RuntimePair *items = arena_alloc(t->arena, cap * sizeof *items);
        if (t->n)
            memcpy(items, t->items, t->n * sizeof *items);
        t->items = items;
        t->cap = cap;
    }
    t->items[t->n++] = (RuntimePair){arena_strdup(t->arena, name), arena_strdup(t->arena, value)};
    strmap_put(t->index, name, (void *)t->n);
}

const char *env_expand(Arena *arena, const char *text, const char *(*lookup)(const char *name, void *userdata),
                       void *userdata) {
    if (!strchr(text, '$'))
        return text;
    _cleanup_buf_ Buf out = BUF_INIT(4 * 1024 * 1024);
    for (const char *p = text; *p; p++) {
        const char *close;
        if (*p != '$' || !p[1])
            buf_putc(&out, *p);
        else if (p[1] == '$') {
            buf_putc(&out, '$');
            p++;
        } else if (p[1] == '(' && (close = strchr(p + 2, ')'))) {
            char *name = arena_strndup(arena, p + 2, (size_t)(close - p - 2));
            const char *value = lookup(name, userdata);
            if (value)
                buf_puts(&out, value);
            else
                buf_append(&out, p, (size_t)(close - p) + 1);
            p = close;
        } else
            buf_putc(&out, *p);
    }
    return arena_strndup(arena, out.data ? out.data : "", out.len);
}

typedef struct Scope {
    const EnvTable *own, *services;
} Scope;

static const char *scope_lookup(const char *name, void *userdata) {
    const Scope *s = userdata;
    const RuntimePair *p = table_find(s->own, name);
    if (!p && s->services)
        p = table_find(s->services, name);
    return p ? p->value : NULL;
}

static char *service_prefix(Arena *arena, const char *name) {
    char *s = arena_strdup(arena, name);
    for (char *p = s; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return s;
}

static void add_service_port(EnvTable *t, const char *prefix, const char *ip, const Value *port, bool first) {
    Arena *a = t->arena;
    const char *protocol = str_or(value_get_str(port, "protocol"), "TCP"), *name = value_get_str(port, "name");
    long long number = value_get_int(port, "port", 0);
    char *lower = arena_strdup(a, protocol), *text = arena_printf(a, "%lld", number);
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    const char *url = arena_printf(a, strchr(ip, ':') ? "%s://[%s]:%lld" : "%s://%s:%lld", lower, ip, number);
    if (first) {
        table_set(t, arena_printf(a, "%s_SERVICE_PORT", prefix), text);
        table_set(t, arena_printf(a, "%s_PORT", prefix), url);
    }
    if (!str_empty(name))
        table_set(t, arena_printf(a, "%s_SERVICE_PORT_%s", prefix, service_prefix(a, name)), text);
    const char *base = arena_printf(a, "%s_PORT_%lld_%s", prefix, number, service_prefix(a, protocol));
    table_set(t, base, url);
    table_set(t, arena_printf(a, "%s_PROTO", base), lower);
    table_set(t, arena_printf(a, "%s_PORT", base), text);
    table_set(t, arena_printf(a, "%s_ADDR", base), ip);
}

/* Services of the pod's namespace when it wants links, and always the API server's. */
static void add_services(EnvTable *t, const EnvContext *context, const Value *pod) {
    const char *ns = str_or(value_get_str(value_get(pod, "metadata"), "namespace"), "");
    bool links = value_get_bool(value_get(pod, "spec"), "enableServiceLinks", true);
    for (size_t i = 0; i < context->n_services; i++) {
        Object *o = context->services[i];
        bool master = streq(object_namespace(o), "default") && streq(object_name(o), "kubernetes");
        if (!master && !(links && streq(object_namespace(o), ns)))
            continue;
        const Value *service = object_value(o, t->arena), *port;
        const char *ip = value_get_str(value_get(service, "spec"), "clusterIP");
        const Value *ports = value_path(service, "spec", "ports", NULL);
        if (str_empty(ip) || streq(ip, "None") || value_len(ports) == 0)
            continue;
        char *prefix = service_prefix(t->arena, object_name(o));
        table_set(t, arena_printf(t->arena, "%s_SERVICE_HOST", prefix), ip);
        bool first = true;
        VALUE_FOREACH (port, ports) {
            add_service_port(t, prefix, ip, port, first);
            first = false;
        }
    }
}

/* A key's text in a ConfigMap, or in a Secret (decoded); NULL when it has no such key. */
static const char *data_of(Arena *arena, const Value *object, bool secret, const Value *encoded) {
    (void)object;
    const char *text = value_str(encoded);
    if (!text || !secret)
        return text;
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t n = 0;
    if (base64_decode(text, strlen(text), &bytes, &n) < 0)
        return NULL;
    return arena_strndup(arena, (const char *)bytes, n);
}

/* *ret NULL when it is absent and optional. */
static int get_source(Arena *arena, const EnvContext *context, const Value *pod, bool secret, const Value *selector,
                      const Value **ret, const char **ret_error) {
    const char *ns = str_or(value_get_str(value_get(pod, "metadata"), "namespace"), "");
    const char *name = str_or(value_get_str(selector, "name"), "");
    _cleanup_object_ Object *o = NULL;
    _cleanup_api_error_ ApiError err = {0};
    *ret = NULL;
    int r = context->source->get(context->source->userdata, secret ? "secrets" : "configmaps", ns, name, &o, &err);
    if (r == -ENOENT && value_get_bool(selector, "optional", false))
        return 0;
    if (r < 0) {
        *ret_error = err.message ? arena_strdup(arena, err.message)
                                 : arena_printf(arena, "couldn't get %s %s/%s: %s", secret ? "secret" : "configMap", ns,
                                                name, strerror(-r));
        return r;
    }
    *ret = object_value(o, arena);
    return 0;
}

static int add_from(EnvTable *t, const EnvContext *context, const Value *pod, const Value *from,
                    const char **ret_error) {
    const Value *config = value_get(from, "configMapRef"), *secret = value_get(from, "secretRef"), *object;
    if (!config && !secret)
        return 0;
    int r = get_source(t->arena, context, pod, !config, config ? config : secret, &object, ret_error);
    if (r < 0 || !object)
        return r;
    const char *prefix = str_or(value_get_str(from, "prefix"), "");
    VALUE_FOREACH_MEMBER (m, value_get(object, "data")) {
        const char *value = data_of(t->arena, object, !config, m->value);
        if (value)
            table_set(t, arena_printf(t->arena, "%s%s", prefix, m->name), value);
    }
    return 0;
}

static int key_reference(EnvTable *t, const EnvContext *context, const Value *pod, bool secret, const Value *selector,
                         const char **ret, const char **ret_error) {
    const Value *object;
    *ret = NULL;
    int r = get_source(t->arena, context, pod, secret, selector, &object, ret_error);
    if (r < 0 || !object)
        return r;
    const char *key = str_or(value_get_str(selector, "key"), "");
    *ret = data_of(t->arena, object, secret, value_get(value_get(object, "data"), key));
    if (*ret || value_get_bool(selector, "optional", false))
        return 0;
    *ret_error = arena_printf(t->arena, "couldn't find key %s in %s %s/%s", key, secret ? "Secret" : "ConfigMap",
                              str_or(value_get_str(value_get(pod, "metadata"), "namespace"), ""),
                              str_or(value_get_str(selector, "name"), ""));
    return -ENOENT;
}

/* *ret NULL: an optional reference to nothing, so the variable is left out. */
static int value_from(EnvTable *t, const EnvContext *context, const Value *pod, const Value *container,
                      const Value *from, const char **ret, const char **ret_error) {
    const Value *reference;
    if ((reference = value_get(from, "fieldRef")))
        return field_reference(t->arena, pod, context->facts, value_get_str(reference, "fieldPath"), ret, ret_error);
    if ((reference = value_get(from, "resourceFieldRef"))) {
        const char *name = value_get_str(reference, "containerName");
        if (!str_empty(name)) {
            const Value *list = value_path(pod, "spec", "containers", NULL), *c;
            VALUE_FOREACH (c, list)
                if (streq_null(value_get_str(c, "name"), name))
                    container = c;
        }
        return resource_field_reference(t->arena, container, context->facts, reference, ret, ret_error);
    }
    if ((reference = value_get(from, "configMapKeyRef")))
        return key_reference(t, context, pod, false, reference, ret, ret_error);
    if ((reference = value_get(from, "secretKeyRef")))
        return key_reference(t, context, pod, true, reference, ret, ret_error);
    *ret_error = "fileKeyRef is not supported on this node";
    return -EOPNOTSUPP;
}

static int add_own(EnvTable *t, const EnvContext *context, const Value *pod, const Value *container,
                   const EnvTable *services, const char **ret_error) {
    const Value *item;
    int r;
    VALUE_FOREACH (item, value_get(container, "envFrom"))
        if ((r = add_from(t, context, pod, item, ret_error)) < 0)
            return r;
    VALUE_FOREACH (item, value_get(container, "env")) {
        const char *name = value_get_str(item, "name"), *value = value_get_str(item, "value");
        const Value *from = value_get(item, "valueFrom");
        if (!name)
            continue;
        if (!str_empty(value)) {
            Scope scope = {t, services};
            value = env_expand(t->arena, value, scope_lookup, &scope);
        } else if (!value_is_empty(from)) {
            if ((r = value_from(t, context, pod, container, from, &value, ret_error)) < 0)
                return r;
            if (!value)
                continue;
        }
        table_set(t, name, str_or(value, ""));
    }
    return 0;
}

int env_build(Arena *arena, const EnvContext *context, const Value *pod, const Value *container, RuntimePair **ret,
              size_t *ret_n, const char **ret_error) {
    _cleanup_(strmap_freep) StrMap *own_index = strmap_new(NULL), *service_index = strmap_new(NULL);
    EnvTable own = {.arena = arena, .index = own_index}, services = {.arena = arena, .index = service_index};
    add_services(&services, context, pod);
    int r = add_own(&own, context, pod, container, &services, ret_error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < services.n; i++)
        if (!table_find(&own, services.items[i].key))
            table_set(&own, services.items[i].key, services.items[i].value);
    *ret = own.items;
    *ret_n = own.n;
    return 0;
}

typedef struct PairScope {
    const RuntimePair *env;
    size_t n;
} PairScope;

static const char *pair_lookup(const char *name, void *userdata) {
    const PairScope *s = userdata;
    for (size_t i = 0; i < s->n; i++)
        if (streq(s->env[i].key, name))
            return s->env[i].value;
    return NULL;
}

const char *const *env_expand_list(Arena *arena, const Value *list, const RuntimePair *env, size_t n_env) {
    size_t n = value_len(list);
    if (n == 0)
        return NULL;
    const char **out = arena_alloc0(arena, (n + 1) * sizeof *out);
    PairScope scope = {env, n_env};
    for (size_t i = 0; i < n; i++)
        out[i] = env_expand(arena, str_or(value_str(value_at(list, i)), ""), pair_lookup, &scope);
    return out;
}
