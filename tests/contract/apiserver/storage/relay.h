/* A relay between clients and a server on loopback that can be cut: connections break, and new ones are refused, until
 * it is mended. */
#pragma once

#include "etcd_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define RELAY_PAIRS 64

typedef struct Relay {
    uint16_t port, target;
    int listen_fd;
    int pairs[RELAY_PAIRS][2];
    size_t n;
    pthread_t thread;
    atomic_bool cut, stop;
} Relay;

static inline void relay_drop(Relay *relay, size_t i) {
    close(relay->pairs[i][0]);
    close(relay->pairs[i][1]);
    relay->n--;
    memmove(relay->pairs[i], relay->pairs[relay->n], sizeof relay->pairs[i]);
}

static inline void relay_accept(Relay *relay) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(relay->target)};
    int from = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC), to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (relay->cut || relay->n == RELAY_PAIRS || connect(to, (struct sockaddr *)&address, sizeof address) < 0) {
        close(from);
        close(to);
        return;
    }
    relay->pairs[relay->n][0] = from;
    relay->pairs[relay->n++][1] = to;
}

/* False at the end of what comes in. */
static inline bool relay_pump(int from, int to) {
    char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof bytes, 0), sent = 0;
    for (ssize_t r; sent < n; sent += r)
        if ((r = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) <= 0)
            return false;
    return n > 0;
}

static inline void *relay_run(void *userdata) {
    Relay *relay = userdata;
    while (!relay->stop) {
        struct pollfd p[1 + 2 * RELAY_PAIRS] = {{.fd = relay->listen_fd, .events = POLLIN}};
        while (relay->cut && relay->n)
            relay_drop(relay, 0);
        size_t n = relay->n;
        for (size_t i = 0; i < 2 * n; i++)
            p[1 + i] = (struct pollfd){.fd = relay->pairs[i / 2][i % 2], .events = POLLIN};
        if (poll(p, 1 + 2 * n, 10) <= 0)
            continue;
        for (size_t i = n; i-- > 0;)
            for (size_t side = 0; side < 2; side++)
                if (p[1 + 2 * i + side].revents && !relay_pump(relay->pairs[i][side], relay->pairs[i][!side])) {
                    relay_drop(relay, i);
                    break;
                }
        if (p[0].revents)
            relay_accept(relay);
    }
    return NULL;
}

static inline bool relay_start(Relay *relay, uint16_t target) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    *relay = (Relay){.target = target, .listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (bind(relay->listen_fd, (struct sockaddr *)&address, n) < 0 || listen(relay->listen_fd, 16) < 0 ||
        getsockname(relay->listen_fd, (struct sockaddr *)&address, &n) < 0)
        return false;
    relay->port = ntohs(address.sin_port);
    return pthread_create(&relay->thread, NULL, relay_run, relay) == 0;
}

static inline void relay_stop(Relay *relay) {
    relay->stop = true;
    pthread_join(relay->thread, NULL);
    while (relay->n)
        relay_drop(relay, 0);
    close(relay->listen_fd);
}
