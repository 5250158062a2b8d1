/* Approves what a node asks for itself, once an access review says that its asker may. */
#include "base/str.h"
#include "controllers/certificates.h"
#include "controllers/controller.h"

#include <errno.h>

typedef struct Approving {
    Client *client;
    Informer *requests;
    WorkQueue *queue;
} Approving;

/* May the asker create certificatesigningrequests/SUBRESOURCE? */
static int review(Approving *all, Arena *arena, const CertificateRequest *request, const char *subresource,
                  bool *ret_allowed) {
    static const char *const who[][2] = {
        {"user", "username"}, {"uid", "uid"}, {"groups", "groups"}, {"extra", "extra"}};
    const Resource *reviews = resource_find("authorization.k8s.io", "v1", "subjectaccessreviews");
    Value *body = value_object(arena), *spec = value_object(arena), *attributes = value_object(arena), *answer = NULL;
    value_set_str(arena, body, "apiVersion", "authorization.k8s.io/v1");
    value_set_str(arena, body, "kind", "SubjectAccessReview");
    for (size_t i = 0; i < ELEMENTSOF(who); i++)
        value_set(arena, spec, who[i][0], value_copy(arena, value_get(request->spec, who[i][1])));
    value_set_str(arena, attributes, "verb", "create");
    value_set_str(arena, attributes, "group", "certificates.k8s.io");
    value_set_str(arena, attributes, "version", "*");
    value_set_str(arena, attributes, "resource", "certificatesigningrequests");
    value_set_str(arena, attributes, "subresource", subresource);
    value_set(arena, spec, "resourceAttributes", attributes);
    value_set(arena, body, "spec", spec);
    int r = client_create_subresource(all->client, reviews, NULL, NULL, NULL, body, arena, &answer, NULL);
    if (r >= 0)
        *ret_allowed = value_get_bool(value_get(answer, "status"), "allowed", false);
    return r;
}

static int sync_key(const char *name, void *userdata) {
    static const struct {
        const char *subresource, *message;
        bool own; /* the asker is the node itself */
    } kinds[] = {{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.", true},
                 {"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.", false}};
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_certificate_request_ CertificateRequest request = {0};
    Approving *all = userdata;
    _cleanup_object_ Object *object = informer_lookup(all->requests, NULL, name);
    if (!object)
        return 0;
    certificate_request_read(arena, object, &request);
    if (request.issued || request.approved || request.denied || !request.parsed ||
        !streq(str_or(value_get_str(request.spec, "signerName"), ""), SIGNER_KUBELET_CLIENT) ||
        certificate_request_problem(arena, &request, SIGNER_KUBELET_CLIENT))
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        bool allowed = false;
        if (kinds[i].own && !streq_null(value_get_str(request.spec, "username"), request.content.common_name))
            continue;
        int r = review(all, arena, &request, kinds[i].subresource, &allowed);
        if (r < 0)
            return r;
        if (!allowed)
            continue;
        certificate_request_add_condition(arena, &request, "Approved", "AutoApproved", kinds[i].message, false);
        r = client_update(all->client, object_resource(object), NULL, name, "approval", request.value, NULL, NULL);
        return r == -ENOENT ? 0 : r;
    }
    return -EAGAIN; /* the role may be given to the asker later */
}

static void *init(Controller *controller) {
    Approving *all = NEW0(Approving);
    all->client = controller_client(controller);
    all->requests = controller_informer(controller, "certificates.k8s.io", "v1", "certificatesigningrequests");
    all->queue = controller_queue(controller, "certificate", 1, sync_key, all);
    controller_watch(all->requests, all->queue);
    return all;
}

const ControllerRow controller_certificate_approving = {
    .name = "certificatesigningrequest-approving-controller", .account = "certificate-controller", .init = init};
