/* certificates.k8s.io. */
#include "apiserver/registry/checks.h"
#include "apiserver/registry/kinds.h"
#include "base/clock.h"
#include "base/str.h"
#include "client/api.h"
#include "apiserver/registry/validate_util.h"

#include <openssl/pem.h>

#define EXPIRATION_MIN 600
#define DOMAIN_MAX 253
#define SIGNER_MAX (DOMAIN_MAX + 253 + 63 + 1 + 1) /* a domain, and a subdomain of a label */

/* A PEM block of a certificate request with a good signature; what is wrong otherwise. */
static const char *request_error(const Value *request) {
    _cleanup_free_ uint8_t *bytes = NULL;
    const char *error = "PEM block type must be CERTIFICATE REQUEST";
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    size_t n = 0;
    long der_len = 0;
    if (!value_str(request) || base64_decode(request->string, request->len, &bytes, &n) < 0 || n > INT32_MAX)
        return error;
    BIO *bio = BIO_new_mem_buf(bytes, (int)n);
    if (bio && PEM_read_bio(bio, &name, &header, &der, &der_len) == 1 && streq(name, "CERTIFICATE REQUEST")) {
        const unsigned char *p = der;
        X509_REQ *parsed = d2i_X509_REQ(NULL, &p, der_len);
        EVP_PKEY *key = parsed ? X509_REQ_get_pubkey(parsed) : NULL;
        error = !parsed                             ? "asn1: structure error"
                : !key                              ? "x509: unsupported elliptic curve"
                : X509_REQ_verify(parsed, key) == 1 ? NULL
                                                    : "x509: certificate signature is not valid";
        EVP_PKEY_free(key);
        X509_REQ_free(parsed);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return error;
}

static void check_usages(FieldErrors *errors, const Value *spec, const FieldPath *spec_at) {
    static const char *const USAGES[] = {"any",
                                         "cert sign",
                                         "client auth",
                                         "code signing",
                                         "content commitment",
                                         "crl sign",
                                         "data encipherment",
                                         "decipher only",
                                         "digital signature",
                                         "email protection",
                                         "encipher only",
                                         "ipsec end system",
                                         "ipsec tunnel",
                                         "ipsec user",
                                         "key agreement",
                                         "key encipherment",
                                         "microsoft sgc",
                                         "netscape sgc",
                                         "ocsp signing",
                                         "s/mime",
                                         "server auth",
                                         "signing",
                                         "timestamping",
                                         NULL};
    const Value *usages = value_get(spec, "usages");
    FieldPath list_at = FIELD(spec_at, "usages");
    if (!value_len(usages))
        field_required(errors, &list_at, "");
    for (size_t i = 0; i < value_len(usages); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        check_one_of(errors, &at, str_or(value_str(value_at(usages, i)), ""), USAGES);
    }
    for (size_t i = 0; i < value_len(usages); i++) {
        FieldPath at = FIELD_INDEX(&list_at, i);
        if (seen_before(errors, usages, i, NULL, str_or(value_str(value_at(usages, i)), "")))
            field_duplicate(errors, &at, value_at(usages, i));
    }
}

/* Every label of `part`; the first wrong one ends it. Returns how many there are. */
static size_t check_labels(FieldErrors *errors, const char *part, name_check check, const FieldPath *path) {
    size_t n = 0;
    char **labels = str_split(errors->arena, part, '.', &n);
    for (size_t i = 0; i < n; i++) {
        NameMessages messages = {.arena = errors->arena};
        check(labels[i], &messages);
        for (size_t k = 0; k < messages.n; k++)
            field_invalid_str(errors, path, part, "validating label \"%s\": %s", labels[i], messages.items[k]);
        if (messages.n)
            break;
    }
    return n;
}

static void check_signer(FieldErrors *errors, const char *signer, const FieldPath *path) {
    const char *slash = strchr(signer, '/');
    if (!*signer) {
        field_required(errors, path, "");
        return;
    }
    if (!slash || strchr(slash + 1, '/')) {
        field_invalid_str(errors, path, signer,
                          "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    }
    const char *domain = arena_strndup(errors->arena, signer, (size_t)(slash - signer));
    if (strlen(domain) > DOMAIN_MAX)
        field_too_long(errors, path, DOMAIN_MAX);
    if (check_labels(errors, domain, name_dns_label, path) < 2)
        field_invalid_str(errors, path, domain, "should be a domain with at least two segments separated by dots");
    check_labels(errors, slash + 1, name_dns_subdomain, path);
    if (strlen(signer) > SIGNER_MAX)
        field_too_long(errors, path, SIGNER_MAX);
}

static void check_conditions(FieldErrors *errors, const Value *conditions) {
    static const char *const ANY[] = {"False", "True", "Unknown", NULL}, *const TRUE_ONLY[] = {"True", NULL},
                             *const FINAL[] = {"Approved", "Denied", "Failed", NULL};
    FieldPath status_at = FIELD(NULL, "status"), list_at = FIELD(&status_at, "conditions");
    bool approved = false, denied = false;
    for (size_t i = 0; i < value_len(conditions); i++) {
        const Value *condition = value_at(conditions, i);
        const char *type = text_at(condition, "type");
        FieldPath at = FIELD_INDEX(&list_at, i), state_at = FIELD(&at, "status"), type_at = FIELD(&at, "type");
        check_required(errors, condition, "type", &at);
        if (!*text_at(condition, "status"))
            field_required(errors, &state_at, "");
        else
            check_one_of(errors, &state_at, text_at(condition, "status"), str_in(type, FINAL) ? TRUE_ONLY : ANY);
        approved |= streq(type, "Approved");
        denied |= streq(type, "Denied");
        if (approved && denied && (streq(type, "Approved") || streq(type, "Denied")))
            field_invalid_str(errors, &list_at, type, "Approved and Denied conditions are mutually exclusive");
        if (seen_before(errors, conditions, i, "type", type))
            field_duplicate(errors, &type_at, value_string(errors->arena, type));
    }
}

static void validate(_unused_ StrategyContext *context, const Value *request, FieldErrors *errors) {
    const Value *spec = value_get(request, "spec"), *seconds = value_get(spec, "expirationSeconds");
    const char *error = request_error(value_get(spec, "request"));
    FieldPath spec_at = FIELD(NULL, "spec"), request_at = FIELD(&spec_at, "request"),
              signer_at = FIELD(&spec_at, "signerName"), seconds_at = FIELD(&spec_at, "expirationSeconds");
    if (error)
        field_invalid(errors, &request_at, value_get(spec, "request"), "%s", error);
    check_usages(errors, spec, &spec_at);
    if (text_is(spec, "signerName", "kubernetes.io/legacy-unknown"))
        field_invalid_str(errors, &signer_at, text_at(spec, "signerName"),
                          "the legacy signerName is not allowed via this API version");
    else
        check_signer(errors, text_at(spec, "signerName"), &signer_at);
    if (value_is(seconds, VALUE_INT) && seconds->integer < EXPIRATION_MIN)
        field_invalid(errors, &seconds_at, seconds, "may not specify a duration less than 600 seconds (10 minutes)");
    check_conditions(errors, value_path(request, "status", "conditions", NULL));
}

static const Value *condition_of(const Value *request, const char *type) {
    const Value *condition;
    VALUE_FOREACH (condition, value_path(request, "status", "conditions", NULL))
        if (text_is(condition, "type", type))
            return condition;
    return NULL;
}

/* Verdicts are given through the approval subresource, certificates through status, and nothing is taken back. */
static void check_change(const Value *request, const Value *old, bool approval, bool certificate, FieldErrors *errors) {
    static const char *const FINAL[] = {"Approved", "Denied", "Failed"};
    const char *now = text_at(value_get(request, "status"), "certificate"),
               *was = text_at(value_get(old, "status"), "certificate");
    FieldPath status_at = FIELD(NULL, "status"), conditions_at = FIELD(&status_at, "conditions"),
              certificate_at = FIELD(&status_at, "certificate");
    for (size_t i = 0; i < ELEMENTSOF(FINAL); i++)
        if (condition_of(old, FINAL[i]) && !condition_of(request, FINAL[i]))
            field_forbidden(errors, &conditions_at, "updates may not remove a condition of type \"%s\"", FINAL[i]);
    for (size_t i = 0; !approval && i < 2; i++)
        if (!condition_of(old, FINAL[i]) && condition_of(request, FINAL[i]))
            field_forbidden(errors, &conditions_at, "updates may not add a condition of type \"%s\"", FINAL[i]);
    if (streq(now, was))
        return;
    if (!certificate)
        field_forbidden(errors, &certificate_at, "updates may not set certificate content");
    else if (*was)
        field_forbidden(errors, &certificate_at, "updates may not modify existing certificate content");
}

static bool is_approval(const StrategyContext *context) {
    return context->subresource && streq(context->subresource, "approval");
}

static void validate_update(StrategyContext *context, const Value *request, const Value *old, FieldErrors *errors) {
    validate(context, request, errors);
    check_change(request, old, is_approval(context), false, errors);
}

static void validate_status_update(StrategyContext *context, const Value *request, const Value *old,
                                   FieldErrors *errors) {
    validate(context, request, errors);
    check_change(request, old, false, true, errors);
}

/* Who asks is what the certificate will say: it is the server's to write down. */
static void prepare_for_create(StrategyContext *context, Value *request) {
    static const char *const WIPED[] = {"username", "uid", "groups", "extra"};
    Arena *arena = context->arena;
    Value *spec = value_ensure_object(arena, request, "spec"), *groups = value_array(arena),
          *extra = value_object(arena);
    const UserInfo *user = context->requester;
    for (size_t i = 0; i < ELEMENTSOF(WIPED); i++)
        value_remove(spec, WIPED[i]);
    kinds_reset_status(context, request);
    if (!user)
        return;
    value_set_str(arena, spec, "username", str_or(user->name, ""));
    if (!str_empty(user->uid))
        value_set_str(arena, spec, "uid", user->uid);
    for (size_t i = 0; user->groups && user->groups[i]; i++)
        value_append(arena, groups, value_string(arena, user->groups[i]));
    for (size_t i = 0; i < user->n_extra; i++)
        value_append(arena, value_ensure_array(arena, extra, user->extra[i].key),
                     value_string(arena, user->extra[i].value));
    if (groups->len)
        value_set(arena, spec, "groups", groups);
    if (extra->len)
        value_set(arena, spec, "extra", extra);
}

static void stamp_conditions(StrategyContext *context, Value *request, const Value *old) {
    char now[RFC3339_MAX];
    Value *condition;
    rfc3339_format(context->now_ns, now);
    VALUE_FOREACH (condition, value_path(request, "status", "conditions", NULL)) {
        const Value *was = condition_of(old, text_at(condition, "type"));
        bool same = was && text_is(was, "status", text_at(condition, "status"));
        if (value_is_empty(value_get(condition, "lastUpdateTime")))
            value_set_str(context->arena, condition, "lastUpdateTime", now);
        if (value_is_empty(value_get(condition, "lastTransitionTime")))
            value_set_str(context->arena, condition, "lastTransitionTime",
                          same ? str_or(value_get_str(was, "lastTransitionTime"), now) : now);
    }
}

static void prepare_for_update(StrategyContext *context, Value *request, const Value *old) {
    Arena *arena = context->arena;
    Value *conditions = value_path(request, "status", "conditions", NULL), *status;
    if (is_approval(context))
        stamp_conditions(context, request, old);
    value_set(arena, request, "spec", value_copy(arena, value_get(old, "spec")));
    status = value_copy(arena, value_get(old, "status"));
    status = status ? status : value_object(arena);
    if (is_approval(context))
        value_set(arena, status, "conditions", conditions);
    value_set(arena, request, "status", status);
}

/* Verdicts stay what they are: those sent are replaced by those stored, in their places. */
static void prepare_for_status_update(StrategyContext *context, Value *request, const Value *old) {
    static const char *const VERDICTS[] = {"Approved", "Denied", NULL};
    Value *conditions = value_path(request, "status", "conditions", NULL);
    for (size_t i = 0; i < value_len(conditions); i++) {
        const char *type = text_at(value_at(conditions, i), "type");
        const Value *was = str_in(type, VERDICTS) ? condition_of(old, type) : NULL;
        if (was)
            conditions->items[i] = value_copy(context->arena, was);
    }
    stamp_conditions(context, request, old);
}

static const Strategy ROWS[] = {
    {
        .group = "certificates.k8s.io",
        .plural = "certificatesigningrequests",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validate_name = validate_path_segment_name,
        .prepare_for_create = prepare_for_create,
        .prepare_for_update = prepare_for_update,
        .prepare_for_status_update = prepare_for_status_update,
        .validates_update_alone = true,
        .validate = validate,
        .validate_update = validate_update,
        .validate_status_update = validate_status_update,
    },
};
const StrategyTable strategies_certificates = {ROWS, ELEMENTSOF(ROWS)};
