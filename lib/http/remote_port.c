/* Port-forward. Over SPDY each forwarded connection is a pair of streams, data and error, that the client opens with
 * the same requestID; over plain WebSocket channels the pairs are fixed by the query: channel 2n carries data, 2n+1
 * errors. */
#define LOG_COMPONENT "http"
#include "base/log.h"
#include "base/str.h"
#include "http/remote_internal.h"

#include <errno.h>
#include <stdio.h>

static void pair_free(PortPair *pair) {
    free(pair->request_id);
    free(pair);
}

void remote_ports_done(Remote *remote) {
    for (PortPair *pair = remote->pairs, *next; pair; pair = next) {
        next = pair->next;
        pair_free(pair);
    }
    remote->pairs = NULL;
}

/* All under the lock. */
static PortPair *pair_new(Remote *remote, uint16_t port, const char *request_id) {
    if (remote->n_pairs >= REMOTE_PAIRS_MAX)
        return NULL;
    PortPair *pair = NEW0(PortPair);
    pair->number = remote->next_pair++;
    pair->port = port;
    pair->request_id = xstrdup(request_id);
    pair->deadline = now_monotonic_ns() + REMOTE_STREAMS_SECONDS * NS_PER_SEC;
    pair->next = remote->pairs;
    remote->pairs = pair;
    remote->n_pairs++;
    return pair;
}

static PortPair *pair_by_number(Remote *remote, uint32_t number) {
    PortPair *pair = remote->pairs;
    while (pair && pair->number != number)
        pair = pair->next;
    return pair;
}

static PortPair *pair_by_data_stream(Remote *remote, uint32_t stream) {
    PortPair *pair = remote->pairs;
    while (pair && pair->data_stream != stream)
        pair = pair->next;
    return pair;
}

static PortPair *pair_by_request(Remote *remote, const char *request_id) {
    PortPair *pair = remote->pairs;
    while (pair && (pair->opened || !streq(pair->request_id, request_id)))
        pair = pair->next;
    return pair;
}

static void pair_remove(Remote *remote, PortPair *pair) {
    PortPair **p = &remote->pairs;
    while (*p != pair)
        p = &(*p)->next;
    *p = pair->next;
    remote->n_pairs--;
    pair_free(pair);
}

/* A pair is over when both ends have said so; a WebSocket with none left is over too. */
static void pair_check(Remote *remote, PortPair *pair) {
    if (remote->spdy) {
        if (pair->data_ended && pair->error_ended && pair->peer_ended)
            pair_remove(remote, pair);
    } else if (pair->data_ended) {
        pair_remove(remote, pair);
        if (!remote->pairs)
            remote_end(remote);
    }
}

void remote_ports_begin(Remote *remote) {
    for (size_t i = 0; i < remote->options.n_ports; i++) {
        uint16_t port = remote->options.ports[i];
        unsigned char little_endian[2] = {(unsigned char)port, (unsigned char)(port >> 8)};
        pthread_mutex_lock(&remote->lock);
        PortPair *pair = pair_new(remote, port, "");
        if (pair) {
            pair->opened = true;
            remote_ws_send(remote, (unsigned)(2 * i), little_endian, sizeof little_endian);
            remote_ws_send(remote, (unsigned)(2 * i + 1), little_endian, sizeof little_endian);
        }
        pthread_mutex_unlock(&remote->lock);
        if (pair && remote->ops->port_open)
            remote->ops->port_open(remote, (uint32_t)i, port, remote->userdata);
    }
}

void remote_port_message(Remote *remote, unsigned channel, const void *p, size_t n) {
    if (channel % 2 != 0 || n == 0)
        return;
    pthread_mutex_lock(&remote->lock);
    bool known = pair_by_number(remote, channel / 2) != NULL;
    pthread_mutex_unlock(&remote->lock);
    if (known && remote->ops->port_data)
        remote->ops->port_data(remote, channel / 2, p, n, remote->userdata);
}

static int parse_stream(const char *headers, size_t n, uint16_t *ret_port, bool *ret_data) {
    const char *port_text = spdy_header(headers, n, "port"), *type = spdy_header(headers, n, "streamtype");
    uint64_t port = 0;
    if (str_empty(port_text) || str_to_uint64(port_text, &port) < 0 || port < 1 || port > UINT16_MAX || str_empty(type))
        return -EINVAL;
    *ret_port = (uint16_t)port;
    *ret_data = streq(type, "data");
    return *ret_data || streq(type, "error") ? 0 : -EINVAL;
}

static int on_opened(uint32_t stream, const char *headers, size_t n, bool fin, void *userdata) {
    Remote *remote = userdata;
    uint16_t port = 0;
    bool data = false;
    if (parse_stream(headers, n, &port, &data) < 0)
        return -EINVAL;
    /* Old clients send no id: they open error and then data, with consecutive odd numbers. */
    char guessed[16];
    snprintf(guessed, sizeof guessed, "%u", data ? stream - 2 : stream);
    const char *id = str_or(spdy_header(headers, n, "requestid"), guessed);
    pthread_mutex_lock(&remote->lock);
    PortPair *pair = pair_by_request(remote, id);
    if (!pair)
        pair = pair_new(remote, port, id);
    int r = !pair ? -ENOBUFS : (data ? pair->data_stream : pair->error_stream) ? -EEXIST : 0;
    bool complete = false;
    uint32_t number = 0;
    if (r == 0) {
        *(data ? &pair->data_stream : &pair->error_stream) = stream;
        if (data) {
            pair->port = port;
            pair->peer_ended = fin;
        }
        complete = pair->opened = pair->data_stream && pair->error_stream;
        number = pair->number;
        port = pair->port;
        fin = pair->peer_ended;
        if (!complete)
            timer_set(remote->timer, pair->deadline);
    }
    pthread_mutex_unlock(&remote->lock);
    if (complete && remote->ops->port_open)
        remote->ops->port_open(remote, number, port, remote->userdata);
    if (complete && fin && remote->ops->port_data)
        remote->ops->port_data(remote, number, NULL, 0, remote->userdata);
    return r;
}

