/* Images of containers: pull policies, pull secrets, back-off, in the words of the reference (pkg/kubelet/images). A
 * pull runs on a pool; the pod is queued again when it has ended. */
#include "kubelet/internal.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>

#define PULL_SECRETS_MAX 32
#define PULL_AUTHS_MAX 64

typedef struct PullJob {
    Kubelet *k;
    Pod *p;
    Object *object;
    char *image, *container;
    uint64_t asked;
} PullJob;

/* Credentials found for one image. Strings are owned. */
typedef struct Auths {
    RegistryAuth list[PULL_AUTHS_MAX];
    size_t lengths[PULL_AUTHS_MAX]; /* of the key that matched: longer ones are tried first */
    size_t n;
} Auths;

static void secret_free(const char *text) {
    char *p = (char *)text;
    wipe_freep(&p);
}

static void auths_done(Auths *a) {
    for (size_t i = 0; i < a->n; i++) {
        secret_free(a->list[i].username);
        secret_free(a->list[i].password);
        secret_free(a->list[i].identity_token);
    }
}

/* ---- pull secrets ---- */

static void auths_add(Auths *a, size_t length, const char *username, const char *password, const char *token) {
    if (a->n == PULL_AUTHS_MAX || (str_empty(username) && str_empty(token)))
        return;
    size_t at = a->n++;
    for (; at > 0 && a->lengths[at - 1] < length; at--) {
        a->list[at] = a->list[at - 1];
        a->lengths[at] = a->lengths[at - 1];
    }
    a->lengths[at] = length;
    a->list[at] = (RegistryAuth){xstrdup(username), xstrdup(password), xstrdup(token)};
}

/* "https://index.docker.io/v1/", "registry.example/team", "*.example:5000": does it speak of host/path? */
static bool key_matches(const char *key, const char *host, const char *path, size_t *ret_length) {
    const char *scheme = strstr(key, "://");
    if (scheme)
        key = scheme + 3;
    size_t n = strcspn(key, "/");
    _cleanup_free_ char *name = xstrndup(key, n), *below = xstrdup(key[n] ? key + n + 1 : "");
    if (streq(name, "index.docker.io") || streq(name, "registry-1.docker.io")) {
        free(name);
        name = xstrdup("docker.io");
    }
    while (*below && below[strlen(below) - 1] == '/')
        below[strlen(below) - 1] = 0;
    if (streq(below, "v1") || streq(below, "v2"))
        *below = 0;
    if (!streq(name, host)) {
        size_t dots = 0, host_dots = 0; /* a star stands for part of one label only */
        for (const char *p = name; *p; p++)
            dots += *p == '.';
        for (const char *p = host; *p; p++)
            host_dots += *p == '.';
        if (dots != host_dots || fnmatch(name, host, 0) != 0)
            return false;
    }
    if (*below && !str_has_prefix(path, below))
        return false;
    *ret_length = strlen(name) + strlen(below);
    return true;
}

static void add_entry(Auths *a, size_t length, const json_t *entry) {
    const char *username = json_string_value(json_object_get(entry, "username"));
    const char *password = json_string_value(json_object_get(entry, "password"));
    const char *token = json_string_value(json_object_get(entry, "identitytoken"));
    const char *both = json_string_value(json_object_get(entry, "auth"));
    _cleanup_(wipe_freep) char *decoded = NULL;
    uint8_t *raw = NULL;
    size_t n = 0;
    if (str_empty(username) && both && base64_decode(both, strlen(both), &raw, &n) == 0) {
        decoded = (char *)raw;
        char *colon = strchr(decoded, ':');
        if (colon) {
            *colon = 0;
            username = decoded;
            password = colon + 1;
        }
    }
    auths_add(a, length, username, password, token);
    if (decoded && username == decoded)
        decoded[strlen(decoded)] = ':'; /* so that all of it is wiped */
}

