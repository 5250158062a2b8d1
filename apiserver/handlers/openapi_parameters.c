#include "apiserver/handlers/openapi_parameters.h"
#include "base/str.h"

#define CORE "io.k8s.api.core.v1."

/* By the bit of the options. */
static const char *const options_names[] = {
    OPENAPI_META "ListOptions",   OPENAPI_META "CreateOptions", OPENAPI_META "UpdateOptions",
    OPENAPI_META "PatchOptions",  OPENAPI_META "DeleteOptions", OPENAPI_META "GetOptions",
    CORE "PodLogOptions",         CORE "PodAttachOptions",      CORE "PodExecOptions",
    CORE "PodPortForwardOptions", CORE "PodProxyOptions",       CORE "ServiceProxyOptions",
    CORE "NodeProxyOptions"};

#define LISTS (OPTIONS_LIST | OPTIONS_COLLECTION)
#define DELETES (OPTIONS_DELETE | OPTIONS_COLLECTION)
#define WRITES (OPTIONS_CREATE | OPTIONS_UPDATE | OPTIONS_PATCH)

/* Type and text are those of the field in the first of the options; a few have no field. A v2 document has most of them
 * once, under a name and a mark that generated clients know them by. */
static const struct {
    const char *name;
    uint32_t options;
    const char *mark;
    const char *text;
} parameters[] = {
    {"allowWatchBookmarks", OPTIONS_LIST, "HC2hJt-J", NULL},
    {"command", OPTIONS_POD_EXEC, "Py3eQybp", NULL},
    {"container", OPTIONS_POD_LOG, "1GeXxFDC", NULL},
    {"container", OPTIONS_POD_ATTACH, "_Q-EJ3nR", NULL},
    {"container", OPTIONS_POD_EXEC, "i5dOmRiM", NULL},
    {"continue", LISTS, "QfD61s0i", NULL},
    {"dryRun", WRITES | DELETES, NULL, NULL},
    {"fieldManager", OPTIONS_PATCH, "7c6nTn1T", NULL},
    {"fieldManager", OPTIONS_CREATE | OPTIONS_UPDATE, "Qy4HdaTW", NULL},
    {"fieldSelector", LISTS, "xIcQKXFG", NULL},
    {"fieldValidation", WRITES, NULL, NULL},
    {"follow", OPTIONS_POD_LOG, "9OIXh_2R", NULL},
    {"force", OPTIONS_PATCH, "tOGGb0Yi", NULL},
    {"gracePeriodSeconds", DELETES, "-K5HaBOS", NULL},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", DELETES, "QbNkfIqj", NULL},
    {"insecureSkipTLSVerifyBackend", OPTIONS_POD_LOG, "gM00jVbe", NULL},
    {"labelSelector", LISTS, "5Zw57w4C", NULL},
    {"limit", LISTS, "1NfNmdNH", NULL},
    {"limitBytes", OPTIONS_POD_LOG, "zwd1RXuc", NULL},
    {"name", PATH_NAME, NULL, "Name of the object, a "},
    {"namespace", PATH_NAMESPACE, "vgWSWtn3", "Namespace of the object."},
    {"orphanDependents", DELETES, "uRB25kX5", NULL},
    {"path", PATH_REST, "z6Ciiujn", "The rest of the path, which is asked of the other side."},
    {"path", OPTIONS_SERVICE_PROXY, "QCf0eosM", NULL},
    {"path", OPTIONS_POD_PROXY, "oPbzgLUj", NULL},
    {"path", OPTIONS_NODE_PROXY, "rFDtV0x9", NULL},
    {"ports", OPTIONS_POD_PORT_FORWARD, "91KROJmm", NULL},
    {"pretty", QUERY_PRETTY, "tJGM1-ng",
     "true or false: whether JSON comes with line breaks and indented. Without it, it does for browsers and for curl "
     "and "
     "wget."},
    {"previous", OPTIONS_POD_LOG, "1jxDPu3y", NULL},
    {"propagationPolicy", DELETES, "6jk3prlO", NULL},
    {"resourceVersion", LISTS | OPTIONS_GET, "5WAnf1kx", NULL},
    {"resourceVersionMatch", LISTS, "t8XhRHeC", NULL},
    {"sendInitialEvents", LISTS, "rLXlEK_k", NULL},
    {"shardSelector", LISTS, "Kgyki_3_", NULL},
    {"sinceSeconds", OPTIONS_POD_LOG, "vE2NLdnP", NULL},
    {"stderr", OPTIONS_POD_ATTACH, "26jJhFUR", NULL},
    {"stderr", OPTIONS_POD_EXEC, "W_1TNlWc", NULL},
    {"stdin", OPTIONS_POD_EXEC, "PSzNhyUC", NULL},
    {"stdin", OPTIONS_POD_ATTACH, "sEFnN3IS", NULL},
    {"stdout", OPTIONS_POD_EXEC, "-EZLRwV1", NULL},
    {"stdout", OPTIONS_POD_ATTACH, "005YMKE6", NULL},
    {"stream", OPTIONS_POD_LOG, "l-48cgXv", NULL},
    {"tailLines", OPTIONS_POD_LOG, "9xQLWHMV", NULL},
    {"timeoutSeconds", LISTS, "yvYezaOC", NULL},
    {"timestamps", OPTIONS_POD_LOG, "c17fW1w_", NULL},
    {"tty", OPTIONS_POD_ATTACH, "g7MlET_l", NULL},
    {"tty", OPTIONS_POD_EXEC, "s0flW37O", NULL},
    {"watch", OPTIONS_LIST, "XNNPZGbK", NULL},
};
_Static_assert(ELEMENTSOF(parameters) <= 64, "a set of rows is a mask");

