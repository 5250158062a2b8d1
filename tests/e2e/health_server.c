/* A gRPC health server for probes, for images of tests: answers grpc.health.v1.Health/Check on a port with SERVING, or
 * with NOT_SERVING while a file is there. HTTP/2 by nghttp2, one client after the other. health_server PORT FILE */
#include <arpa/inet.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME 7 /* five bytes before a message, two of the message: field 1, a small number */

typedef struct Peer {
    int fd;
    const char *file;
} Peer;

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t n, int flags, void *userdata) {
    (void)session, (void)flags;
    const Peer *p = userdata;
    ssize_t sent = send(p->fd, data, n, MSG_NOSIGNAL);
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

#define FIELD(name, value)                                                                                             \
    { (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE }

static ssize_t on_read(nghttp2_session *session, int32_t stream, uint8_t *to, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *userdata) {
    (void)userdata;
    const Peer *p = source->ptr;
    if (n < FRAME)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const uint8_t message[FRAME] = {0, 0, 0, 0, 2, 0x08, access(p->file, F_OK) == 0 ? 2 : 1};
    static nghttp2_nv trailer[] = {FIELD("grpc-status", "0")};
    memcpy(to, message, FRAME);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, stream, trailer, 1);
    return FRAME;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *userdata) {
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    static const nghttp2_nv head[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
    nghttp2_data_provider body = {.source = {.ptr = userdata}, .read_callback = on_read};
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &body) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void serve(Peer *p, nghttp2_session_callbacks *callbacks) {
    nghttp2_session *session;
    char data[16384];
    ssize_t n;
    nghttp2_session_server_new(&session, callbacks, p);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_session_send(session);
    while ((n = recv(p->fd, data, sizeof data, 0)) > 0)
        if (nghttp2_session_mem_recv(session, (uint8_t *)data, (size_t)n) < 0 || nghttp2_session_send(session) < 0)
            break;
    nghttp2_session_del(session);
    close(p->fd);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    signal(SIGTERM, _exit);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0) {
        perror("health_server");
        return 1;
    }
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    for (;;) {
        Peer p = {.fd = accept(listener, NULL, NULL), .file = argv[2]};
        if (p.fd >= 0)
            serve(&p, callbacks);
    }
}
