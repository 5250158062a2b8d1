#include "kubelet/server_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void call_free(Call *call) {
    if (!call)
        return;
    http_request_unref(call->http);
    arena_free(call->arena);
    free(call);
}

const char *call_query(const Call *call, const char *name) {
    for (size_t i = 0; i < call->n_query; i++)
        if (streq(call->query[i].name, name))
            return call->query[i].value;
    return NULL;
}

bool call_flag(const Call *call, const char *name) {
    const char *value = call_query(call, name);
    return value && (streq(value, "1") || streq(value, "true"));
}

void call_reply(Call *call, int status, const char *content_type, Buf *body) {
    const HttpHeader headers[] = {{"content-type", content_type}};
    http_reply(call->http, status, headers, ELEMENTSOF(headers), http_bytes_take(body));
}

void call_error(Call *call, int status, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *text = NULL;
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    const HttpHeader headers[] = {{"content-type", "text/plain; charset=utf-8"}};
    const char *shown = text ? text : "";
    http_reply(call->http, status, headers, ELEMENTSOF(headers), http_bytes_copy(shown, strlen(shown)));
    free(text);
}

Pod *call_pod(Call *call, const char *uid, const char *missing) {
    Pod *p = pod_find(call->k, call->parts[1], call->parts[2]);
    if (p && uid && !streq(p->uid, uid)) {
        pod_unref(call->k, p);
        p = NULL;
    }
    if (!p)
        call_error(call, 404, "%s", missing);
    return p;
}

typedef struct Work {
    Kubelet *k;
    void (*fn)(void *userdata);
    void *userdata;
} Work;

static void work_run(void *userdata) {
    Work work = *(Work *)userdata;
    free(userdata);
    work.fn(work.userdata);
    atomic_fetch_sub(&work.k->requests, 1);
}

int server_submit(Kubelet *k, void (*fn)(void *userdata), void *userdata) {
    atomic_fetch_add(&k->requests,
                     1); /* before the look at `stopping`, which kubelet_server_stop does the other way round */
    Work *work = NEW(Work);
    *work = (Work){k, fn, userdata};
    int r = k->stopping ? -ESHUTDOWN : pool_submit(k->request_pool, work_run, work);
    if (r < 0) {
        free(work);
        atomic_fetch_sub(&k->requests, 1);
    }
    return r;
}
