/* CertificateSubjectRestriction: no client certificate makes its holder a system:masters. */
#include "apiserver/admission/certificate_request.h"
#include "base/str.h"

#define SIGNER "kubernetes.io/kube-apiserver-client"

static int validate(AdmissionRequest *request, ApiError *err) {
    const char **organizations, *name;
    if (request->operation != ADMISSION_CREATE ||
        !admission_is(request, "certificates.k8s.io", "certificatesigningrequests") ||
        !streq_null(value_get_str(value_get(request->object, "spec"), "signerName"), SIGNER))
        return 0;
    const char *why = certificate_request_subject(request->strategy->arena, request->object, &organizations, &name);
    if (why)
        return admission_forbid(request, err, "failed to parse CSR: %s", why);
    if (str_in("system:masters", organizations))
        return admission_forbid(request, err, "use of " SIGNER " signer with system:masters group is not allowed");
    return 0;
}

const AdmissionPlugin admission_certificate_subject_restriction = {"CertificateSubjectRestriction", NULL, validate};
