#include "apiserver/registry/crd_approval.h"
#include "api/status.h"
#include "apiserver/registry/go_url.h"
#include "base/str.h"

#define NEEDED "protected groups must have approval annotation \"" CRD_APPROVAL_ANNOTATION "\""
#define SEE ", see https://github.com/kubernetes/enhancements/pull/1111"

static bool is_protected(const char *group) {
    return streq(group, "k8s.io") || streq(group, "kubernetes.io") || str_has_suffix(group, ".k8s.io") ||
           str_has_suffix(group, ".kubernetes.io");
}

CrdApproval crd_approval(Arena *arena, const Value *crd, const char **ret_message) {
    *ret_message = NULL;
    if (!is_protected(str_or(value_get_str(value_get(crd, "spec"), "group"), "")))
        return CRD_APPROVAL_NOT_NEEDED;
    return crd_approval_state(arena, crd, ret_message);
}

CrdApproval crd_approval_state(Arena *arena, const Value *crd, const char **ret_message) {
    const char *says =
        str_or(value_get_str(value_path(crd, "metadata", "annotations", NULL), CRD_APPROVAL_ANNOTATION), "");
    GoUrl url;
    if (!*says) {
        *ret_message = NEEDED SEE;
        return CRD_APPROVAL_MISSING;
    }
    if (str_has_prefix(says, "unapproved")) {
        *ret_message = arena_printf(arena, "not approved: %s", go_quoted(arena, says));
        return CRD_APPROVAL_BYPASSED;
    }
    if (!go_url_parse(arena, says, &url) && *url.scheme && *url.host) {
        *ret_message = arena_printf(arena, "approved in %s", says);
        return CRD_APPROVAL_GIVEN;
    }
    *ret_message = NEEDED " with either a URL or a reason starting with \"unapproved\"" SEE;
    return CRD_APPROVAL_INVALID;
}
