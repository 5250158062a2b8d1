#include "etcd/endpoints.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>

typedef struct Endpoint {
    char *address; /* host:port */
    bool tls;
} Endpoint;

struct EtcdEndpoints {
    Endpoint items[ETCD_ENDPOINTS_MAX];
    size_t n;
    char *ca_file, *cert_file, *key_file, *text;
};

void etcd_endpoints_free(EtcdEndpoints *endpoints) {
    if (!endpoints)
        return;
    for (size_t i = 0; i < endpoints->n; i++)
        free(endpoints->items[i].address);
    free(endpoints->ca_file);
    free(endpoints->cert_file);
    free(endpoints->key_file);
    free(endpoints->text);
    free(endpoints);
}

static bool has_port(const char *address, size_t n) {
    const char *colon = memrchr(address, ':', n);
    return colon && colon > address && colon + 1 < address + n;
}

static int add(EtcdEndpoints *endpoints, const char *text, size_t n, char **ret_error) {
    static const char plain[] = "http://", secure[] = "https://";
    Endpoint endpoint = {.tls = endpoints->ca_file || endpoints->cert_file};
    const char *whole = text;
    size_t whole_n = n, skip = 0;
    if (n > strlen(secure) && strncmp(text, secure, strlen(secure)) == 0) {
        endpoint.tls = true;
        skip = strlen(secure);
    } else if (n > strlen(plain) && strncmp(text, plain, strlen(plain)) == 0) {
        endpoint.tls = false;
        skip = strlen(plain);
    }
    text += skip, n -= skip;
    if (n && text[n - 1] == '/')
        n--;
    if (!has_port(text, n) || memchr(text, '/', n)) {
        *ret_error =
            xasprintf("%.*s is not an etcd server: http://HOST:PORT or https://HOST:PORT", (int)whole_n, whole);
        return -EINVAL;
    }
    if (endpoints->n == ETCD_ENDPOINTS_MAX) {
        *ret_error = xasprintf("more than %d etcd servers", ETCD_ENDPOINTS_MAX);
        return -EINVAL;
    }
    endpoint.address = xstrndup(text, n);
    endpoints->items[endpoints->n++] = endpoint;
    return 0;
}

static int add_all(EtcdEndpoints *endpoints, const char *list, char **ret_error) {
    int r = 0;
    for (const char *at = list; r == 0 && *at;) {
        size_t n = strcspn(at, ",");
        if (n)
            r = add(endpoints, at, n, ret_error);
        at += n + (at[n] == ',');
    }
    return r;
}

int etcd_endpoints_new(const EtcdConfig *config, EtcdEndpoints **ret, char **ret_error) {
    _cleanup_(etcd_endpoints_freep) EtcdEndpoints *endpoints = NEW0(EtcdEndpoints);
    _cleanup_buf_ Buf text = BUF_INIT(BUF_NO_LIMIT);
    int r = 0;
    endpoints->ca_file = xstrdup(config->ca_file);
    endpoints->cert_file = xstrdup(config->cert_file);
    endpoints->key_file = xstrdup(config->key_file);
    for (size_t i = 0; r == 0 && config->servers && config->servers[i]; i++) {
        r = add_all(endpoints, config->servers[i], ret_error);
        buf_printf(&text, "%s%s", i ? "," : "", config->servers[i]);
    }
    if (r == 0 && !endpoints->n) {
        *ret_error = xstrdup("no etcd server is named");
        r = -EINVAL;
    }
    if (r < 0)
        return r;
    endpoints->text = buf_take(&text, NULL);
    *ret = TAKE_PTR(endpoints);
    return 0;
}

int etcd_connect(const EtcdEndpoints *endpoints, size_t *at, uint64_t deadline_ns, GrpcConnection **ret) {
    GrpcTls tls = {.ca_file = endpoints->ca_file, .cert_file = endpoints->cert_file, .key_file = endpoints->key_file};
    uint64_t patience = endpoints->n > 1 ? ETCD_CONNECT_NS / 2 : ETCD_CONNECT_NS;
    int r = -EHOSTUNREACH;
    for (size_t i = 0; i < endpoints->n; i++, ++*at) {
        const Endpoint *endpoint = &endpoints->items[*at % endpoints->n];
        GrpcOptions options = {.user_agent = "lighter-apiserver",
                               .message_max = ETCD_MESSAGE_MAX,
                               .tls = endpoint->tls ? &tls : NULL,
                               .keepalive_seconds = ETCD_KEEPALIVE_SECONDS};
        uint64_t now = now_monotonic_ns();
        if (now >= deadline_ns)
            return r == -EHOSTUNREACH ? -ETIMEDOUT : r;
        r = grpc_open(endpoint->address, &options, MIN(deadline_ns, now + patience), ret);
        if (r == 0)
            return 0;
    }
    return r;
}

const char *etcd_endpoints_text(const EtcdEndpoints *endpoints) {
    return endpoints->text;
}
