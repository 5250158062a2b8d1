/* CertificateApproval: approving takes a right of its own, one for each signer. */
#include "apiserver/admission/certificate_request.h"
#include "base/str.h"

static int validate(AdmissionRequest *request, ApiError *err) {
    const char *subresource = request->request->subresource;
    if (request->operation != ADMISSION_UPDATE || !streq(request->resource->group, "certificates.k8s.io") ||
        !streq(request->resource->plural, "certificatesigningrequests") || !subresource ||
        !streq(subresource, "approval"))
        return 0;
    /* the stored one: this request may try to change the signer */
    const char *signer = str_or(value_get_str(value_get(request->old, "spec"), "signerName"), "");
    if (certificate_signer_allows(request, "approve", signer))
        return 0;
    return admission_forbid(request, err, "user not permitted to approve requests with signerName \"%s\"", signer);
}

const AdmissionPlugin admission_certificate_approval = {"CertificateApproval", NULL, validate};
