#include "network/proxy/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include "base/str.h"

typedef struct Sweep {
    const UdpFrontend *frontends;
    size_t n;
    struct nf_conntrack **doomed;
    size_t n_doomed, cap;
} Sweep;

static bool is_address(const char *text, uint32_t address) {
    struct in_addr parsed;
    return inet_pton(AF_INET, text, &parsed) == 1 && parsed.s_addr == address;
}

static bool has_serving(const UdpFrontend *f) {
    for (size_t i = 0; i < f->endpoints.n; i++)
        if (f->endpoints.items[i].serving)
            return true;
    return false;
}

static bool answers(const UdpFrontend *f, uint32_t address, uint16_t port) {
    for (size_t i = 0; i < f->endpoints.n; i++) {
        const EndpointView *e = &f->endpoints.items[i];
        if (e->serving && e->port == port && is_address(e->ip, address))
            return true;
    }
    return false;
}

static bool is_stale(const Sweep *sweep, const struct nf_conntrack *ct) {
    uint32_t to = nfct_get_attr_u32(ct, ATTR_ORIG_IPV4_DST), from = nfct_get_attr_u32(ct, ATTR_REPL_IPV4_SRC);
    uint16_t to_port = ntohs(nfct_get_attr_u16(ct, ATTR_ORIG_PORT_DST)),
             from_port = ntohs(nfct_get_attr_u16(ct, ATTR_REPL_PORT_SRC));
    for (size_t i = 0; i < sweep->n; i++) {
        const UdpFrontend *f = &sweep->frontends[i];
        if (f->port == to_port && (!f->ip || is_address(f->ip, to)) && has_serving(f) && !answers(f, from, from_port))
            return true;
    }
    return false;
}

static int on_flow(_unused_ enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *userdata) {
    Sweep *sweep = userdata;
    if (nfct_get_attr_u8(ct, ATTR_L4PROTO) != IPPROTO_UDP || !is_stale(sweep, ct))
        return NFCT_CB_CONTINUE;
    if (sweep->n_doomed == CONNTRACK_DELETE_MAX)
        return NFCT_CB_STOP;
    if (sweep->n_doomed == sweep->cap) {
        sweep->cap = sweep->cap ? sweep->cap * 2 : 16;
        sweep->doomed = xreallocn(sweep->doomed, sweep->cap, sizeof(struct nf_conntrack *));
    }
    sweep->doomed[sweep->n_doomed++] = ct; /* ours now: it is stolen below */
    return NFCT_CB_STOLEN;
}

int conntrack_clear(const UdpFrontend *frontends, size_t n) {
    Sweep sweep = {.frontends = frontends, .n = n};
    uint32_t family = AF_INET;
    int deleted = 0;
    if (!n)
        return 0;
    struct nfct_handle *handle = nfct_open(CONNTRACK, 0);
    if (!handle)
        return -errno;
    nfct_callback_register(handle, NFCT_T_ALL, on_flow, &sweep);
    int r = nfct_query(handle, NFCT_Q_DUMP, &family) < 0 ? -errno : 0;
    nfct_callback_unregister(handle);
    for (size_t i = 0; i < sweep.n_doomed; i++) {
        if (nfct_query(handle, NFCT_Q_DESTROY, sweep.doomed[i]) == 0)
            deleted++;
        nfct_destroy(sweep.doomed[i]);
    }
    nfct_close(handle);
    free(sweep.doomed);
    return r < 0 && !deleted ? r : deleted;
}
