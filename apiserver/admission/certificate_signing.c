/* CertificateSigning: putting a certificate into a request takes a right of its own, one for each signer. */
#include "apiserver/admission/certificate_request.h"
#include "base/str.h"

static bool unchanged(const AdmissionRequest *request, const char *field) {
    return value_equal(value_path(request->object, "status", field, NULL),
                       value_path(request->old, "status", field, NULL));
}

static int validate(AdmissionRequest *request, ApiError *err) {
    const char *subresource = request->request->subresource;
    if (request->operation != ADMISSION_UPDATE || !streq(request->resource->group, "certificates.k8s.io") ||
        !streq(request->resource->plural, "certificatesigningrequests") || !subresource ||
        !streq(subresource, "status"))
        return 0;
    if (unchanged(request, "certificate") && unchanged(request, "conditions"))
        return 0;
    const char *signer = str_or(value_get_str(value_get(request->old, "spec"), "signerName"), "");
    if (certificate_signer_allows(request, "sign", signer))
        return 0;
    return admission_forbid(request, err, "user not permitted to sign requests with signerName \"%s\"", signer);
}

const AdmissionPlugin admission_certificate_signing = {"CertificateSigning", NULL, validate};
