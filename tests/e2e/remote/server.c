/* A server for clients of the exec, attach and port-forward protocols: `exec` echoes its input (and says what it saw of
 * the terminal's size), `portforward` relays to the port on loopback. Prints its port; ends when its standard input
 * does. Arguments: directory for keys and certificates. */
#include "base/fs.h"
#include "base/str.h"
#include "http/duplex.h"
#include "http/pki.h"
#include "http/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

typedef struct Session {
    Remote *remote;
    bool tty;
    int exit_code;
    Duplex *ports[REMOTE_PAIRS_MAX];
    Loop *loop;
    unsigned refs; /* its remote's, and one for each forward */
} Session;

typedef struct Forward {
    Session *session;
    uint32_t stream;
} Forward;

static void session_unref(Session *session) {
    if (--session->refs == 0)
        free(session);
}

static void on_stdin(Remote *remote, const void *p, size_t n, void *userdata) {
    Session *session = userdata;
    if (n == 0) {
        remote_write(remote, REMOTE_STDERR, "end of input\n", 13);
        remote_finish(remote, session->exit_code, NULL);
    } else if (remote_write(remote, REMOTE_STDOUT, p, n) < 0)
        remote_close(remote);
    if (session->tty && n > 0 && memchr(p, 4, n))
        remote_finish(remote, session->exit_code, NULL);
}

static void on_resize(Remote *remote, uint16_t width, uint16_t height, void *userdata) {
    (void)userdata;
    char text[64];
    int n = snprintf(text, sizeof text, "size %ux%u\n", width, height);
    remote_write(remote, REMOTE_STDOUT, text, (size_t)n);
}

#define PENDING_MAX (1024 * 1024) /* then targets are not read until the client took it */

static void on_target_data(Duplex *duplex, const void *p, size_t n, void *userdata) {
    Forward *forward = userdata;
    if (remote_port_write(forward->session->remote, forward->stream, p, n) < 0)
        duplex_close(duplex);
    else if (remote_pending(forward->session->remote) > PENDING_MAX)
        duplex_pause(duplex, true);
}

static void on_drained(Remote *remote, void *userdata) {
    (void)remote;
    Session *session = userdata;
    for (size_t i = 0; i < REMOTE_PAIRS_MAX; i++)
        if (session->ports[i])
            duplex_pause(session->ports[i], false);
}

static void on_target_closed(Duplex *duplex, int error, void *userdata) {
    (void)error;
    Forward *forward = userdata;
    Session *session = forward->session;
    if (session->ports[forward->stream % REMOTE_PAIRS_MAX] == duplex) {
        session->ports[forward->stream % REMOTE_PAIRS_MAX] = NULL;
        remote_port_write(session->remote, forward->stream, NULL, 0);
    }
    duplex_unref(duplex);
    free(forward);
    session_unref(session);
}

static const DuplexOps target_ops = {.data = on_target_data, .closed = on_target_closed};

static void on_port_open(Remote *remote, uint32_t stream, uint16_t port, void *userdata) {
    Session *session = userdata;
    DuplexConnect to = {.host = "127.0.0.1", .port = port, .timeout_ns = 1000000000};
    Duplex *duplex = NULL;
    int r = duplex_connect(session->loop, &to, &duplex); /* loopback answers at once */
    if (r < 0) {
        char message[128];
        snprintf(message, sizeof message, "error forwarding port %u to pod p, uid u: %s", port, strerror(-r));
        remote_port_error(remote, stream, message);
        return;
    }
    Forward *forward = NEW0(Forward);
    *forward = (Forward){session, stream};
    session->refs++;
    session->ports[stream % REMOTE_PAIRS_MAX] = duplex;
    duplex_start(duplex, &target_ops, forward);
}

static void on_port_data(Remote *remote, uint32_t stream, const void *p, size_t n, void *userdata) {
    (void)remote;
    Session *session = userdata;
    Duplex *duplex = session->ports[stream % REMOTE_PAIRS_MAX];
    if (!duplex)
        return;
    if (n == 0)
        duplex_end(duplex);
    else
        duplex_write(duplex, p, n);
}

