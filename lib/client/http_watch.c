/* The watch thread owns the multi handle; other threads only put a watch on the list of commands and wake it. A watch
 * is freed by http_watch_stop alone, after the thread has let go of it. */
#define LOG_COMPONENT "client"
#include "client/http_watch.h"

#include "api/json.h"
#include "base/log.h"
#include "base/str.h"
#include "client/http_request.h"
#include "client/http_transport.h"

#include <errno.h>
#include <pthread.h>

#define WATCHER_STACK_SIZE (512 * 1024) /* handlers run here */
#define WATCH_ERROR_BODY_MAX (64 * 1024)

struct ClientWatch {
    HttpWatcher *watcher;
    ClientWatch *next_command;
    const Resource *resource;
    bool metadata_only;
    void (*event)(const char *type, Object *object, uint64_t revision, void *userdata);
    void (*end)(int error, void *userdata);
    void *userdata;
    CURL *curl;
    struct curl_slist *headers;
    Buf pending; /* an incomplete line, or the body of an error */
    Arena *arena;
    char detail[CURL_ERROR_SIZE];
    int stream_error;                    /* from an ERROR event; ends the watch */
    bool running, ended, stop, released; /* under the watcher's lock */
};

struct HttpWatcher {
    const Kubeconfig *config;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t released;
    ClientWatch *commands;
    bool stopping;
};

/* One line of the stream: {"type": ..., "object": ...}. */
static void deliver_line(ClientWatch *watch, const char *line, size_t n) {
    Value *v = NULL;
    arena_reset(watch->arena);
    if (json_parse(watch->arena, line, n, &v, NULL, NULL) < 0) {
        watch->stream_error = -EBADMSG;
        return;
    }
    const char *type = value_get_str(v, "type");
    Value *object = value_get(v, "object");
    if (!type || !value_is(object, VALUE_OBJECT)) {
        watch->stream_error = -EBADMSG;
        return;
    }
    if (streq(type, "ERROR")) {
        _cleanup_api_error_ ApiError err = {0};
        watch->stream_error = api_error_from_status(&err, object, (int)value_get_int(object, "code", 500));
        return;
    }
    uint64_t revision = http_answer_revision(object);
    if (streq(type, "BOOKMARK")) {
        watch->event(type, NULL, revision, watch->userdata);
        return;
    }
    _cleanup_object_ Object *whole = http_answer_object(watch->arena, watch->resource, object, watch->metadata_only);
    watch->event(type, whole, revision, watch->userdata);
}

static bool watch_is_stopped(ClientWatch *watch) {
    pthread_mutex_lock(&watch->watcher->lock);
    bool stop = watch->stop;
    pthread_mutex_unlock(&watch->watcher->lock);
    return stop;
}

static size_t on_stream(char *p, size_t size, size_t n, void *userdata) {
    ClientWatch *watch = userdata;
    long status = 0;
    size_t len = size * n;
    if (watch_is_stopped(watch))
        return 0;
    curl_easy_getinfo(watch->curl, CURLINFO_RESPONSE_CODE, &status);
    buf_append(&watch->pending, p, len);
    if (watch->pending.failed)
        return 0;
    if (status >= 400)
        return watch->pending.len > WATCH_ERROR_BODY_MAX ? 0 : len;
    size_t from = 0;
    char *newline;
    while (from < watch->pending.len && !watch->stream_error &&
           (newline = memchr(watch->pending.data + from, '\n', watch->pending.len - from))) {
        size_t line = (size_t)(newline - watch->pending.data) - from;
        if (line > 0)
            deliver_line(watch, watch->pending.data + from, line);
        from += line + 1;
        if (watch_is_stopped(watch))
            return 0;
    }
    if (from == watch->pending.len)
        buf_done(&watch->pending); /* an idle watch holds no buffer */
    else
        buf_consume(&watch->pending, from);
    watch->pending.limit = HTTP_TRANSPORT_EVENT_MAX;
    return watch->stream_error ? 0 : len;
}

static void watch_start(HttpWatcher *watcher, ClientWatch *watch) {
    watch->running = true;
    curl_multi_add_handle(watcher->multi, watch->curl);
}

static void watch_release(HttpWatcher *watcher, ClientWatch *watch) {
    if (watch->running)
        curl_multi_remove_handle(watcher->multi, watch->curl);
    watch->running = false;
}

static int watch_result(ClientWatch *watch, CURLcode code) {
    _cleanup_api_error_ ApiError err = {0};
    long status = 0;
    Value *v;
    curl_easy_getinfo(watch->curl, CURLINFO_RESPONSE_CODE, &status);
    if (watch->stream_error)
        return watch->stream_error;
    if (status >= 400) {
        int r = http_transport_answer(watch->arena, &watch->pending, (int)status, &v, &err);
        log_debug("watch of %s: %s", watch->resource->plural, err.message);
        return r;
    }
    if (code != CURLE_OK)
        return http_transport_failure(&err, code, watch->detail);
    return 0;
}

