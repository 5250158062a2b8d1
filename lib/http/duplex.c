/* Invariants:
 *  - `lock` guards what duplex_write and duplex_close of other threads touch: out, closing, ended, flush_posted. All
 * else is the loop's. No callback runs under the lock.
 *  - While connected (from attach to the end) it holds a reference to itself. `closed` runs exactly once after start.
 */
#include "http/duplex.h"

#include "http/duplex_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define DUPLEX_READ_SIZE 32768 /* two TLS records */
#define DUPLEX_READS_PER_ROUND 8

struct Duplex {
    atomic_uint refs;
    Loop *loop;
    Worker *worker; /* reference; NULL: not of a server */
    Duplex *prev, *next;
    pthread_mutex_t lock;
    Buf out;
    size_t out_done;
    bool closing, ending, ended, flush_posted;
    Transport transport;
    Source *source, *linger_timer, *end; /* end: of a loop that has no worker to end its connections */
    Buf in;                              /* came before start */
    const DuplexOps *ops;
    void *userdata;
    bool attached, started, paused, write_ended, lingering, blocked;
    int error;
};

static Duplex *duplex_new(Loop *loop, Worker *worker) {
    Duplex *duplex = NEW0(Duplex);
    duplex->refs = 1;
    duplex->loop = loop;
    duplex->worker = worker ? worker_ref(worker) : NULL;
    duplex->transport.fd = -1;
    duplex->out = BUF_INIT(BUF_NO_LIMIT); /* DUPLEX_WRITE_MAX, checked in duplex_write */
    duplex->in = BUF_INIT(BUF_NO_LIMIT);
    pthread_mutex_init(&duplex->lock, NULL);
    return duplex;
}

Duplex *duplex_new_pending(Worker *worker) {
    return duplex_new(worker->loop, worker);
}

Duplex *duplex_ref(Duplex *duplex) {
    atomic_fetch_add_explicit(&duplex->refs, 1, memory_order_relaxed);
    return duplex;
}

void duplex_unref(Duplex *duplex) {
    if (!duplex || atomic_fetch_sub_explicit(&duplex->refs, 1, memory_order_acq_rel) != 1)
        return;
    transport_done(&duplex->transport);
    buf_done(&duplex->in);
    buf_done(&duplex->out);
    pthread_mutex_destroy(&duplex->lock);
    worker_unref(duplex->worker);
    free(duplex);
}

Loop *duplex_loop(const Duplex *duplex) {
    return duplex->loop;
}

Duplex *duplex_next(Duplex *duplex) {
    return duplex->next;
}

static void duplex_post(Duplex *duplex, void (*fn)(void *userdata)) {
    duplex_ref(duplex);
    if (!duplex->worker)
        loop_post(duplex->loop, fn, duplex);
    else if (!worker_post(duplex->worker, fn, duplex))
        duplex_unref(duplex);
}

static void duplex_call_closed(Duplex *duplex) {
    const DuplexOps *ops = duplex->started ? TAKE_PTR(duplex->ops) : NULL;
    if (ops && ops->closed)
        ops->closed(duplex, duplex->error, duplex->userdata);
}

/* The descriptor is closed and the reference to itself given back. */
static void duplex_finish(Duplex *duplex) {
    duplex->source = source_unref(duplex->source);
    duplex->linger_timer = source_unref(duplex->linger_timer);
    duplex->end = source_unref(duplex->end);
    transport_done(&duplex->transport);
    if (!duplex->attached)
        return;
    duplex->attached = false;
    Worker *worker = duplex->worker;
    if (worker) {
        if (duplex->prev)
            duplex->prev->next = duplex->next;
        else
            worker->duplexes = duplex->next;
        if (duplex->next)
            duplex->next->prev = duplex->prev;
        atomic_fetch_sub(&worker->n_conns, 1);
        atomic_fetch_sub(&worker->server->n_conns, 1);
        worker_check_finished(worker);
    }
    duplex_unref(duplex);
}