static void on_closed(Remote *remote, void *userdata) {
    (void)remote;
    Session *session = userdata;
    for (size_t i = 0; i < REMOTE_PAIRS_MAX; i++)
        if (session->ports[i])
            duplex_close(TAKE_PTR(session->ports[i]));
    session_unref(session);
}

static const RemoteOps remote_ops = {
    .stdin_data = on_stdin,
    .resize = on_resize,
    .port_open = on_port_open,
    .port_data = on_port_data,
    .closed = on_closed,
    .drained = on_drained,
};

typedef struct Output {
    Remote *remote;
    int exit_code;
} Output;

/* From a thread of its own, as a runtime's output is: 8 MiB, as fast as the client takes it. */
static void *write_much(void *userdata) {
    Output *output = userdata;
    char chunk[16384];
    memset(chunk, 'x', sizeof chunk);
    for (int i = 0; i < 512;) {
        int r = remote_write(output->remote, REMOTE_STDOUT, chunk, sizeof chunk);
        if (r == -EAGAIN)
            usleep(1000);
        else if (r < 0)
            break;
        else
            i++;
    }
    remote_finish(output->remote, output->exit_code, NULL);
    remote_unref(output->remote);
    free(output);
    return NULL;
}

static bool asks(const char *query, const char *what) {
    return strstr(query, what) != NULL;
}

static void handle(HttpRequest *request, void *userdata) {
    (void)userdata;
    const char *path = http_path(request), *query = http_query(request);
    if (!remote_is_upgrade(request)) {
        static const HttpHeader header = {"content-type", "text/plain"};
        http_reply(request, 400, &header, 1, http_bytes_copy("not an upgrade\n", 15));
        return;
    }
    Session *session = NEW0(Session);
    session->refs = 1;
    session->loop = http_request_loop(request);
    session->tty = asks(query, "tty=true");
    const char *code = strstr(query, "code=");
    session->exit_code = code ? atoi(code + 5) : 0;
    uint16_t port = 0;
    const char *port_text = strstr(query, "ports=");
    port = port_text ? (uint16_t)atoi(port_text + 6) : 0;
    RemoteOptions options = {
        .port_forward = str_has_suffix(path, "/portforward"),
        .stdin_ = asks(query, "stdin=true"),
        .stdout_ = asks(query, "stdout=true"),
        .stderr_ = asks(query, "stderr=true"),
        .tty = session->tty,
        .ports = &port,
        .n_ports = port ? 1 : 0,
    };
    if (remote_accept(request, &options, &remote_ops, session, &session->remote) < 0) {
        free(session);
        return;
    }
    if (asks(query, "command=much")) {
        Output *output = NEW0(Output);
        *output = (Output){remote_ref(session->remote), session->exit_code};
        pthread_t thread;
        pthread_create(&thread, NULL, write_much, output);
        pthread_detach(thread);
    } else if (asks(query, "command=fail"))
        remote_finish(session->remote, -1, "no such container");
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    char ca[512], ca_key[512], cert[512], key[512];
    snprintf(ca, sizeof ca, "%s/ca.crt", argv[1]);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", argv[1]);
    snprintf(cert, sizeof cert, "%s/server.crt", argv[1]);
    snprintf(key, sizeof key, "%s/server.key", argv[1]);
    _cleanup_(pki_ca_freep) PkiCa *pki = NULL;
    const PkiCertSpec spec = {
        .common_name = "test",
        .ip_addresses = (const char *const[]){"127.0.0.1", NULL},
        .server = true,
    };
    if (pki_ca_ensure(ca, ca_key, "test-ca", &pki) < 0 || pki_cert_ensure(pki, cert, key, &spec, NULL) < 0)
        return 1;
    HttpServer *server = NULL;
    HttpServerConfig config = {
        .cert_file = cert, .key_file = key, .client_ca_file = ca, .handler = handle, .threads = 2};
    if (http_server_start(&config, &server) < 0)
        return 1;
    printf("%u\n", http_server_port(server));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    http_server_stop(server, 1000000000);
    return 0;
}