static void watch_finish(HttpWatcher *watcher, ClientWatch *watch, CURLcode code) {
    int result = watch_result(watch, code);
    watch_release(watcher, watch);
    pthread_mutex_lock(&watcher->lock);
    bool tell = !watch->stop;
    watch->ended = true;
    pthread_mutex_unlock(&watcher->lock);
    if (tell)
        watch->end(result, watch->userdata);
    pthread_mutex_lock(&watcher->lock);
    /* A stop that came meanwhile may have put it on the list of commands; its owner frees it now. */
    ClientWatch **at = &watcher->commands;
    while (*at && *at != watch)
        at = &(*at)->next_command;
    if (*at)
        *at = watch->next_command;
    watch->released = true;
    pthread_cond_broadcast(&watcher->released);
    pthread_mutex_unlock(&watcher->lock);
}

static void run_commands(HttpWatcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    while (watcher->commands) {
        ClientWatch *watch = watcher->commands;
        watcher->commands = watch->next_command;
        watch->next_command = NULL;
        bool stop = watch->stop, ended = watch->ended;
        pthread_mutex_unlock(&watcher->lock);
        if (!stop)
            watch_start(watcher, watch);
        else if (!ended)
            watch_release(watcher, watch);
        pthread_mutex_lock(&watcher->lock);
        if (stop) {
            watch->released = true;
            pthread_cond_broadcast(&watcher->released);
        }
    }
    pthread_mutex_unlock(&watcher->lock);
}

static void *watcher_main(void *userdata) {
    HttpWatcher *watcher = userdata;
    int running, left;
    CURLMsg *message;
    pthread_setname_np(pthread_self(), "watches");
    for (;;) {
        run_commands(watcher);
        pthread_mutex_lock(&watcher->lock);
        bool stopping = watcher->stopping;
        pthread_mutex_unlock(&watcher->lock);
        if (stopping)
            return NULL;
        curl_multi_perform(watcher->multi, &running);
        while ((message = curl_multi_info_read(watcher->multi, &left))) {
            if (message->msg != CURLMSG_DONE)
                continue;
            ClientWatch *watch = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&watch);
            watch_finish(watcher, watch, message->data.result);
        }
        curl_multi_poll(watcher->multi, NULL, 0, 60000, NULL);
    }
}

HttpWatcher *http_watcher_new(const Kubeconfig *config) {
    HttpWatcher *watcher = NEW0(HttpWatcher);
    pthread_attr_t attr;
    watcher->config = config;
    watcher->multi = curl_multi_init();
    curl_multi_setopt(watcher->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_cond_init(&watcher->released, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WATCHER_STACK_SIZE);
    int r = pthread_create(&watcher->thread, &attr, watcher_main, watcher);
    pthread_attr_destroy(&attr);
    if (r != 0) {
        curl_multi_cleanup(watcher->multi);
        free(watcher);
        return NULL;
    }
    return watcher;
}

void http_watcher_free(HttpWatcher *watcher) {
    if (!watcher)
        return;
    pthread_mutex_lock(&watcher->lock);
    watcher->stopping = true;
    pthread_mutex_unlock(&watcher->lock);
    curl_multi_wakeup(watcher->multi);
    pthread_join(watcher->thread, NULL);
    curl_multi_cleanup(watcher->multi);
    pthread_cond_destroy(&watcher->released);
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

static void command(HttpWatcher *watcher, ClientWatch *watch) {
    ClientWatch **at = &watcher->commands;
    while (*at && *at != watch)
        at = &(*at)->next_command;
    *at = watch; /* already there: its flags say what to do */
    pthread_mutex_unlock(&watcher->lock);
    curl_multi_wakeup(watcher->multi);
    pthread_mutex_lock(&watcher->lock);
}

int http_watcher_watch(HttpWatcher *watcher, const ApiRequest *request,
                       void (*event)(const char *type, Object *object, uint64_t revision, void *userdata),
                       void (*end)(int error, void *userdata), void *userdata, ClientWatch **ret, ApiError *err) {
    CURL *curl = http_transport_handle(watcher->config);
    if (!curl)
        return api_error_set(err, 500, "InternalError", "libcurl gives no handle");
    ClientWatch *watch = NEW0(ClientWatch);
    *watch = (ClientWatch){.watcher = watcher,
                           .resource = request->resource,
                           .metadata_only = request->options.metadata_only,
                           .event = event,
                           .end = end,
                           .userdata = userdata,
                           .curl = curl,
                           .pending = BUF_INIT(HTTP_TRANSPORT_EVENT_MAX),
                           .arena = arena_new(0)};
    watch->headers = http_transport_prepare(curl, watcher->config, request);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_stream);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, watch);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, watch->detail);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, watch);
    *ret = watch; /* before the thread may call back */
    pthread_mutex_lock(&watcher->lock);
    command(watcher, watch);
    pthread_mutex_unlock(&watcher->lock);
    return 0;
}

void http_watch_stop(ClientWatch *watch) {
    if (!watch)
        return;
    HttpWatcher *watcher = watch->watcher;
    pthread_mutex_lock(&watcher->lock);
    watch->stop = true;
    if (!watch->ended)
        command(watcher, watch);
    while (!watch->released)
        pthread_cond_wait(&watcher->released, &watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
    curl_easy_cleanup(watch->curl);
    curl_slist_free_all(watch->headers);
    buf_done(&watch->pending);
    arena_free(watch->arena);
    free(watch);
}
