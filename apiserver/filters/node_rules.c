/* What the Node authorizer grants every node, whatever its pods: of the reference's NodeRules those that node_authz.c
 * does not subdivide. */
#include "apiserver/filters/node_authz.h"
#include "base/str.h"

#define READ "get,list,watch"

static const struct {
    const char *verbs, *groups, *resources; /* separated by commas */
} rows[] = {
    {"create", "authentication.k8s.io", "tokenreviews"},
    {"create", "authorization.k8s.io", "subjectaccessreviews,localsubjectaccessreviews"},
    {READ, "", "services"},
    {"create,update,patch", ",events.k8s.io", "events"},
    {"get", "", "endpoints"},
    {"create,get,list,watch", "certificates.k8s.io", "certificatesigningrequests"},
    {READ, "storage.k8s.io", "csidrivers"},
    {READ, "node.k8s.io", "runtimeclasses"},
    {READ, "certificates.k8s.io", "clustertrustbundles"},
};

/* "" is a list with one empty string (the core group). */
static void set_list(Arena *arena, Value *rule, const char *name, const char *text) {
    Value *list = value_array(arena);
    size_t n = 0;
    char **parts = *text ? str_split(arena, text, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++)
        value_append(arena, list, value_string(arena, parts[i]));
    if (!*text)
        value_append(arena, list, value_string(arena, ""));
    value_set(arena, rule, name, list);
}

Value *node_rules(Arena *arena) {
    Value *rules = value_array(arena);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        Value *rule = value_object(arena);
        set_list(arena, rule, "verbs", rows[i].verbs);
        set_list(arena, rule, "apiGroups", rows[i].groups);
        set_list(arena, rule, "resources", rows[i].resources);
        value_append(arena, rules, rule);
    }
    return rules;
}
