#include "base/host_address.h"
#include "base/mem.h"
#include "base/routes.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

/* Of the default route with the lowest metric, into `ret`; false: there is none. */
static bool default_interface(char ret[IF_NAMESIZE]) {
    _cleanup_free_ Route *routes = NULL;
    const Route *best = NULL;
    size_t n;
    if (routes_read(&routes, &n) < 0)
        return false;
    for (const Route *route = routes; route < routes + n; route++)
        if (!route->network && !route->mask && (!best || route->metric < best->metric))
            best = route;
    if (best)
        memcpy(ret, best->device, IF_NAMESIZE);
    return best;
}

char *host_address(void) {
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN] = "127.0.0.1", way[IF_NAMESIZE] = "";
    bool chosen = default_interface(way), found = false;
    if (getifaddrs(&all) == 0)
        for (struct ifaddrs *a = all; a; a = a->ifa_next) {
            if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || a->ifa_flags & IFF_LOOPBACK ||
                !(a->ifa_flags & IFF_UP))
                continue;
            bool on_the_way = chosen && streq(a->ifa_name, way);
            if (found && !on_the_way)
                continue;
            inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr, text, sizeof text);
            found = true;
            if (on_the_way)
                break;
        }
    freeifaddrs(all);
    return xstrdup(text);
}
