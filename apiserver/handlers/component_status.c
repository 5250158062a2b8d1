/* Component statuses are not kept: whoever asks makes the server ask the components, as pkg/registry/core/
 * componentstatus does, at the health checks of their ports on this machine; the store knows its own health. */
#include "apiserver/handlers/verbs.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/fetch.h"

#include <errno.h>
#include <pthread.h>

#define PROBE_NS (20 * NS_PER_SEC)
#define PROBE_BODY_MAX (10 * 1024) /* the rest is not read, as the reference's prober has it */

typedef struct Check {
    const char *name;
    ApiComponent component;
    bool is_store;
    ApiCore *core;
    bool healthy;
    char *message; /* owned */
} Check;

static const Check all_checks[] = {
    {.name = "controller-manager", .component = API_CONTROLLERS},
    {.name = "scheduler", .component = API_SCHEDULER},
    {.name = "etcd-0", .is_store = true},
};

static void check_store(Check *check) {
    int r = store_check(registry_store(api_core_registry(check->core)), now_monotonic_ns() + PROBE_NS);
    check->healthy = r == 0;
    check->message = xstrdup(r == 0 ? "ok" : strerror(-r));
}

/* Nobody checks who it is that answers: the reference does not either. */
static void check_port(Check *check) {
    _cleanup_http_answer_ HttpAnswer answer = {0};
    _cleanup_free_ char *why = NULL;
    uint16_t port = api_core_component_port(check->core, check->component);
    _cleanup_free_ char *host = xasprintf("127.0.0.1:%u", port);
    const HttpHeader headers[] = {{"host", host}, {"user-agent", "kube-probe/1.36"}, {"accept", "*/*"}};
    HttpFetch fetch = {.to = {.host = "127.0.0.1", .port = port, .tls = true, .timeout_ns = PROBE_NS},
                       .target = "/healthz",
                       .headers = headers,
                       .n_headers = ELEMENTSOF(headers),
                       .max_body = PROBE_BODY_MAX,
                       .cut_body = true};
    int r = http_fetch(&fetch, &answer, &why);
    check->healthy = r == 0 && answer.status >= 200 && answer.status < 400;
    check->message = r < 0            ? xasprintf("Get \"https://%s/healthz\": %s", host, str_or(why, strerror(-r)))
                     : check->healthy ? xstrndup(str_or(answer.body.data, ""), answer.body.len)
                                      : xasprintf("HTTP probe failed with statuscode: %d", answer.status);
}

static void *run_check(void *userdata) {
    Check *check = userdata;
    (check->is_store ? check_store : check_port)(check);
    return NULL;
}

/* All at once, since one of them may take its time. */
static void run_checks(Check *checks, size_t n) {
    pthread_t threads[ELEMENTSOF(all_checks)];
    bool started[ELEMENTSOF(all_checks)] = {false};
    for (size_t i = 1; i < n; i++) {
        started[i] = pthread_create(&threads[i], NULL, run_check, &checks[i]) == 0;
        if (!started[i])
            run_check(&checks[i]);
    }
    if (n)
        run_check(&checks[0]);
    for (size_t i = 1; i < n; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}

static Object *status_of(const ApiRequest *request, const Check *check) {
    Arena *arena = request->arena;
    Value *v = api_value_new(arena, "v1", request->resource->kind), *meta = value_object(arena),
          *conditions = value_array(arena), *condition = value_object(arena);
    value_set_str(arena, meta, "name", check->name);
    value_set_str(arena, condition, "type", "Healthy");
    value_set_str(arena, condition, "status", check->healthy ? "True" : "False");
    if (*check->message)
        value_set_str(arena, condition, "message", check->message);
    value_append(arena, conditions, condition);
    value_set(arena, v, "metadata", meta);
    value_set(arena, v, "conditions", conditions);
    return object_from_value(request->resource->storage, v);
}

int component_status_get(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                         ApiError *err) {
    (void)input;
    for (size_t i = 0; i < ELEMENTSOF(all_checks); i++) {
        if (!streq(all_checks[i].name, request->name))
            continue;
        Check check = all_checks[i];
        check.core = core;
        run_check(&check);
        ret->object = status_of(request, &check);
        free(check.message);
        return 0;
    }
    return api_error_not_found(err, "", "componentstatus", request->name);
}

int component_status_list(ApiCore *core, const ApiRequest *request, const ApiInput *input, ApiResponse *ret,
                          ApiError *err) {
    (void)input;
    _cleanup_list_parameters_ ListParameters p = {0};
    Check checks[ELEMENTSOF(all_checks)];
    int r = list_parameters_read(request, false, &p, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
        checks[i] = all_checks[i];
        checks[i].core = core;
    }
    run_checks(checks, ELEMENTSOF(checks));
    ret->is_list = true;
    ret->list = (ObjectList){.items = xcalloc(ELEMENTSOF(checks), sizeof(Object *)), .remaining = -1};
    for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
        _cleanup_object_ Object *status = status_of(request, &checks[i]);
        free(checks[i].message);
        if (label_selector_matches(p.labels, status) && field_selector_matches(p.fields, status))
            ret->list.items[ret->list.n++] = TAKE_PTR(status);
    }
    return 0;
}
