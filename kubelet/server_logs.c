/* GET /containerLogs/{namespace}/{pod}/{container}. The file is read by the reply's own source on the loop thread, a
 * piece at a time; whether the container still runs is asked on the pool, once a second while the log is followed. */
#include "kubelet/server_internal.h"

#include "api/json.h"
#include "base/clock.h"
#include "kubelet/logs.h"

#include <errno.h>
#include <stdatomic.h>

#define FOLLOW_POLL_NS (100 * NS_PER_MS)
#define FOLLOW_CHECK_NS NS_PER_SEC

typedef struct LogStream {
    Call *call;
    LogReader *reader;
    char *container_id;
    bool follow;
    atomic_uint refs;
    atomic_bool ended;    /* the container does not run: what is in the file is all */
    atomic_bool checking; /* the pool is asking */
    Source *timer;
    uint64_t checked_at;
} LogStream;

static void stream_unref(void *userdata) {
    LogStream *s = userdata;
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    log_reader_free(s->reader);
    call_free(s->call);
    free(s->container_id);
    free(s);
}

static void check_container(void *userdata) {
    LogStream *s = userdata;
    Runtime *runtime = s->call->k->runtime;
    ContainerStatus status = {0};
    int r = runtime->container_status(runtime, s->container_id, &status);
    bool runs = r == 0 ? status.state == CONTAINER_RUNNING || status.state == CONTAINER_CREATED : r != -ENOENT;
    if (r == 0)
        container_status_done(&status);
    if (!runs) {
        atomic_store(&s->ended, true);
        http_stream_wake(s->call->http);
    }
    atomic_store(&s->checking, false);
    stream_unref(s);
}

static void check_later(LogStream *s) {
    uint64_t now = now_monotonic_ns();
    if (atomic_load(&s->ended) || now - s->checked_at < FOLLOW_CHECK_NS || atomic_exchange(&s->checking, true))
        return;
    s->checked_at = now;
    atomic_fetch_add(&s->refs, 1);
    if (server_submit(s->call->k, check_container, s) < 0) {
        atomic_store(&s->checking, false);
        stream_unref(s);
    }
}

static void poll_file(Source *source, void *userdata) {
    (void)source;
    LogStream *s = userdata;
    http_stream_wake(s->call->http);
}

static HttpStreamResult wait_for_more(LogStream *s) {
    uint64_t due = now_monotonic_ns() + FOLLOW_POLL_NS;
    check_later(s);
    if (s->timer)
        timer_set(s->timer, due);
    else if (loop_add_timer(http_request_loop(s->call->http), due, poll_file, s, &s->timer) < 0)
        return HTTP_STREAM_END;
    return HTTP_STREAM_WAIT;
}

static HttpStreamResult log_pull(HttpRequest *http, void *userdata) {
    LogStream *s = userdata;
    Buf out = BUF_INIT(BUF_NO_LIMIT);
    bool last = !s->follow || atomic_load(&s->ended);
    int r = log_reader_read(s->reader, last, &out);
    if (out.len)
        http_stream_write(http, http_bytes_take(&out));
    else
        buf_done(&out);
    if (r == LOG_READ_MORE)
        return HTTP_STREAM_MORE;
    return r == LOG_READ_WAIT && !last ? wait_for_more(s) : HTTP_STREAM_END;
}

static void log_closed(HttpRequest *http, void *userdata) {
    (void)http;
    LogStream *s = userdata;
    s->timer = source_unref(s->timer);
    stream_unref(s);
}

/* ---- which instance ---- */

static const Value *find_status(const Value *status, const char *container) {
    static const char *const lists[] = {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"};
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        const Value *found = status_find(value_get(status, lists[i]), container);
        if (found)
            return found;
    }
    return NULL;
}

/* The id of the instance that the request means, as validateContainerLogStatus finds it; NULL: an error was replied. */
static const char *choose_instance(Call *call, Pod *p, const char *container) {
    Kubelet *k = call->k;
    pthread_mutex_lock(&k->lock);
    char *json = arena_strdup(call->arena, p->status_json);
    pthread_mutex_unlock(&k->lock);
    Value *status = NULL;
    if (!json || json_parse(call->arena, json, strlen(json), &status, NULL, NULL) < 0) {
        _cleanup_object_ Object *object = pod_object(k, p, NULL);
        status = value_get(object_value(object, call->arena), "status");
    }
    const Value *c = find_status(status, container), *state = value_get(c, "state");
    const char *last = value_get_str(value_path(c, "lastState", "terminated", NULL), "containerID"), *id = NULL;
    if (!c)
        call_error(call, 400, "container \"%s\" in pod \"%s\" is not available", container, p->name);
    else if (call_flag(call, "previous")) {
        id = str_or(last, NULL);
        if (!id)
            call_error(call, 400, "previous terminated container \"%s\" in pod \"%s\" not found", container, p->name);
    } else if (value_get(state, "running"))
        id = str_or(value_get_str(c, "containerID"), "");
    else if (value_get(state, "terminated") || !str_empty(last)) {
        id = str_or(value_get_str(value_get(state, "terminated"), "containerID"), str_or(last, NULL));
        if (!id)
            call_error(call, 400, "container \"%s\" in pod \"%s\" is terminated", container, p->name);
    } else {
        const char *reason = str_or(value_get_str(value_get(state, "waiting"), "reason"), "");
        if (streq(reason, "ErrImagePull"))
            reason = "image can't be pulled";
        else if (streq(reason, "ImagePullBackOff"))
            reason = "trying and failing to pull image";
        if (value_get(state, "waiting"))
            call_error(call, 400, "container \"%s\" in pod \"%s\" is waiting to start: %s", container, p->name, reason);
        else
            call_error(call, 400, "container \"%s\" in pod \"%s\" is waiting to start - no logs yet", container,
                       p->name);
    }
    const char *bare = id ? strstr(id, "://") : NULL;
    return bare ? bare + 3 : id;
}