static void add_config(Auths *a, const char *text, size_t n, bool old_format, const char *host, const char *path) {
    json_t *root = json_loadb(text, n, 0, NULL);
    json_t *table = old_format ? root : json_object_get(root, "auths");
    const char *key;
    json_t *entry;
    json_object_foreach(table, key, entry) {
        size_t length = 0;
        if (key_matches(key, host, path, &length))
            add_entry(a, length, entry);
    }
    json_decref(root);
}

static void add_secret(Kubelet *k, Auths *a, const char *ns, const char *name, const char *host, const char *path) {
    _cleanup_object_ Object *secret = NULL;
    _cleanup_api_error_ ApiError err = {0};
    ObjectSource source;
    kubelet_source(k, &source);
    if (source.get(source.userdata, "secrets", ns, name, &secret, &err) < 0) {
        log_info("pull secret %s/%s: %s", ns, name, str_or(err.message, "cannot be read"));
        return;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *data = value_get(object_value(secret, arena), "data");
    static const char *const keys[] = {".dockerconfigjson", ".dockercfg"};
    for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
        const char *encoded = value_get_str(data, keys[i]);
        uint8_t *text = NULL;
        size_t n = 0;
        if (!encoded || base64_decode(encoded, strlen(encoded), &text, &n) < 0)
            continue;
        add_config(a, (const char *)text, n, i == 1, host, path);
        wipe(text, n);
        free(text);
    }
}

/* The pod's pull secrets; where it names none, those of its service account. */
static void auths_find(Kubelet *k, const Value *pod, const char *image, Auths *ret) {
    _cleanup_free_ char *full = NULL;
    if (image_reference_normalize(image, &full) < 0)
        return;
    size_t host_length = strcspn(full, "/");
    _cleanup_free_ char *host = xstrndup(full, host_length);
    const char *path = full[host_length] ? full + host_length + 1 : "";
    const Value *list = value_path(pod, "spec", "imagePullSecrets", NULL), *reference;
    _cleanup_object_ Object *account = NULL;
    _cleanup_arena_ Arena *arena = arena_new(0);
    if (!value_len(list)) {
        const char *name = str_or(value_get_str(value_get(pod, "spec"), "serviceAccountName"), "default");
        if (client_get(k->client, RES("serviceaccounts"), pod_ns(pod), name, &account, NULL) == 0)
            list = value_get(object_value(account, arena), "imagePullSecrets");
    }
    size_t n = 0;
    VALUE_FOREACH (reference, list)
        if (!str_empty(value_get_str(reference, "name")) && n++ < PULL_SECRETS_MAX)
            add_secret(k, ret, pod_ns(pod), value_get_str(reference, "name"), host, path);
}

/* ---- the pull ---- */

/* Go's Duration cut to milliseconds: "12ms", "1.234s", "1m2.5s". */
static void go_milliseconds(uint64_t ns, char out[48]) {
    uint64_t ms = ns / NS_PER_MS, minutes = ms / 60000;
    if (ms < 1000) {
        snprintf(out, 48, ms ? "%llums" : "0s", (unsigned long long)ms);
        return;
    }
    int n = 0;
    if (minutes >= 60)
        n += snprintf(out + n, (size_t)(48 - n), "%lluh", (unsigned long long)(minutes / 60));
    if (minutes)
        n += snprintf(out + n, (size_t)(48 - n), "%llum", (unsigned long long)(minutes % 60));
    n += snprintf(out + n, (size_t)(48 - n), "%llu", (unsigned long long)(ms % 60000 / 1000));
    if (ms % 1000) {
        n += snprintf(out + n, (size_t)(48 - n), ".%03llu", (unsigned long long)(ms % 1000));
        while (out[n - 1] == '0')
            n--;
    }
    snprintf(out + n, (size_t)(48 - n), "s");
}

static void backoff_key(const PodSync *s, const char *image, char **ret) {
    *ret = xasprintf("%s_%s", s->p->uid, image);
}

