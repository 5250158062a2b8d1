#include "apiserver/registry/custom_conversion.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define GROUP "apiextensions.k8s.io"

static const double seconds[] = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60},
                    crd_seconds[] = {0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
                                     0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384};

ConversionService *conversion_service_new(WebhookClient *client) {
    ConversionService *service = NEW0(ConversionService);
    service->client = client;
    service->requests = metric_counter_new("apiserver_conversion_webhook_request_total",
                                           "[ALPHA] Calls of conversion webhooks, by result and kind of failure.");
    service->durations =
        metric_histogram_new("apiserver_conversion_webhook_duration_seconds",
                             "[ALPHA] How long conversion webhooks took.", seconds, ELEMENTSOF(seconds));
    service->crd_durations =
        metric_histogram_new("apiserver_crd_conversion_webhook_duration_seconds",
                             "[ALPHA] How long conversions of custom resources took, by definition and versions.",
                             crd_seconds, ELEMENTSOF(crd_seconds));
    return service;
}

void conversion_service_free(ConversionService *service) {
    if (!service)
        return;
    metric_free(service->requests);
    metric_free(service->durations);
    metric_free(service->crd_durations);
    free(service);
}

void conversion_metrics_write(ConversionService *service, Buf *out) {
    metric_write(service->durations, out);
    metric_write(service->requests, out);
    metric_write(service->crd_durations, out);
}

const CustomConversion *custom_conversion_new(Arena *arena, ConversionService *service, const Value *crd) {
    static const char *const known[] = {"v1", "v1beta1", NULL};
    const Value *conversion = value_path(crd, "spec", "conversion", NULL), *webhook = value_get(conversion, "webhook"),
                *version;
    if (!streq_null(value_get_str(conversion, "strategy"), "Webhook"))
        return NULL;
    CustomConversion *out = ARENA_NEW0(arena, CustomConversion);
    out->service = service;
    out->name = str_or(value_get_str(value_get(crd, "metadata"), "name"), "");
    webhook_target_read(arena, value_get(webhook, "clientConfig"), &out->target);
    VALUE_FOREACH (version, value_get(webhook, "conversionReviewVersions"))
        if (!out->review_version && value_str(version) && str_in(value_str(version), known))
            out->review_version = value_str(version);
    return out;
}

/* ---- one review ---- */

typedef struct Review {
    const CustomConversion *conversion;
    Arena *arena;
    const char *api_version; /* wanted */
    Value **objects;         /* none of them is of it */
    size_t n;
    const char *kind; /* "group/version, Kind=Kind" of the first, as messages name it */
    char uid[UUID_LEN + 1];
    const char *failure; /* for figures */
} Review;

static int fail(Review *review, ApiError *err, const char *failure, const char *format, ...) _printf_(4, 5);

static int fail(Review *review, ApiError *err, const char *failure, const char *format, ...) {
    char *why = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&why, format, ap) < 0)
        why = NULL;
    va_end(ap);
    review->failure = failure;
    int r = api_error_set(err, 500, "", "conversion webhook for %s %s", review->kind, str_or(why, "failed"));
    free(why);
    return r;
}

static int malformed(Review *review, ApiError *err, const char *why) {
    return fail(review, err, "conversion_webhook_malformed_response_failure", "failed: %s", why);
}

static const char *text(const Value *v, const char *name) {
    return str_or(value_get_str(v, name), "");
}

static const char *kind_text(Arena *arena, const Value *v) {
    const char *version = text(v, "apiVersion");
    return arena_printf(arena, "%s%s, Kind=%s", strchr(version, '/') ? "" : "/", version, text(v, "kind"));
}

static Value *request_of(Review *review) {
    Arena *arena = review->arena;
    Value *document = value_object(arena), *request = value_object(arena), *objects = value_array(arena);
    for (size_t i = 0; i < review->n; i++)
        value_append(arena, objects, review->objects[i]);
    value_set_str(arena, document, "kind", "ConversionReview");
    value_set_str(arena, document, "apiVersion", arena_printf(arena, GROUP "/%s", review->conversion->review_version));
    value_set_str(arena, request, "uid", review->uid);
    value_set_str(arena, request, "desiredAPIVersion", review->api_version);
    value_set(arena, request, "objects", objects);
    value_set(arena, document, "request", request);
    return document;
}

