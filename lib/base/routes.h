/* The IPv4 routes of the caller's network namespace, as the kernel lists them (proc_pid_net(5), "route"). Any thread.
 */
#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Route {
    char device[IF_NAMESIZE];
    uint32_t network, mask; /* in the host's byte order; both 0: the default route */
    unsigned metric;
} Route;

/* All of them, in the kernel's order; for free(). -errno when they cannot be read. */
int routes_read(Route **ret, size_t *ret_n);
