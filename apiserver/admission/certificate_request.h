/* What admission looks at in a CertificateSigningRequest. */
#pragma once

#include "apiserver/admission/admission.h"

/* The subject in spec.request: every organization (NULL-terminated) and the common name ("" when absent), in the arena.
 * NULL, or why it does not parse. */
const char *certificate_request_subject(Arena *arena, const Value *csr, const char ***ret_organizations,
                                        const char **ret_name);
/* May the user do `verb` with this signer (signers NAME, or all of its domain, in certificates.k8s.io)? */
bool certificate_signer_allows(const AdmissionRequest *request, const char *verb, const char *signer);
