/* What a server of HTTP/2 says to the client, over a connection that already holds all of it: two requests are under
 * way, and each ends once, whatever comes. */
#include "http/client.c"
#include "loop/thread.h"

#include <sys/socket.h>
#include <unistd.h>

#define SAID_MAX (64 * 1024)  /* what a socket holds */
#define PATIENCE_NS NS_PER_MS /* for a request that no connection is left for */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(HttpExchange *exchange, const char *p, size_t n, void *userdata) {
    (void)p, (void)userdata;
    if (n > SAID_MAX || http_exchange_answer(exchange)->status < 200)
        abort();
    return 0;
}

static void ended(HttpExchange *exchange, int error, const char *why, void *userdata) {
    (void)why;
    if (++*(int *)userdata != 1 || error > 0 || (error == 0 && http_exchange_answer(exchange)->status < 200))
        abort();
}

static void connected_to(HttpClient *client, const uint8_t *data, size_t size) {
    int pair[2];
    Dialed *d = NEW0(Dialed);
    *d = (Dialed){.client = client, .h2 = true};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        send(pair[1], data, size, MSG_DONTWAIT) != (ssize_t)size || shutdown(pair[1], SHUT_WR) < 0 ||
        duplex_from_fd(client->loop, pair[0], &d->duplex) < 0)
        abort();
    client->dialing = 1;
    loop_post(client->loop, dialed, d);
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static LoopThread *thread;
    static const HttpExchangeOps ops = {.data = take, .end = ended};
    const HttpClientConfig config = {.to = {.host = "127.0.0.1", .port = 1}};
    HttpClient *client = NULL;
    HttpExchange *one = NULL, *two = NULL;
    int ends[2] = {0};
    if (size == 0 || size > SAID_MAX)
        return 0;
    if ((!thread && loop_thread_new("client", 256 * 1024, &thread) < 0) ||
        http_client_new(loop_thread_loop(thread), &config, &client, NULL) < 0)
        abort();
    atomic_store(&client->closing, true); /* nothing else is dialled */
    connected_to(client, data, size);
    http_exchange_start(client, &(HttpCall){.method = "GET", .target = "/"}, &ops, &ends[0], &one);
    http_exchange_start(client, &(HttpCall){.method = "POST", .target = "/", .body = "{}", .body_len = 2}, &ops,
                        &ends[1], &two);
    http_exchange_wait(one, now_monotonic_ns() + PATIENCE_NS);
    http_exchange_wait(two, now_monotonic_ns() + PATIENCE_NS);
    http_exchange_free(one);
    http_exchange_free(two);
    http_client_free(client);
    return 0;
}
