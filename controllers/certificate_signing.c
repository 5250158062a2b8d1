/* Signs approved CertificateSigningRequests of the cluster's own signers, with the cluster's CA. */
#define LOG_COMPONENT "controllers"
#include "base/log.h"
#include "base/str.h"
#include "controllers/certificates.h"
#include "controllers/controller.h"

#include <errno.h>

#define LIFETIME_SECONDS (365ull * 86400) /* the default of --cluster-signing-duration */
#define LIFETIME_MIN_SECONDS 600ull
#define SHORT_SECONDS (8 * 3600ull) /* the end of shorter ones is not moved with their beginning */

typedef struct Signing {
    Client *client;
    Informer *requests;
    WorkQueue *queue;
    PkiCa *ca;
} Signing;

static int sign(Signing *all, Arena *arena, CertificateRequest *request) {
    _cleanup_buf_ Buf encoded = BUF_INIT(PKI_FILE_MAX);
    _cleanup_free_ char *certificate = NULL;
    const Value *usages = value_get(request->spec, "usages");
    const char **names = arena_alloc0(arena, (value_len(usages) + 1) * sizeof(*names));
    for (size_t i = 0; i < value_len(usages); i++)
        names[i] = str_or(value_str(value_at(usages, i)), "");
    int64_t asked = value_get_int(request->spec, "expirationSeconds", (int64_t)LIFETIME_SECONDS);
    uint64_t lifetime = MIN(MAX((uint64_t)MAX(asked, (int64_t)0), LIFETIME_MIN_SECONDS), LIFETIME_SECONDS);
    if (lifetime >= SHORT_SECONDS)
        lifetime -= PKI_BACKDATE_SECONDS;
    int r = pki_request_sign(all->ca, request->pem, request->n, names, lifetime, &certificate);
    if (r < 0)
        return r;
    base64_encode(&encoded, certificate, strlen(certificate));
    value_set(arena, request->status, "certificate", value_string_n(arena, encoded.data, encoded.len));
    return 0;
}

static int sync_key(const char *name, void *userdata) {
    static const char *const signers[] = {SIGNER_KUBELET_CLIENT, SIGNER_KUBELET_SERVING, SIGNER_CLIENT, SIGNER_LEGACY,
                                          NULL};
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_certificate_request_ CertificateRequest request = {0};
    Signing *all = userdata;
    _cleanup_object_ Object *object = informer_lookup(all->requests, NULL, name);
    if (!object)
        return 0;
    certificate_request_read(arena, object, &request);
    const char *signer = str_or(value_get_str(request.spec, "signerName"), "");
    if (!request.approved || request.denied || request.failed || request.issued || !str_in(signer, signers) ||
        !request.parsed)
        return 0;
    const char *problem = certificate_request_problem(arena, &request, signer);
    if (problem)
        certificate_request_add_condition(arena, &request, "Failed", "SignerValidationFailure", problem, true);
    else {
        int r = sign(all, arena, &request);
        if (r < 0)
            return r;
    }
    int r = client_update(all->client, object_resource(object), NULL, name, "status", request.value, NULL, NULL);
    return r == -ENOENT ? 0 : r;
}

static void *init(Controller *controller) {
    const ControllersConfig *config = controller_config(controller);
    PkiCa *ca = NULL;
    if (!config->signing_cert_file || !config->signing_key_file)
        return NULL;
    if (pki_ca_load(config->signing_cert_file, config->signing_key_file, &ca) < 0) {
        log_error("%s cannot be used: certificate requests will not be signed", config->signing_cert_file);
        return NULL;
    }
    Signing *all = NEW0(Signing);
    all->ca = ca;
    all->client = controller_client(controller);
    all->requests = controller_informer(controller, "certificates.k8s.io", "v1", "certificatesigningrequests");
    all->queue = controller_queue(controller, "certificate", 1, sync_key, all);
    controller_watch(all->requests, all->queue);
    return all;
}

static void free_all(void *data) {
    pki_ca_free(((Signing *)data)->ca);
    free(data);
}

const ControllerRow controller_certificate_signing = {.name = "certificatesigningrequest-signing-controller",
                                                      .account = "certificate-controller",
                                                      .init = init,
                                                      .free = free_all};