static void on_linger_timeout(Source *source, void *userdata) {
    (void)source;
    duplex_finish(userdata);
}

/* No more reads or writes: tells the owner. `orderly`: our end was sent, so let the peer read it before the descriptor
 * is closed (input that nobody reads would reset the connection). */
static void duplex_end_now(Duplex *duplex, int error, bool orderly) {
    pthread_mutex_lock(&duplex->lock);
    bool before = duplex->ended;
    duplex->ended = true;
    pthread_mutex_unlock(&duplex->lock);
    if (before)
        return;
    duplex_ref(duplex);
    duplex->error = error;
    if (orderly && duplex->source && !duplex->lingering) {
        duplex->lingering = true;
        transport_shutdown(&duplex->transport);
        source_set_events(duplex->source, EPOLLIN);
        loop_add_timer(duplex->loop, now_monotonic_ns() + CONN_LINGER_SECONDS * NS_PER_SEC, on_linger_timeout, duplex,
                       &duplex->linger_timer);
        duplex_call_closed(duplex);
    } else {
        if (!error)
            transport_shutdown(&duplex->transport);
        duplex_call_closed(duplex);
        duplex_finish(duplex);
    }
    duplex_unref(duplex);
}

void duplex_abort(Duplex *duplex, int error) {
    duplex_ref(duplex);
    duplex_end_now(duplex, error, false);
    duplex_finish(duplex);
    duplex_unref(duplex);
}

static void duplex_update_events(Duplex *duplex) {
    if (!duplex->source || duplex->lingering)
        return;
    bool out = duplex->blocked || duplex->transport.read_wants_write;
    source_set_events(duplex->source, (duplex->paused ? 0 : EPOLLIN) | (out ? EPOLLOUT : 0));
}

/* Under the lock: 1 when all is out, 0 when blocked, negative errno. */
static int write_pending(Duplex *duplex) {
    while (duplex->out_done < duplex->out.len) {
        ssize_t n = transport_write(&duplex->transport, duplex->out.data + duplex->out_done,
                                    duplex->out.len - duplex->out_done);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return (int)n;
        duplex->out_done += (size_t)n;
    }
    duplex->blocked = duplex->out_done < duplex->out.len;
    if (!duplex->blocked) {
        buf_done(&duplex->out);
        duplex->out_done = 0;
        return 1;
    }
    if (duplex->out_done > duplex->out.len / 2) {
        buf_consume(&duplex->out, duplex->out_done);
        duplex->out_done = 0;
    }
    return 0;
}

static void duplex_flush(Duplex *duplex) {
    pthread_mutex_lock(&duplex->lock);
    duplex->flush_posted = false;
    if (duplex->ended || !duplex->source) { /* not begun: duplex_begin flushes */
        pthread_mutex_unlock(&duplex->lock);
        return;
    }
    bool had = duplex->out.len > 0;
    int r = write_pending(duplex);
    bool closing = duplex->closing, ending = duplex->ending;
    pthread_mutex_unlock(&duplex->lock);
    if (r < 0) {
        duplex_end_now(duplex, r, false);
        return;
    }
    duplex_update_events(duplex);
    if (r == 0)
        return;
    if (closing) {
        duplex_end_now(duplex, 0, true);
        return;
    }
    if (ending && !duplex->write_ended) {
        duplex->write_ended = true;
        transport_shutdown(&duplex->transport);
    }
    if (had && duplex->ops && duplex->ops->drained)
        duplex->ops->drained(duplex, duplex->userdata);
}

static void flush_posted(void *userdata) {
    Duplex *duplex = userdata;
    duplex_flush(duplex);
    duplex_unref(duplex);
}

static void duplex_schedule(Duplex *duplex) {
    /* Under the lock. */
    if (!duplex->flush_posted) {
        duplex->flush_posted = true;
        duplex_post(duplex, flush_posted);
    }
}