/* The converted objects. */
static int read_response(Review *review, const Value *answer, const Value **ret, ApiError *err) {
    static const char wanted[] = GROUP "/v1, Kind=ConversionReview";
    Arena *arena = review->arena;
    const Value *response = value_get(answer, "response"), *result = value_get(response, "result");
    bool strict = streq(review->conversion->review_version, "v1");
    const char *kind = kind_text(arena, answer);
    if (strict && !streq(kind, wanted))
        return malformed(review, err, arena_printf(arena, "expected webhook response of %s, got %s", wanted, kind));
    if (!value_is(response, VALUE_OBJECT))
        return malformed(review, err, "no response provided");
    if (strict && !streq(text(response, "uid"), review->uid))
        return malformed(review, err,
                         arena_printf(arena, "expected response.uid=\"%s\", got %s", review->uid,
                                      go_quoted(arena, text(response, "uid"))));
    if (!streq(text(result, "status"), "Success"))
        return malformed(
            review, err,
            *text(result, "message")
                ? text(result, "message")
                : arena_printf(arena, "response.result.status was '%s', not 'Success'", text(result, "status")));
    *ret = value_get(response, "convertedObjects");
    if (value_len(*ret) != review->n)
        return fail(review, err, "conversion_webhook_partial_response_failure", "returned %zu objects, expected %zu",
                    value_len(*ret), review->n);
    return 0;
}

/* ---- what comes back ---- */

/* NULL, or what is not as it was. */
static const char *check_identity(Arena *arena, const Value *in, const Value *out) {
    static const struct {
        const char *member, *word;
    } same[] = {{"name", "name"}, {"namespace", "namespace"}, {"uid", "UID"}};
    const Value *a = value_get(in, "metadata"), *b = value_get(out, "metadata");
    for (size_t i = 0; i < ELEMENTSOF(same); i++)
        if (!streq(text(a, same[i].member), text(b, same[i].member)))
            return arena_printf(arena, "must have the same %s: %s != %s", same[i].word, text(a, same[i].member),
                                text(b, same[i].member));
    return NULL;
}

static const char *check_strings(Arena *arena, const char *name, const Value *map, const Value *was) {
    _cleanup_buf_ Buf why = BUF_INIT(64 * 1024);
    bool changed = value_len(map) != value_len(was);
    if (!value_is(map, VALUE_OBJECT))
        return arena_printf(arena, "invalid metadata.%s in converted object", name);
    VALUE_FOREACH_MEMBER (m, map) {
        if (!value_is(m->value, VALUE_STRING))
            return arena_printf(arena, "metadata.%s[%s] must be a string in converted object", name, m->name);
        changed = changed || !value_equal(m->value, value_get(was, m->name));
    }
    if (!changed)
        return NULL;
    VALUE_FOREACH_MEMBER (m, map)
        if (!label_key_check(m->name, &why) || (streq(name, "labels") && !label_value_check(value_str(m->value), &why)))
            return arena_printf(arena, "metadata.%s: Invalid value: \"%s\": %s", name, m->name, str_or(why.data, ""));
    return NULL;
}

/* All metadata of the original, with the labels and annotations of what came back. */
static const char *restore_meta(Arena *arena, const Value *in, Value *out) {
    static const char *const free_members[] = {"labels", "annotations"};
    const Value *given = value_get(out, "metadata"), *was = value_get(in, "metadata");
    if (!given)
        return "missing metadata in converted object";
    if (!value_is(given, VALUE_OBJECT))
        return "invalid metadata in converted object";
    Value *meta = was ? value_copy(arena, was) : value_object(arena);
    for (size_t i = 0; i < ELEMENTSOF(free_members); i++) {
        Value *map = value_get(given, free_members[i]);
        const char *why = NULL;
        if (map && map->type != VALUE_NULL)
            why = check_strings(arena, free_members[i], map, value_get(was, free_members[i]));
        else
            map = NULL;
        if (why)
            return why;
        value_set(arena, meta, free_members[i], map);
    }
    value_set(arena, out, "metadata", meta);
    return NULL;
}

