#include "kubelet/images/puller.h"

#include "api/value.h"
#include "base/str.h"
#include "kubelet/images/store.h"
#include "loop/process.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the request ---- */

static void write_member(Buf *out, char before, const char *name, const char *value) {
    if (!value)
        return;
    if (before)
        buf_putc(out, before);
    buf_printf(out, "\"%s\":", name);
    json_write_string(out, value, strlen(value));
}

void pull_request_write(Buf *out, const PullRequest *request) {
    const ImageStoreConfig *store = &request->store;
    buf_printf(out, "{\"stallSeconds\":%u,\"progress\":%s", store->stall_seconds, request->progress ? "true" : "false");
    write_member(out, ',', "reference", request->reference);
    write_member(out, ',', "root", store->root);
    write_member(out, ',', "caFile", store->ca_file);
    write_member(out, ',', "unpacker", store->unpacker);
    buf_puts(out, ",\"insecureHosts\":[");
    for (size_t i = 0; store->insecure_hosts && store->insecure_hosts[i]; i++) {
        if (i)
            buf_putc(out, ',');
        json_write_string(out, store->insecure_hosts[i], strlen(store->insecure_hosts[i]));
    }
    buf_puts(out, "],\"auths\":[");
    for (size_t i = 0; i < request->n_auths; i++) {
        const RegistryAuth *auth = &request->auths[i];
        buf_puts(out, i ? ",{" : "{");
        write_member(out, 0, "username", str_or(auth->username, ""));
        write_member(out, ',', "password", auth->password);
        write_member(out, ',', "identityToken", auth->identity_token);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

static const char *member(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

static void parse_lists(const json_t *document, PullRequest *request) {
    const json_t *hosts = json_object_get(document, "insecureHosts"), *auths = json_object_get(document, "auths");
    size_t n = json_array_size(hosts), used = 0;
    request->insecure_hosts = NEWN0(const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        if (json_is_string(json_array_get(hosts, i)))
            request->insecure_hosts[used++] = json_string_value(json_array_get(hosts, i));
    request->n_auths = json_array_size(auths);
    request->auths = NEWN0(RegistryAuth, request->n_auths + 1);
    for (size_t i = 0; i < request->n_auths; i++) {
        const json_t *auth = json_array_get(auths, i);
        request->auths[i] = (RegistryAuth){.username = member(auth, "username"),
                                           .password = member(auth, "password"),
                                           .identity_token = member(auth, "identityToken")};
    }
}

int pull_request_parse(const char *text, size_t n, PullRequest *ret) {
    PullRequest request = {.document = json_loadb(text, n, 0, NULL)};
    json_int_t stall = json_integer_value(json_object_get(request.document, "stallSeconds"));
    request.progress = json_is_true(json_object_get(request.document, "progress"));
    request.reference = member(request.document, "reference");
    parse_lists(request.document, &request);
    request.store = (ImageStoreConfig){.root = member(request.document, "root"),
                                       .ca_file = member(request.document, "caFile"),
                                       .unpacker = member(request.document, "unpacker"),
                                       .insecure_hosts = request.insecure_hosts,
                                       .stall_seconds = (unsigned)stall,
                                       .guest = true};
    if (!request.reference || !request.store.root || stall < 0 || stall > UINT32_MAX) {
        pull_request_done(&request);
        return -EINVAL;
    }
    *ret = request;
    return 0;
}

void pull_request_done(PullRequest *request) {
    free(request->auths);
    free(request->insecure_hosts);
    json_decref(request->document);
    *request = (PullRequest){0};
}

/* ---- what it says ---- */

typedef struct Saying {
    Buf line; /* an incomplete one */
    image_progress_fn progress;
    void *userdata;
    char *id, *error;
} Saying;

static void keep(char **to, const json_t *text) {
    if (!json_is_string(text))
        return;
    free(*to);
    *to = xstrdup(json_string_value(text));
}

static void take_line(Saying *saying, const char *line, size_t n) {
    _cleanup_json_ json_t *document = json_loadb(line, n, 0, NULL);
    const char *what = member(document, "what");
    if (what && saying->progress)
        saying->progress(what, (uint64_t)json_integer_value(json_object_get(document, "done")),
                         (uint64_t)json_integer_value(json_object_get(document, "total")), saying->userdata);
    keep(&saying->id, json_object_get(document, "id"));
    keep(&saying->error, json_object_get(document, "error"));
}

static void on_output(const char *p, size_t n, void *userdata) {
    Saying *saying = userdata;
    const char *newline;
    buf_append(&saying->line, p, n);
    while (saying->line.len && (newline = memchr(saying->line.data, '\n', saying->line.len))) {
        size_t length = (size_t)(newline - saying->line.data);
        take_line(saying, saying->line.data, length);
        buf_consume(&saying->line, length + 1);
    }
}

void pull_say_progress(FILE *out, const char *what, uint64_t done, uint64_t total) {
    fprintf(out, "{\"what\":\"%s\",\"done\":%llu,\"total\":%llu}\n", what, (unsigned long long)done,
            (unsigned long long)total);
    fflush(out);
}

void pull_say(FILE *out, const char *name, const char *text) {
    _cleanup_buf_ Buf line = BUF_INIT(PULL_LINE_MAX);
    buf_puts(&line, "{");
    write_member(&line, 0, name, text);
    buf_puts(&line, "}\n");
    if (!line.failed)
        fputs(line.data, out);
    fflush(out);
}

/* ---- the process ---- */

static int outcome(const char *program, const ProcessResult *result, Saying *saying, char **ret_error) {
    int status = result->status;
    if (result->err.len > 0 && write(STDERR_FILENO, result->err.data, result->err.len) < 0) { /* its log: best effort */
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && saying->id)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) && saying->error) {
        *ret_error = TAKE_PTR(saying->error);
        return -WEXITSTATUS(status);
    }
    *ret_error = WIFSIGNALED(status) ? xasprintf("%s was ended by signal %d", program, WTERMSIG(status))
                                     : xasprintf("%s ended with status %d", program, WEXITSTATUS(status));
    return -ECHILD;
}

static int run(ImageStore *store, const Buf *request, Saying *saying, char **ret_error) {
    const char *const argv[] = {store->puller, NULL};
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv,
                                       .input = request->data,
                                       .input_len = request->len,
                                       .output = on_output,
                                       .userdata = saying,
                                       .cancel = &store->interrupted,
                                       .die_with_caller = true},
                        &result);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", store->puller, strerror(-r));
        return r;
    }
    return outcome(store->puller, &result, saying, ret_error);
}