static bool read_number(Call *call, const char *name, int64_t least, int64_t *ret, bool *ok) {
    const char *text = call_query(call, name);
    if (str_empty(text))
        return false;
    if (str_to_int64(text, ret) < 0) {
        call_error(call, 400, "{\"message\": \"Unable to decode query.\"}");
        *ok = false;
    } else if (*ret < least) {
        call_error(call, 422, "{\"message\": \"Invalid request.\"}");
        *ok = false;
    }
    return *ok;
}

static bool read_options(Call *call, LogOptions *ret) {
    LogOptions o = {.follow = call_flag(call, "follow"),
                    .timestamps = call_flag(call, "timestamps"),
                    .tail_lines = -1,
                    .limit_bytes = -1};
    bool ok = true;
    int64_t n;
    if (read_number(call, "tailLines", 0, &n, &ok))
        o.tail_lines = n;
    if (ok && read_number(call, "limitBytes", 1, &n, &ok))
        o.limit_bytes = n;
    if (ok && read_number(call, "sinceSeconds", 1, &n, &ok))
        o.since_ns = now_realtime_ns() - MIN(n, INT64_MAX / 4 / (int64_t)NS_PER_SEC) * (int64_t)NS_PER_SEC;
    if (!ok)
        return false;
    const char *since = call_query(call, "sinceTime"), *stream = str_or(call_query(call, "stream"), "All");
    if (!str_empty(since) && rfc3339_parse(since, &o.since_ns) < 0) {
        call_error(call, 400, "{\"message\": \"Unable to decode query.\"}");
        return false;
    }
    o.stdout_ = streq(stream, "All") || streq(stream, "Stdout");
    o.stderr_ = streq(stream, "All") || streq(stream, "Stderr");
    if (!o.stdout_ && !o.stderr_) {
        call_error(call, 422, "{\"message\": \"Invalid request.\"}");
        return false;
    }
    *ret = o;
    return true;
}

static void stream_log(Call *call, const char *id, const LogOptions *options) {
    static const HttpStreamOps ops = {log_pull, log_closed};
    static const HttpHeader headers[] = {{"content-type", "text/plain"}};
    Runtime *runtime = call->k->runtime;
    ContainerStatus status = {0};
    LogReader *reader = NULL;
    int r = runtime->container_status(runtime, id, &status);
    if (r < 0) {
        call_error(call, 400, "unable to retrieve container logs for lighter://%s", id);
        call_free(call);
        return;
    }
    r = log_reader_open(str_or(status.log_path, ""), options, &reader);
    if (r < 0)
        call_error(call, 400, "failed to open log file \"%s\": %s", str_or(status.log_path, ""), strerror(-r));
    container_status_done(&status);
    if (r < 0) {
        call_free(call);
        return;
    }
    LogStream *s = NEW0(LogStream);
    *s = (LogStream){.call = call, .reader = reader, .container_id = xstrdup(id), .follow = options->follow, .refs = 1};
    http_stream_start(call->http, 200, headers, ELEMENTSOF(headers), &ops, s);
}

void serve_logs(Call *call) {
    const char *container = call->parts[3];
    LogOptions options;
    if (!read_options(call, &options)) {
        call_free(call);
        return;
    }
    char *missing = arena_printf(call->arena, "pod %s does not exist", go_quoted(call->arena, call->parts[2]));
    Pod *p = call_pod(call, NULL, missing);
    const char *id = NULL;
    if (p) {
        _cleanup_object_ Object *object = pod_object(call->k, p, NULL);
        if (pod_find_container(object_value(object, call->arena), container, NULL))
            id = choose_instance(call, p, container);
        else
            call_error(call, 404, "container \"%s\" not found in pod \"%s\"", container, call->parts[2]);
        pod_unref(call->k, p);
    }
    if (id)
        stream_log(call, id, &options);
    else
        call_free(call);
}