/* The words are those for a single object: the reference has each converted by itself. */
static int take(Review *review, size_t i, Value *out, ApiError *err) {
    static const char failure[] = "conversion_webhook_invalid_converted_object_failure";
    Value *in = review->objects[i];
    if (!streq(text(out, "apiVersion"), review->api_version))
        return fail(review, err, failure,
                    "returned invalid object at index 0: invalid groupVersion (expected %s, received %s)",
                    review->api_version, text(out, "apiVersion"));
    if (!streq(text(out, "kind"), text(in, "kind")))
        return fail(review, err, failure, "returned invalid object at index 0: invalid kind (expected %s, received %s)",
                    text(in, "kind"), text(out, "kind"));
    const char *why = check_identity(review->arena, in, out);
    if (why)
        return fail(review, err, failure, "returned invalid object: %s", why);
    why = restore_meta(review->arena, in, out);
    if (why)
        return fail(review, err, failure, "returned invalid metadata: %s", why);
    return 0;
}

static int exchange(Review *review, ApiError *err) {
    WebhookCall call = {.target = &review->conversion->target};
    const Value *converted = NULL;
    random_uuid(review->uid);
    call.body = request_of(review);
    webhook_call_all(review->conversion->service->client, review->arena, &call, 1);
    if (call.result < 0) {
        int r = fail(review, err, "conversion_webhook_call_failure", "failed: %s", call.err.message);
        api_error_done(&call.err);
        return r;
    }
    int r = read_response(review, call.answer, &converted, err);
    for (size_t i = 0; r == 0 && i < review->n; i++)
        r = take(review, i, value_at(converted, i), err);
    for (size_t i = 0; r == 0 && i < review->n; i++)
        *review->objects[i] = *value_at(converted, i);
    return r;
}

static const char *version_part(const char *api_version) {
    const char *slash = strchr(api_version, '/');
    return slash ? slash + 1 : api_version;
}

static void count(const Review *review, const char *from, uint64_t took_ns, bool ok) {
    ConversionService *service = review->conversion->service;
    double took = (double)took_ns / (double)NS_PER_SEC;
    _cleanup_free_ char *labels =
        xasprintf("failure_type=\"%s\",result=\"%s\"", str_or(review->failure, ""), ok ? "success" : "failure");
    _cleanup_free_ char *crd_labels =
        xasprintf("crd_name=\"%s\",from_version=\"%s\",succeeded=\"%s\",to_version=\"%s\"", review->conversion->name,
                  version_part(from), ok ? "true" : "false", version_part(review->api_version));
    metric_count(service->requests, labels);
    metric_observe(service->durations, labels, took);
    metric_observe(service->crd_durations, crd_labels, took);
}

static int run_batch(Review *review, ApiError *err) {
    uint64_t started = now_monotonic_ns();
    const char *from = text(review->objects[0], "apiVersion"); /* the arena keeps it */
    review->kind = kind_text(review->arena, review->objects[0]);
    review->failure = NULL;
    int r = exchange(review, err);
    count(review, from, now_monotonic_ns() - started, r == 0);
    return r;
}

int custom_conversion_run(const CustomConversion *conversion, Arena *arena, const char *api_version, Value **objects,
                          size_t n, ApiError *err) {
    Value **others = arena_alloc(arena, (n + 1) * sizeof *others);
    size_t n_others = 0;
    for (size_t i = 0; i < n; i++)
        if (!streq(text(objects[i], "apiVersion"), api_version))
            others[n_others++] = objects[i];
    if (!n_others)
        return 0;
    if (!conversion->service || !conversion->service->client || !conversion->review_version)
        return api_error_set(err, 500, "",
                             conversion->review_version ? "this server calls no webhooks"
                                                        : "no supported conversion review versions");
    for (size_t i = 0; i < n_others; i += CONVERSION_BATCH) {
        Review review = {.conversion = conversion,
                         .arena = arena,
                         .api_version = api_version,
                         .objects = others + i,
                         .n = MIN(n_others - i, (size_t)CONVERSION_BATCH)};
        int r = run_batch(&review, err);
        if (r < 0)
            return r;
    }
    return 0;
}
