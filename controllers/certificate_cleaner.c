/* Deletes CertificateSigningRequests that are done with: an hour after they were issued, denied or failed, a day after
 * they were made or approved without more, and once their certificate has ended. */
#include "base/clock.h"
#include "base/str.h"
#include "controllers/certificates.h"
#include "controllers/controller.h"
#include "controllers/meta.h"

#include <errno.h>

#define LOOK_EVERY_NS (3600 * NS_PER_SEC)
#define HOUR_NS ((int64_t)(3600 * NS_PER_SEC))
#define EVERYTHING "all"

typedef struct Cleaner {
    Client *client;
    Informer *requests;
    WorkQueue *queue;
} Cleaner;

static bool older(int64_t at, int64_t age, int64_t now) {
    return at != 0 && ns_between(now, at) > age;
}

static bool has_ended(const CertificateRequest *request, int64_t now) {
    const Value *encoded = value_get(request->status, "certificate");
    _cleanup_free_ uint8_t *pem = NULL;
    size_t n;
    int64_t end;
    return value_is(encoded, VALUE_STRING) && base64_decode(encoded->string, encoded->len, &pem, &n) >= 0 &&
           pki_cert_text_not_after((const char *)pem, n, &end) >= 0 && now > end;
}

static bool is_done_with(const CertificateRequest *request, int64_t created, int64_t now) {
    const Value *conditions = value_get(request->status, "conditions"), *condition;
    if (value_len(conditions) == 0)
        return older(created, 24 * HOUR_NS, now);
    VALUE_FOREACH (condition, conditions) {
        const char *type = str_or(value_get_str(condition, "type"), "");
        int64_t at = value_get_time(condition, "lastUpdateTime");
        if ((streq(type, "Denied") || streq(type, "Failed")) && older(at, HOUR_NS, now))
            return true;
        if (streq(type, "Approved") &&
            (older(at, request->issued ? HOUR_NS : 24 * HOUR_NS, now) || (request->issued && has_ended(request, now))))
            return true;
    }
    return false;
}

static int look(const char *key, void *userdata) {
    Cleaner *all = userdata;
    _cleanup_client_list_ ClientList requests = {0};
    int64_t now = now_realtime_ns();
    informer_list(all->requests, NULL, NULL, &requests);
    for (size_t i = 0; i < requests.n; i++) {
        _cleanup_arena_ Arena *arena = arena_new(0);
        _cleanup_certificate_request_ CertificateRequest request = {0};
        const Object *object = requests.items[i];
        certificate_request_read(arena, object, &request);
        if (is_done_with(&request, object_created_ns(object), now))
            client_delete(all->client, object_resource(object), NULL, object_name(object),
                          &(ClientDelete){.grace_seconds = -1}, NULL); /* if not now, the next time */
    }
    workqueue_add_after(all->queue, key, LOOK_EVERY_NS);
    return 0;
}

static void ready(void *data) {
    workqueue_add(((Cleaner *)data)->queue, EVERYTHING);
}

static void *init(Controller *controller) {
    Cleaner *all = NEW0(Cleaner);
    all->client = controller_client(controller);
    all->requests = controller_informer(controller, "certificates.k8s.io", "v1", "certificatesigningrequests");
    all->queue = controller_queue(controller, "csrcleaner", 1, look, all);
    return all;
}

const ControllerRow controller_certificate_cleaner = {.name = "certificatesigningrequest-cleaner-controller",
                                                      .account = "certificate-controller",
                                                      .init = init,
                                                      .ready = ready};