static void pull_job_free(PullJob *j) {
    object_unref(j->object);
    pod_unref(j->k, j->p);
    free(j->image);
    free(j->container);
    free(j);
}

static void pull_end(PullJob *j, char *error) {
    Kubelet *k = j->k;
    pthread_mutex_lock(&k->lock);
    PodTask *pull = strmap_get(j->p->pulls, j->image);
    if (pull) {
        pull->done = true;
        free(pull->error);
        pull->error = TAKE_PTR(error);
    }
    pthread_mutex_unlock(&k->lock);
    free(error);
    workqueue_add(k->pod_queue, j->p->uid);
}

static void pull_job(void *userdata) {
    PullJob *j = userdata;
    Kubelet *k = j->k;
    if (k->stopping) {
        pull_job_free(j);
        return;
    }
    _cleanup_arena_ Arena *arena = arena_new(0);
    const Value *pod = object_value(j->object, arena);
    const char *field = container_field_path(arena, pod, j->container);
    _cleanup_(auths_done) Auths auths = {0};
    auths_find(k, pod, j->image, &auths);
    uint64_t started = now_monotonic_ns();
    Image *image = NULL;
    char *error = NULL;
    int r = image_pull(k->images, j->image, auths.list, auths.n, NULL, NULL, &image, &error);
    _cleanup_free_ char *key = xasprintf("%s_%s", j->p->uid, j->image);
    if (r < 0 && k->stopping) { /* cut short: the next agent pulls it */
        free(error);
        pull_job_free(j);
        return;
    }
    if (r < 0) {
        if (!error)
            error = xasprintf("%s: %s", j->image, strerror(-r));
        event_record(k->events, j->object, field, "Warning", "Failed", "Failed to pull image \"%s\": %s", j->image,
                     error);
        backoff_next(k->image_backoff, key, now_realtime_ns());
    } else {
        char took[48], all[48];
        uint64_t now = now_monotonic_ns();
        go_milliseconds(now - started, took);
        go_milliseconds(now - j->asked, all);
        event_record(k->events, j->object, field, "Normal", "Pulled",
                     "Successfully pulled image \"%s\" in %s (%s including waiting). Image size: %llu bytes.", j->image,
                     took, all, (unsigned long long)image->size);
        backoff_forget_prefix(k->image_backoff, key);
        free(error);
        error = NULL;
    }
    image_free(image);
    pull_end(j, error);
    pull_job_free(j);
}

static int pull_start(PodSync *s, const char *image, const char *container) {
    Kubelet *k = s->k;
    pthread_mutex_lock(&k->lock);
    strmap_put(s->p->pulls, image, NEW0(PodTask));
    pthread_mutex_unlock(&k->lock);
    PullJob *j = NEW0(PullJob);
    *j = (PullJob){.k = k,
                   .p = pod_ref(k, s->p),
                   .object = object_ref(s->object),
                   .image = xstrdup(image),
                   .container = xstrdup(container),
                   .asked = now_monotonic_ns()};
    int r = pool_submit(k->pull_pool, pull_job, j);
    if (r < 0) { /* the queue is full: later */
        pthread_mutex_lock(&k->lock);
        strmap_remove(s->p->pulls, image);
        pthread_mutex_unlock(&k->lock);
        pull_job_free(j);
        sync_again(s, NS_PER_SEC);
    }
    return -EINPROGRESS;
}

typedef enum PullState { PULL_NONE, PULL_RUNS, PULL_OK, PULL_FAILED } PullState;

/* What became of the pull, if there was one; its result is said once. */
static PullState pull_take(PodSync *s, const char *image, const char **ret_error) {
    PullState state = PULL_NONE;
    pthread_mutex_lock(&s->k->lock);
    const PodTask *pull = strmap_get(s->p->pulls, image);
    if (pull && !pull->done)
        state = PULL_RUNS;
    else if (pull) {
        state = pull->error ? PULL_FAILED : PULL_OK;
        if (pull->error)
            *ret_error = arena_strdup(s->arena, pull->error);
        if (!pull->error)
            strmap_remove(s->p->pulls, image);
    }
    pthread_mutex_unlock(&s->k->lock);
    return state;
}