static void overflow_posted(void *userdata) {
    Duplex *duplex = userdata;
    duplex_end_now(duplex, -ENOBUFS, false);
    duplex_unref(duplex);
}

int duplex_write2(Duplex *duplex, const void *a, size_t a_len, const void *b, size_t b_len) {
    int r = 0;
    pthread_mutex_lock(&duplex->lock);
    size_t pending = duplex->out.len - duplex->out_done;
    if (duplex->ended || duplex->closing || duplex->ending)
        r = -EPIPE;
    else if (a_len > DUPLEX_WRITE_MAX || b_len > DUPLEX_WRITE_MAX || pending + a_len + b_len > DUPLEX_WRITE_MAX) {
        r = -ENOBUFS;
        duplex->closing = true;
        duplex_post(duplex, overflow_posted);
    } else {
        buf_append(&duplex->out, a, a_len);
        buf_append(&duplex->out, b, b_len);
        duplex_schedule(duplex);
    }
    pthread_mutex_unlock(&duplex->lock);
    return r;
}

int duplex_write(Duplex *duplex, const void *p, size_t n) {
    return duplex_write2(duplex, p, n, NULL, 0);
}

size_t duplex_pending(const Duplex *duplex) {
    Duplex *d = (Duplex *)(uintptr_t)duplex;
    pthread_mutex_lock(&d->lock);
    size_t n = d->out.len - d->out_done;
    pthread_mutex_unlock(&d->lock);
    return n;
}

void duplex_close(Duplex *duplex) {
    pthread_mutex_lock(&duplex->lock);
    if (!duplex->ended && !duplex->closing) {
        duplex->closing = true;
        duplex_schedule(duplex);
    }
    pthread_mutex_unlock(&duplex->lock);
}

void duplex_end(Duplex *duplex) {
    pthread_mutex_lock(&duplex->lock);
    if (!duplex->ended && !duplex->ending) {
        duplex->ending = true;
        duplex_schedule(duplex);
    }
    pthread_mutex_unlock(&duplex->lock);
}

static void duplex_deliver(Duplex *duplex, const char *p, size_t n) {
    if (duplex->ops && duplex->ops->data)
        duplex->ops->data(duplex, p, n, duplex->userdata);
}

static void duplex_read(Duplex *duplex) {
    char chunk[DUPLEX_READ_SIZE];
    for (int i = 0; i < DUPLEX_READS_PER_ROUND && duplex->source && (!duplex->paused || duplex->lingering); i++) {
        ssize_t n = transport_read(&duplex->transport, chunk, sizeof chunk);
        if (n == -EAGAIN)
            break;
        if (duplex->lingering) {
            if (n <= 0)
                duplex_finish(duplex);
            continue;
        }
        if (n <= 0) {
            duplex_end_now(duplex, (int)n, false);
            break;
        }
        duplex_deliver(duplex, chunk, (size_t)n);
    }
}

static void duplex_on_io(Source *source, int fd, uint32_t revents, void *userdata) {
    (void)source, (void)fd;
    Duplex *duplex = duplex_ref(userdata);
    if ((revents & (EPOLLHUP | EPOLLERR)) && duplex->paused && !duplex->lingering)
        /* Gone, with bytes perhaps still to be read: looked at again when reading goes on. */
        duplex->source = source_unref(duplex->source);
    else {
        duplex_read(duplex);
        if (duplex->source && !duplex->lingering)
            duplex_flush(duplex);
    }
    duplex_unref(duplex);
}

static int duplex_watch(Duplex *duplex) {
    if (duplex->source || duplex->transport.fd < 0)
        return 0;
    return loop_add_io(duplex->loop, duplex->transport.fd, duplex->paused ? 0 : EPOLLIN, duplex_on_io, duplex,
                       &duplex->source);
}

