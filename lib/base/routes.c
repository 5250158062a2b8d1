#include "base/routes.h"
#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ROUTES_TEXT_MAX (1024 * 1024)

int routes_read(Route **ret, size_t *ret_n) {
    _cleanup_free_ char *text = NULL;
    int r = fs_read_file("/proc/net/route", ROUTES_TEXT_MAX, &text, NULL);
    if (r < 0)
        return r;
    size_t n = 0, lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    Route *routes = NEWN0(Route, lines + 1);
    for (char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        Route *route = &routes[n];
        unsigned network, mask; /* as the network has them */
        if (sscanf(line + 1, "%15s %x %*x %*x %*u %*u %u %x", route->device, &network, &route->metric, &mask) != 4)
            continue;
        route->network = ntohl(network);
        route->mask = ntohl(mask);
        n++;
    }
    *ret = routes;
    *ret_n = n;
    return 0;
}