/* Bytes for a pair that is not complete are lost by nobody: clients open the error stream first. */
static void on_data(uint32_t stream, const void *p, size_t n, bool fin, void *userdata) {
    Remote *remote = userdata;
    pthread_mutex_lock(&remote->lock);
    PortPair *pair = pair_by_data_stream(remote, stream);
    bool deliver = pair && pair->opened && !pair->peer_ended;
    uint32_t number = pair ? pair->number : 0;
    if (pair && fin) {
        pair->peer_ended = true;
        pair_check(remote, pair);
    }
    pthread_mutex_unlock(&remote->lock);
    if (!deliver || !remote->ops->port_data)
        return;
    if (n > 0)
        remote->ops->port_data(remote, number, p, n, remote->userdata);
    if (fin)
        remote->ops->port_data(remote, number, NULL, 0, remote->userdata);
}

static void on_reset(uint32_t stream, void *userdata) {
    Remote *remote = userdata;
    pthread_mutex_lock(&remote->lock);
    PortPair *pair = pair_by_data_stream(remote, stream);
    bool deliver = pair && pair->opened && !pair->peer_ended;
    uint32_t number = pair ? pair->number : 0;
    if (pair) {
        pair->peer_ended = pair->data_ended = true;
        if (!pair->error_ended && pair->error_stream)
            spdy_send_data(remote->spdy, pair->error_stream, NULL, 0, true);
        pair->error_ended = true;
        pair_check(remote, pair);
    }
    pthread_mutex_unlock(&remote->lock);
    if (deliver && remote->ops->port_data)
        remote->ops->port_data(remote, number, NULL, 0, remote->userdata);
}

static void on_goaway(void *userdata) {
    (void)userdata;
}

const SpdyOps remote_port_spdy_ops = {
    .opened = on_opened,
    .data = on_data,
    .reset = on_reset,
    .goaway = on_goaway,
    .write = remote_write_bytes,
};

/* Pairs whose second stream never came. */
void remote_ports_expire(Remote *remote) {
    uint64_t now = now_monotonic_ns(), next = 0;
    pthread_mutex_lock(&remote->lock);
    for (PortPair *pair = remote->pairs, *following; pair; pair = following) {
        following = pair->next;
        if (pair->opened)
            continue;
        if (pair->deadline > now) {
            next = next ? MIN(next, pair->deadline) : pair->deadline;
            continue;
        }
        log_warn("port-forward: timed out waiting for streams");
        if (pair->error_stream)
            spdy_send_data(remote->spdy, pair->error_stream, "timed out waiting for streams",
                           strlen("timed out waiting for streams"), true);
        if (pair->data_stream)
            spdy_send_reset(remote->spdy, pair->data_stream, SPDY_CANCEL);
        pair_remove(remote, pair);
    }
    pthread_mutex_unlock(&remote->lock);
    timer_set(remote->timer, next);
}

int remote_port_write(Remote *remote, uint32_t stream, const void *p, size_t n) {
    pthread_mutex_lock(&remote->lock);
    PortPair *pair = pair_by_number(remote, stream);
    int r = !pair || pair->data_ended ? -EPIPE : remote_room(remote, n);
    if (r == 0 && n > 0)
        r = remote->spdy ? spdy_send_data(remote->spdy, pair->data_stream, p, n, false)
                         : remote_ws_send(remote, 2 * stream, p, n);
    else if (n == 0 && pair && !pair->data_ended && r != -EPIPE) {
        /* The client waits for the end of both before it ends the connection it forwards. */
        if (remote->spdy) {
            spdy_send_data(remote->spdy, pair->data_stream, NULL, 0, true);
            if (!pair->error_ended)
                spdy_send_data(remote->spdy, pair->error_stream, NULL, 0, true);
        }
        pair->data_ended = pair->error_ended = true;
        pair_check(remote, pair);
        r = 0;
    }
    pthread_mutex_unlock(&remote->lock);
    return r;
}

int remote_port_error(Remote *remote, uint32_t stream, const char *message) {
    size_t n = strlen(message);
    pthread_mutex_lock(&remote->lock);
    PortPair *pair = pair_by_number(remote, stream);
    int r = !pair || pair->error_ended ? -EPIPE : remote_room(remote, n);
    if (r == 0) {
        if (remote->spdy) {
            r = spdy_send_data(remote->spdy, pair->error_stream, message, n, true);
            spdy_send_reset(remote->spdy, pair->data_stream, SPDY_CANCEL);
        } else
            r = remote_ws_send(remote, 2 * stream + 1, message, n);
        pair->data_ended = pair->error_ended = pair->peer_ended = true;
        pair_check(remote, pair);
    }
    pthread_mutex_unlock(&remote->lock);
    return r;
}
