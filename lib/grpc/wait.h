/* Waiting that can be cancelled. Inside lib/grpc only. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

bool is_cancelled(const atomic_bool *cancelled); /* NULL never is */
/* The sooner of `until_ns` and the next look at `cancelled`. */
uint64_t cancel_check(const atomic_bool *cancelled, uint64_t until_ns);
/* -ETIMEDOUT, -ECANCELED or poll's error. */
int socket_wait(int fd, short events, const atomic_bool *cancelled, uint64_t deadline_ns);
