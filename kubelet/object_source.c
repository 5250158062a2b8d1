/* Where volumes and variables take what they name from: the API server. */
#include "kubelet/internal.h"

static int source_get(void *userdata, const char *plural, const char *ns, const char *name, Object **ret,
                      ApiError *err) {
    Kubelet *k = userdata;
    return client_get(k->client, RES(plural), ns, name, ret, err);
}

static int source_token(void *userdata, const char *ns, const char *account, const Value *request, Arena *arena,
                        Value **ret, ApiError *err) {
    Kubelet *k = userdata;
    return client_create_subresource(k->client, RES("serviceaccounts"), ns, account, "token", request, arena, ret, err);
}

void kubelet_source(Kubelet *k, ObjectSource *ret) {
    *ret = (ObjectSource){.get = source_get, .token = source_token, .userdata = k};
}
