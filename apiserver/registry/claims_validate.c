/* Resource claims: those of the pod, and those that its containers use. */
#include "apiserver/registry/internal_print.h"
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"
#include "base/strmap.h"

void pod_claims_validate(const PodValidation *v, const FieldPath *spec) {
    static const char *const KINDS[] = {"resourceClaimName", "resourceClaimTemplateName"};
    const Value *claims = value_get(v->spec, "resourceClaims");
    FieldErrors *errors = v->errors;
    FieldPath list = FIELD(spec, "resourceClaims"), nowhere = FIELD(NULL, "");
    bool mirror = value_path(v->metadata, "annotations", "kubernetes.io/config.mirror", NULL) && !v->is_template;
    for (size_t i = 0; i < value_len(claims); i++) {
        const Value *claim = value_at(claims, i);
        const char *name = text_of(claim, "name");
        bool by_name = value_get(claim, KINDS[0]) != NULL, by_template = value_get(claim, KINDS[1]) != NULL;
        FieldPath at = FIELD_INDEX(&list, i), name_at = FIELD(&at, "name");
        if (mirror) {
            field_forbidden(errors, &nowhere, "static pods do not support resource claims");
            continue;
        }
        member_required(errors, claim, "name", &at);
        if (*name && seen_before(errors, claims, i, "name", name))
            field_duplicate(errors, &name_at, value_string(errors->arena, name));
        else
            member_name_if_set(errors, claim, "name", name_dns_label, &at);
        if (by_name && by_template)
            field_invalid(errors, &at, internal_value(errors->arena, "PodResourceClaim", claim, NULL),
                          "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
        if (!by_name && !by_template)
            field_invalid(errors, &at, internal_value(errors->arena, "PodResourceClaim", claim, NULL),
                          "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        for (size_t k = 0; k < ELEMENTSOF(KINDS); k++) {
            FieldPath kind_at = FIELD(&at, KINDS[k]);
            if (value_get(claim, KINDS[k]))
                field_check_name(errors, &kind_at, text_of(claim, KINDS[k]), name_dns_subdomain);
        }
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *claim_names(FieldErrors *errors, const Value *claims) {
    const char **names = arena_alloc(errors->arena, (value_len(claims) + 1) * sizeof *names);
    size_t n = 0;
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < value_len(claims); i++)
        if (*text_of(value_at(claims, i), "name") &&
            !seen_before(errors, claims, i, "name", text_of(value_at(claims, i), "name")))
            names[n++] = text_of(value_at(claims, i), "name");
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i ? ", " : "", names[i]);
    return arena_strndup(errors->arena, str_or(text.data, ""), text.len);
}

static void claim_not_found(const PodValidation *v, const Value *claim, const FieldPath *at) {
    Arena *arena = v->errors->arena;
    size_t n = v->errors->n;
    if (n >= FIELD_ERRORS_MAX)
        return;
    char *names = claim_names(v->errors, value_get(v->spec, "resourceClaims"));
    const char *why = *names ? arena_printf(arena, ": %s", names) : " which is empty";
    field_not_found(v->errors, at, value_get(claim, "name"));
    if (v->errors->n > n && n < FIELD_ERRORS_MAX)
        v->errors->items[n].message = arena_printf(arena, "%s: must be one of the names in pod.spec.resourceClaims%s",
                                                   v->errors->items[n].message, why);
}

/* What a claim is remembered by: its name, and its request where it names one. */
static char *claim_key(Arena *arena, const Value *claim) {
    const char *request = text_of(claim, "request");
    return arena_printf(arena, "%s%s%s", text_of(claim, "name"), *request ? "/" : "", request);
}

/* The claims before one: by their keys, and how many there are of each name. */
typedef struct Earlier {
    StrMap *keys, *names;
} Earlier;

static void check_repeated(FieldErrors *errors, const Value *claim, const Earlier *earlier, const FieldPath *at) {
    const char *name = text_of(claim, "name"), *key = claim_key(errors->arena, claim);
    FieldPath request = FIELD(at, "request");
    bool whole = strmap_get(earlier->keys, name), same = strmap_get(earlier->keys, key);
    size_t named = (uintptr_t)strmap_get(earlier->names, name);
    strmap_add(earlier->keys, key);
    strmap_put(earlier->names, name, (void *)(uintptr_t)(named + 1));
    if (whole) {
        field_duplicate(errors, at, value_string(errors->arena, name));
        return;
    }
    if (*text_of(claim, "request"))
        field_check_name(errors, &request, text_of(claim, "request"), name_dns_label);
    if (same)
        field_duplicate(errors, at, value_string(errors->arena, key));
    for (size_t j = 0; !same && !*text_of(claim, "request") && j < named && errors->n < FIELD_ERRORS_MAX; j++)
        field_duplicate(errors, at, value_string(errors->arena, name));
}

void container_claims_validate(const PodValidation *v, const Value *resources, const FieldPath *path) {
    const Value *claims = value_get(resources, "claims"), *known = value_get(v->spec, "resourceClaims");
    FieldPath list = FIELD(path, "claims");
    _cleanup_(strmap_freep) StrMap *keys = strmap_new(NULL), *names = strmap_new(NULL);
    const Earlier earlier = {keys, names};
    for (size_t i = 0; i < value_len(claims); i++) {
        const char *name = text_of(value_at(claims, i), "name");
        FieldPath at = FIELD_INDEX(&list, i);
        if (!*name) {
            field_required(v->errors, &at, "");
            continue;
        }
        check_repeated(v->errors, value_at(claims, i), &earlier, &at);
        if (!seen_before(v->errors, known, value_len(known), "name", name))
            claim_not_found(v, value_at(claims, i), &at);
    }
}
