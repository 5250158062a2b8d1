#include "base/host_address.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

#define ROUTES_MAX (1024 * 1024)

/* Of the default route with the lowest metric, into `ret`; false: there is none. */
static bool default_interface(char ret[IF_NAMESIZE]) {
    _cleanup_free_ char *routes = NULL;
    unsigned best = 0;
    bool found = false;
    if (fs_read_file("/proc/net/route", ROUTES_MAX, &routes, NULL) < 0)
        return false;
    for (char *line = strchr(routes, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        char name[IF_NAMESIZE];
        unsigned destination, metric, mask;
        if (sscanf(line + 1, "%15s %x %*x %*x %*u %*u %u %x", name, &destination, &metric, &mask) != 4 || destination ||
            mask || (found && metric >= best))
            continue;
        strcpy(ret, name);
        best = metric;
        found = true;
    }
    return found;
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
