#include "apiserver/flow_schema_status.h"
#include "api/value.h"
#include "base/clock.h"
#include "base/str.h"
#include "client/informer.h"
#include "client/workqueue.h"

#include <errno.h>

#define GROUP "flowcontrol.apiserver.k8s.io"
#define MANAGER "api-priority-and-fairness-config-consumer-v1"
#define WORKERS 1

struct FlowSchemaStatus {
    Client *client;
    InformerSet *set;
    Informer *schemas, *levels;
    WorkQueue *queue; /* names of flow schemas */
};

static const char *level_of(const Value *schema) {
    return str_or(value_get_str(value_path(schema, "spec", "priorityLevelConfiguration", NULL), "name"), "");
}

static Value *dangling_condition(Arena *arena, const char *level, bool exists) {
    Value *condition = value_object(arena);
    char now[RFC3339_MAX];
    value_set_str(arena, condition, "type", "Dangling");
    value_set_str(arena, condition, "status", exists ? "False" : "True");
    value_set_str(arena, condition, "lastTransitionTime", rfc3339_format(now_realtime_ns(), now));
    value_set_str(arena, condition, "reason", exists ? "Found" : "NotFound");
    value_set(arena, condition, "message",
              value_printf(arena, "This FlowSchema references the PriorityLevelConfiguration object named %s %s",
                           go_quoted(arena, level), exists ? "and it exists" : "but there is no such object"));
    return condition;
}

/* But for the time. */
static bool is_said(const Value *schema, const Value *condition) {
    static const char *const fields[] = {"status", "reason", "message"};
    const Value *item, *there = NULL;
    VALUE_FOREACH (item, value_path(schema, "status", "conditions", NULL))
        if (streq_null(value_get_str(item, "type"), "Dangling"))
            there = item;
    for (size_t i = 0; i < ELEMENTSOF(fields); i++)
        if (!streq(str_or(value_get_str(there, fields[i]), ""), value_get_str(condition, fields[i])))
            return false;
    return true;
}

static int sync_schema(const char *name, void *userdata) {
    FlowSchemaStatus *s = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *schema = informer_lookup(s->schemas, NULL, name), *level = NULL;
    _cleanup_api_error_ ApiError err = {0};
    if (!schema)
        return 0;
    if (!informer_synced(s->levels))
        return -EAGAIN;
    const Value *v = object_value(schema, arena);
    level = informer_lookup(s->levels, NULL, level_of(v));
    Value *condition = dangling_condition(arena, level_of(v), level != NULL);
    if (is_said(v, condition))
        return 0;
    Value *applied = value_object(arena), *meta = value_object(arena), *status = value_object(arena),
          *conditions = value_array(arena);
    value_append(arena, conditions, condition);
    value_set(arena, status, "conditions", conditions);
    value_set_str(arena, meta, "name", name);
    value_set_str(arena, applied, "apiVersion", GROUP "/v1");
    value_set_str(arena, applied, "kind", "FlowSchema");
    value_set(arena, applied, "metadata", meta);
    value_set(arena, applied, "status", status);
    int r = client_apply(s->client, informer_resource(s->schemas), NULL, name, "status", MANAGER, applied, NULL, &err);
    return r == -ENOENT ? 0 : r;
}

static void schema_added(Object *schema, void *userdata) {
    workqueue_add(((FlowSchemaStatus *)userdata)->queue, object_name(schema));
}

static void schema_updated(_unused_ Object *old, Object *schema, void *userdata) {
    schema_added(schema, userdata);
}

/* It came or went: those that name it may think otherwise. */
static void level_changed(Object *level, void *userdata) {
    FlowSchemaStatus *s = userdata;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_client_list_ ClientList schemas = {0};
    informer_list(s->schemas, NULL, NULL, &schemas);
    for (size_t i = 0; i < schemas.n; i++)
        if (streq(level_of(object_value(schemas.items[i], arena)), object_name(level)))
            workqueue_add(s->queue, object_name(schemas.items[i]));
}

FlowSchemaStatus *flow_schema_status_start(Client *client) {
    FlowSchemaStatus *s = NEW0(FlowSchemaStatus);
    s->client = client;
    s->set = informer_set_new(client);
    s->schemas = informer_get(s->set, resource_find(GROUP, "v1", "flowschemas"), NULL, NULL);
    s->levels = informer_get(s->set, resource_find(GROUP, "v1", "prioritylevelconfigurations"), NULL, NULL);
    s->queue = workqueue_new("flow-schemas", WORKERS, sync_schema, s);
    informer_add_handler(s->schemas, &(InformerHandler){schema_added, schema_updated, NULL}, s);
    informer_add_handler(s->levels, &(InformerHandler){level_changed, NULL, level_changed}, s);
    informer_set_start(s->set);
    return s;
}

void flow_schema_status_stop(FlowSchemaStatus *s) {
    if (!s)
        return;
    informer_set_stop(s->set);
    workqueue_free(s->queue);
    informer_set_free(s->set);
    free(s);
}
