/* What the controllers of CertificateSigningRequests share. Inside controllers only. */
#pragma once

#include "client/client.h"
#include "http/pki.h"

typedef struct CertificateRequest {
    Value *value, *spec, *status;
    char *pem; /* in the arena */
    size_t n;
    bool approved, denied, failed, issued;
    bool parsed; /* `content` is there */
    PkiRequest content;
} CertificateRequest;

/* Always fills what the object says; whether the request itself can be read is `parsed`. */
void certificate_request_read(Arena *arena, const Object *object, CertificateRequest *ret);
void certificate_request_done(CertificateRequest *request);
#define _cleanup_certificate_request_ _cleanup_(certificate_request_done)

/* NULL, or why the signer of this name does not sign it, as the reference says it. */
const char *certificate_request_problem(Arena *arena, const CertificateRequest *request, const char *signer);
#define SIGNER_KUBELET_CLIENT "kubernetes.io/kube-apiserver-client-kubelet"
#define SIGNER_KUBELET_SERVING "kubernetes.io/kubelet-serving"
#define SIGNER_CLIENT "kubernetes.io/kube-apiserver-client"
#define SIGNER_LEGACY "kubernetes.io/legacy-unknown"
void certificate_request_add_condition(Arena *arena, CertificateRequest *request, const char *type, const char *reason,
                                       const char *message, bool timed);
