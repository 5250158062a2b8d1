#include "network/dns/resolvers.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_SYSTEMD "/run/systemd/resolve/resolv.conf"
#define RESOLV_CONF_LEN_MAX 65536
#define DNS_PORT 53

void resolvers_init(Resolvers *resolvers, const char *path) {
    *resolvers = (Resolvers){.path = path, .mtime_ns = -1};
}

static size_t read_file(const char *path, const struct sockaddr_in *own, struct sockaddr_in out[DNS_UPSTREAMS_MAX]) {
    _cleanup_free_ char *text = NULL;
    char *save = NULL;
    size_t n = 0;
    if (fs_read_file(path, RESOLV_CONF_LEN_MAX, &text, NULL) < 0)
        return 0;
    for (char *line = strtok_r(text, "\n", &save); line && n < DNS_UPSTREAMS_MAX; line = strtok_r(NULL, "\n", &save)) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
        char *rest = NULL, *word = strtok_r(line, " \t", &rest), *value = strtok_r(NULL, " \t", &rest);
        if (!word || !streq(word, "nameserver") || !value || inet_pton(AF_INET, value, &a.sin_addr) != 1 ||
            (a.sin_addr.s_addr == own->sin_addr.s_addr && a.sin_port == own->sin_port))
            continue;
        out[n++] = a;
    }
    return n;
}

static bool only_loopback(const Resolvers *r) {
    for (size_t i = 0; i < r->n; i++)
        if (ntohl(r->servers[i].sin_addr.s_addr) >> 24 != 127)
            return false;
    return true;
}

void resolvers_refresh(Resolvers *r, const struct sockaddr_in *own) {
    uint64_t now = now_monotonic_ns();
    struct stat st;
    if (r->checked_ns && now - r->checked_ns < NS_PER_SEC)
        return;
    r->checked_ns = now;
    const char *path = r->path ? r->path : RESOLV_CONF;
    if (stat(path, &st) < 0)
        return;
    int64_t mtime = st.st_mtim.tv_sec * (int64_t)NS_PER_SEC + st.st_mtim.tv_nsec;
    if (mtime == r->mtime_ns)
        return;
    r->mtime_ns = mtime;
    r->n = read_file(path, own, r->servers);
    /* systemd-resolved's stub is not to be reached from another network namespace; the file beside it says who is. */
    if (!r->path && only_loopback(r) && fs_exists(RESOLV_CONF_SYSTEMD))
        r->n = read_file(RESOLV_CONF_SYSTEMD, own, r->servers);
}