/* The bodies that v2 documents have once. */
static const struct {
    const char *definition, *mark;
    bool optional;
} bodies[] = {{OPENAPI_META "DeleteOptions", "2Y1dVQaQ", true}, {OPENAPI_META "Patch", "78PwaGsr", false}};

uint64_t openapi_parameters(uint32_t options) {
    uint64_t rows = 0;
    for (size_t i = 0; i < ELEMENTSOF(parameters); i++)
        if (parameters[i].options & options)
            rows |= UINT64_C(1) << i;
    return rows;
}

uint32_t openapi_options_of(const char *kind) {
    for (size_t i = 0; i < ELEMENTSOF(options_names); i++)
        if (streq(strrchr(options_names[i], '.') + 1, kind))
            return UINT32_C(1) << i;
    return 0;
}

static const SchemaField *field_of(size_t row) {
    for (size_t i = 0; i < ELEMENTSOF(options_names); i++)
        if (parameters[row].options & UINT32_C(1) << i)
            return schema_field(schema_by_name(options_names[i]), parameters[row].name, strlen(parameters[row].name));
    return NULL;
}

static void write_parameter(OpenApiWriter *w, size_t row, const char *kind) {
    bool in_path = parameters[row].options & (PATH_NAME | PATH_NAMESPACE | PATH_REST);
    bool of_kind = parameters[row].options & PATH_NAME;
    const SchemaField *field = field_of(row);
    const char *text = field ? schema_description(field->description) : parameters[row].text;
    buf_printf(w->out, "{\"name\":\"%s\",\"in\":\"%s\"", parameters[row].name, in_path ? "path" : "query");
    if (text)
        buf_printf(w->out, ",\"description\":\"%s%s%s\"", text, of_kind ? kind : "", of_kind ? "." : "");
    if (in_path)
        buf_puts(w->out, ",\"required\":true");
    buf_printf(w->out,
               w->v3 ? ",\"schema\":{\"type\":\"%s\",\"uniqueItems\":true}}" : ",\"type\":\"%s\",\"uniqueItems\":true}",
               field ? openapi_scalar_type(field->schema) : "string");
}

static void write_body(OpenApiWriter *w, const char *definition, bool optional) {
    buf_printf(w->out, "{\"name\":\"body\",\"in\":\"body\"%s,\"schema\":{\"$ref\":\"%s%s\"}}",
               optional ? "" : ",\"required\":true", openapi_ref_root(w), definition);
}

static void write_body_or_reference(OpenApiWriter *w, const char *definition) {
    for (size_t i = 0; i < ELEMENTSOF(bodies); i++)
        if (streq(bodies[i].definition, definition)) {
            buf_printf(w->out, "{\"$ref\":\"#/parameters/body-%s\"}", bodies[i].mark);
            return;
        }
    write_body(w, definition, false);
}

void openapi_write_parameters(OpenApiWriter *w, uint64_t rows, const char *body, const char *kind) {
    const char *comma = "";
    if (body) {
        write_body_or_reference(w, body);
        comma = ",";
    }
    for (size_t i = 0; i < ELEMENTSOF(parameters); i++) {
        if (!(rows & UINT64_C(1) << i))
            continue;
        buf_puts(w->out, comma);
        comma = ",";
        if (!w->v3 && parameters[i].mark)
            buf_printf(w->out, "{\"$ref\":\"#/parameters/%s-%s\"}", parameters[i].name, parameters[i].mark);
        else
            write_parameter(w, i, kind);
    }
}

void openapi_write_shared_parameters(OpenApiWriter *w) {
    for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
        buf_printf(w->out, "\"body-%s\":", bodies[i].mark);
        write_body(w, bodies[i].definition, bodies[i].optional);
        buf_putc(w->out, ',');
    }
    const char *comma = "";
    for (size_t i = 0; i < ELEMENTSOF(parameters); i++) {
        if (!parameters[i].mark)
            continue;
        buf_printf(w->out, "%s\"%s-%s\":", comma, parameters[i].name, parameters[i].mark);
        write_parameter(w, i, "");
        comma = ",";
    }
}