static void write_request(Buf *out, const ImageStore *store, const char *reference, const RegistryAuth *auths,
                          size_t n_auths, bool progress) {
    const PullRequest request = {.store = {.root = store->root,
                                           .ca_file = store->ca_file,
                                           .unpacker = store->unpacker,
                                           .insecure_hosts = (const char *const *)store->insecure_hosts,
                                           .stall_seconds = store->stall_seconds},
                                 .reference = reference,
                                 .auths = (RegistryAuth *)(uintptr_t)auths,
                                 .n_auths = n_auths,
                                 .progress = progress};
    pull_request_write(out, &request);
}

int image_pull(ImageStore *store, const char *reference, const RegistryAuth *auths, size_t n_auths,
               image_progress_fn progress, void *userdata, Image **ret, char **ret_error) {
    Buf request = BUF_INIT(PULL_REQUEST_MAX);
    Saying saying = {.line = BUF_INIT(PULL_LINE_MAX), .progress = progress, .userdata = userdata};
    char *error = NULL;
    write_request(&request, store, reference, auths, n_auths, progress != NULL);
    int r = request.failed ? -E2BIG : run(store, &request, &saying, &error);
    if (request.data)
        wipe(request.data, request.cap);
    buf_done(&request);
    if (r == 0 && ret)
        r = image_get(store, saying.id, ret);
    if (r < 0 && !error)
        error = xasprintf("%s: %s", reference, strerror(-r));
    free(saying.id);
    free(saying.error);
    buf_done(&saying.line);
    if (ret_error)
        *ret_error = TAKE_PTR(error);
    free(error);
    return r;
}