/* Delivers what came early, then listens. Again after each pause that kept it from that. */
static void duplex_begin(Duplex *duplex) {
    if (duplex->in.len > 0 && !duplex->paused) {
        _cleanup_buf_ Buf in = duplex->in;
        duplex->in = BUF_INIT(BUF_NO_LIMIT);
        duplex_deliver(duplex, in.data, in.len);
    }
    if (!duplex->attached || duplex->ended)
        return;
    int r = duplex_watch(duplex);
    if (r < 0)
        duplex_abort(duplex, r);
    else
        duplex_flush(duplex);
}

static void begin_posted(void *userdata) {
    Duplex *duplex = userdata;
    if (duplex->attached && !duplex->ended)
        duplex_begin(duplex);
    duplex_unref(duplex);
}

void duplex_pause(Duplex *duplex, bool paused) {
    if (duplex->paused == paused)
        return;
    duplex->paused = paused;
    duplex_update_events(duplex);
    if (!paused && duplex->started && (duplex->in.len > 0 || !duplex->source))
        duplex_post(duplex, begin_posted);
}

static void on_loop_end(Source *source, void *userdata) {
    (void)source;
    duplex_abort(userdata, -ESHUTDOWN);
}

typedef struct PostedStart {
    Duplex *duplex;
    const DuplexOps *ops;
    void *userdata;
} PostedStart;

static void start_posted(void *userdata) {
    PostedStart *start = userdata;
    Duplex *duplex = start->duplex;
    duplex->ops = start->ops;
    duplex->userdata = start->userdata;
    duplex->started = true;
    free(start);
    if (duplex->attached && !duplex->worker)
        loop_add_end(duplex->loop, on_loop_end, duplex, &duplex->end);
    if (duplex->attached && !duplex->ended)
        duplex_begin(duplex);
    else {
        duplex->error = duplex->error ? duplex->error : -ECONNRESET;
        duplex_call_closed(duplex);
    }
    duplex_unref(duplex);
}

void duplex_start(Duplex *duplex, const DuplexOps *ops, void *userdata) {
    PostedStart *start = NEW(PostedStart);
    *start = (PostedStart){duplex_ref(duplex), ops, userdata};
    if (!duplex->worker)
        loop_post(duplex->loop, start_posted, start);
    else if (!worker_post(duplex->worker, start_posted, start))
        start_posted(start); /* the server has stopped: it is closed */
}

void duplex_attach(Duplex *duplex, Transport transport, Buf *in, Buf *out) {
    duplex->transport = transport;
    duplex->in = *in;
    duplex->in.limit = BUF_NO_LIMIT;
    *in = BUF_INIT(0);
    pthread_mutex_lock(&duplex->lock);
    /* What goes first may have been overtaken by a write from another thread. */
    if (duplex->out.len > 0)
        buf_append(out, duplex->out.data, duplex->out.len);
    buf_done(&duplex->out);
    duplex->out = *out;
    duplex->out.limit = BUF_NO_LIMIT;
    pthread_mutex_unlock(&duplex->lock);
    *out = BUF_INIT(0);
    duplex->attached = true;
    duplex_ref(duplex);
    Worker *worker = duplex->worker;
    if (!worker)
        return;
    duplex->next = worker->duplexes;
    if (duplex->next)
        duplex->next->prev = duplex;
    worker->duplexes = duplex;
}

void duplex_fail(Duplex *duplex, int error) {
    duplex->error = error;
    pthread_mutex_lock(&duplex->lock);
    duplex->ended = true;
    pthread_mutex_unlock(&duplex->lock);
}

Duplex *duplex_of(Loop *loop, Transport transport) {
    Duplex *duplex = duplex_new(loop, NULL);
    Buf in = BUF_INIT(0), out = BUF_INIT(0);
    duplex_attach(duplex, transport, &in, &out);
    return duplex;
}

int duplex_from_fd(Loop *loop, int fd, Duplex **ret) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    *ret = duplex_of(loop, (Transport){.fd = fd});
    return 0;
}
