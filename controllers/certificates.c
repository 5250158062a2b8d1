/* CertificateSigningRequests: what they ask for, and which of them the cluster's own signers sign. */
#include "controllers/certificates.h"

#include "base/str.h"
#include "controllers/meta.h"

static bool is_true(const CertificateRequest *request, const char *type) {
    return streq(condition_status(value_get(request->status, "conditions"), type), "True");
}

void certificate_request_read(Arena *arena, const Object *object, CertificateRequest *ret) {
    CertificateRequest request = {.value = object_value(object, arena)};
    request.spec = value_get(request.value, "spec");
    request.status = value_ensure_object(arena, request.value, "status");
    request.approved = meta_condition(value_get(request.status, "conditions"), "Approved") != NULL;
    request.denied = meta_condition(value_get(request.status, "conditions"), "Denied") != NULL;
    request.failed = is_true(&request, "Failed");
    request.issued = !value_is_empty(value_get(request.status, "certificate"));
    const Value *encoded = value_get(request.spec, "request");
    _cleanup_free_ uint8_t *pem = NULL;
    if (value_is(encoded, VALUE_STRING) && base64_decode(encoded->string, encoded->len, &pem, &request.n) >= 0) {
        request.pem = arena_strndup(arena, (const char *)pem, request.n);
        request.parsed = pki_request_parse(request.pem, request.n, &request.content) >= 0;
    }
    *ret = request;
}

void certificate_request_done(CertificateRequest *request) {
    if (request->parsed)
        pki_request_done(&request->content);
}

void certificate_request_add_condition(Arena *arena, CertificateRequest *request, const char *type, const char *reason,
                                       const char *message, bool timed) {
    Value *condition = value_object(arena);
    value_set_str(arena, condition, "type", type);
    value_set_str(arena, condition, "status", "True");
    value_set_str(arena, condition, "reason", reason);
    value_set_str(arena, condition, "message", message);
    if (timed)
        value_set(arena, condition, "lastUpdateTime", value_now(arena));
    value_append(arena, value_ensure_array(arena, request->status, "conditions"), condition);
}

/* ---- what signers want ---- */

static bool has_usage(const CertificateRequest *request, const char *name) {
    const Value *usage;
    VALUE_FOREACH (usage, value_get(request->spec, "usages"))
        if (streq_null(value_str(usage), name))
            return true;
    return false;
}

/* "digital signature" and the extended one; "key encipherment" or not, and nothing else. */
static bool usages_are(const CertificateRequest *request, const char *extended) {
    const Value *usage;
    VALUE_FOREACH (usage, value_get(request->spec, "usages")) {
        const char *name = str_or(value_str(usage), "");
        if (!streq(name, "digital signature") && !streq(name, "key encipherment") && !streq(name, extended))
            return false;
    }
    return has_usage(request, "digital signature") && has_usage(request, extended);
}

static const char *node_problem(const CertificateRequest *request, bool serving) {
    const PkiRequest *asks = &request->content;
    bool is_node = asks->organizations && asks->organizations[0] && streq(asks->organizations[0], "system:nodes") &&
                   !asks->organizations[1];
    bool dns = asks->dns_names && asks->dns_names[0], ip = asks->ip_addresses && asks->ip_addresses[0];
    if (!is_node)
        return "subject organization is not system:nodes";
    if (serving && !dns && !ip)
        return "DNS or IP subjectAltName is required";
    if (!serving && dns)
        return "DNS subjectAltNames are not allowed";
    if (asks->email_addresses && asks->email_addresses[0])
        return "Email subjectAltNames are not allowed";
    if (!serving && ip)
        return "IP subjectAltNames are not allowed";
    if (asks->uris && asks->uris[0])
        return "URI subjectAltNames are not allowed";
    const char *usages = serving ? "usages did not match [digital signature key encipherment server auth]"
                                 : "usages did not match [client auth digital signature key encipherment]";
    const char *name = "subject common name does not begin with system:node:";
    bool named = asks->common_name && str_has_prefix(asks->common_name, "system:node:");
    if (!usages_are(request, serving ? "server auth" : "client auth"))
        return usages;
    return named ? NULL : name;
}

static const char *client_problem(Arena *arena, const CertificateRequest *request) {
    static const char *const allowed[] = {"digital signature", "key encipherment", "client auth"};
    const Value *usage;
    VALUE_FOREACH (usage, value_get(request->spec, "usages")) {
        const char *name = str_or(value_str(usage), "");
        bool known = false;
        for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
            known |= streq(name, allowed[i]);
        if (!known)
            return arena_printf(arena, "invalid usage for client certificate: %s", name);
    }
    return has_usage(request, "client auth") ? NULL : "missing required usage for client certificate: client auth";
}

const char *certificate_request_problem(Arena *arena, const CertificateRequest *request, const char *signer) {
    if (streq(signer, SIGNER_KUBELET_CLIENT))
        return node_problem(request, false);
    if (streq(signer, SIGNER_KUBELET_SERVING))
        return node_problem(request, true);
    return streq(signer, SIGNER_CLIENT) ? client_problem(arena, request) : NULL;
}