bool image_awaited(Kubelet *k, Pod *p, const char *image) {
    pthread_mutex_lock(&k->lock);
    bool awaited = strmap_get(p->pulls, image);
    pthread_mutex_unlock(&k->lock);
    return awaited;
}

static const char *waiting_reason(const PodSync *s, const char *container) {
    const Waiting *w = strmap_get(s->p->waiting, container);
    return w ? w->reason : NULL;
}

/* The last pull failed. First that is said, then that we wait, then it is tried again: 0 when it may be. */
static int after_failure(PodSync *s, const char *image, const char *name, const char *field, const char *error,
                         const char **ret_reason, const char **ret_message) {
    _cleanup_free_ char *key = NULL;
    backoff_key(s, image, &key);
    const char *was = waiting_reason(s, name);
    bool said = was && (streq(was, "ErrImagePull") || streq(was, "ImagePullBackOff"));
    int64_t left = backoff_remaining_since_update(s->k->image_backoff, key, now_realtime_ns());
    if (!said) {
        *ret_reason = "ErrImagePull";
        *ret_message = error;
        sync_again(s, NS_PER_SEC);
        return -EIO;
    }
    if (left <= 0)
        return 0;
    if (!streq(was, "ImagePullBackOff"))
        event_record(s->k->events, s->object, field, "Normal", "BackOff", "Back-off pulling image \"%s\"", image);
    *ret_reason = "ImagePullBackOff";
    *ret_message = arena_printf(s->arena, "Back-off pulling image \"%s\": ErrImagePull: %s", image, error);
    sync_again(s, (uint64_t)left);
    return -EIO;
}

int image_ensure(PodSync *s, const Value *container, Image **ret, const char **ret_reason, const char **ret_message) {
    Kubelet *k = s->k;
    const char *image = str_or(value_get_str(container, "image"), ""),
               *name = str_or(value_get_str(container, "name"), "");
    const char *policy = str_or(value_get_str(container, "imagePullPolicy"), "IfNotPresent"), *error = NULL;
    const char *field = container_field_path(s->arena, s->pod, name);
    _cleanup_free_ char *full = NULL;
    if (image_reference_normalize(image, &full) < 0) {
        *ret_reason = "InvalidImageName";
        *ret_message = arena_printf(
            s->arena,
            "Failed to apply default image tag \"%s\": couldn't parse image name \"%s\": invalid reference format",
            image, image);
        event_record(k->events, s->object, field, "Warning", "InspectFailed", "%s", *ret_message);
        return -EINVAL;
    }
    PullState state = pull_take(s, image, &error);
    if (state == PULL_RUNS)
        return -EINPROGRESS;
    _cleanup_(image_freep) Image *have = NULL;
    bool present = image_get(k->images, image, &have) == 0;
    if (present && (state == PULL_OK || !streq(policy, "Always"))) {
        if (state != PULL_OK)
            event_record(k->events, s->object, field, "Normal", "Pulled",
                         "Container image \"%s\" already present on machine and can be accessed by the pod", image);
        *ret = TAKE_PTR(have);
        return 0;
    }
    if (streq(policy, "Never")) {
        *ret_reason = "ErrImageNeverPull";
        *ret_message = arena_printf(s->arena, "Container image \"%s\" is not present with pull policy of Never", image);
        event_record(k->events, s->object, field, "Warning", "ErrImageNeverPull", "%s", *ret_message);
        return -ENOENT;
    }
    if (state == PULL_FAILED) {
        int r = after_failure(s, image, name, field, error, ret_reason, ret_message);
        if (r < 0)
            return r;
    }
    event_record(k->events, s->object, field, "Normal", "Pulling", "Pulling image \"%s\"", image);
    return pull_start(s, image, name);
}
