/* The loop over epoll. Invariants:
 *  - A Source is armed exactly while its owner holds it. source_unref disarms at once and moves it to `dead`, which is
 *    emptied only between rounds, so that an event already fetched from epoll for it is recognised and dropped.
 *  - `posted` is the only state other threads touch (under `lock`), besides `wake_fd` and the exit request.
 *  - Timers are a binary heap by due time; a disarmed timer has heap_index SIZE_MAX. */
#include "loop/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOP_EVENTS_PER_ROUND 256
#define NOT_IN_HEAP SIZE_MAX

typedef enum SourceType { SOURCE_IO, SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_CHILD, SOURCE_END } SourceType;

struct Source {
    Loop *loop; /* NULL once the loop is gone */
    Source *prev, *next;
    SourceType type;
    bool dead;
    int fd; /* borrowed for io; owned for signal and child; -1 for timers and ends */
    void *userdata;
    union {
        void (*io)(Source *source, int fd, uint32_t revents, void *userdata);
        void (*timer)(Source *source, void *userdata);
        void (*signal)(Source *source, int signo, void *userdata);
        void (*child)(Source *source, pid_t pid, int wait_status, void *userdata);
        void (*end)(Source *source, void *userdata);
    } fn;
    union {
        struct {
            uint64_t due_ns;
            size_t heap_index;
        };
        pid_t pid;
        int signo;
        uint32_t events;
        bool ended;
    };
};

typedef struct Posted {
    struct Posted *next;
    void (*fn)(void *userdata);
    void *userdata;
} Posted;

struct Loop {
    int epoll_fd, wake_fd;
    _Atomic(pthread_t) owner;
    Source *sources; /* every live source */
    Source *dead;
    Source **heap;
    size_t n_heap, cap_heap;
    pthread_mutex_t lock;
    Posted *posted, **posted_tail;
    atomic_bool exiting;
    atomic_int exit_code;
};

static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int loop_new(Loop **ret) {
    /* Writing to a peer that went away is an error to handle, never a reason to die. */
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    Loop *loop = NEW0(Loop);
    pthread_mutex_init(&loop->lock, NULL);
    loop->posted_tail = &loop->posted;
    loop->owner = pthread_self();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) < 0) {
        int r = -errno;
        loop_free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

static void source_free(Source *source) {
    if (source->type == SOURCE_SIGNAL || source->type == SOURCE_CHILD)
        closep(&source->fd);
    free(source);
}

static void loop_bury(Loop *loop) {
    while (loop->dead) {
        Source *source = loop->dead;
        loop->dead = source->next;
        source_free(source);
    }
}

void loop_free(Loop *loop) {
    if (!loop)
        return;
    loop_bury(loop);
    for (Source *source = loop->sources, *next; source; source = next) {
        next = source->next;
        source->loop = NULL;
        source->prev = source->next = NULL;
    }
    for (Posted *p = loop->posted, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    closep(&loop->epoll_fd);
    closep(&loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop->heap);
    free(loop);
}

bool loop_is_current(const Loop *loop) {
    return pthread_equal(atomic_load_explicit(&((Loop *)loop)->owner, memory_order_relaxed), pthread_self());
}

static void loop_wake(Loop *loop) {
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n; /* EAGAIN: it is full of wake-ups already */
}

void loop_post(Loop *loop, void (*fn)(void *userdata), void *userdata) {
    Posted *p = NEW(Posted);
    *p = (Posted){.fn = fn, .userdata = userdata};
    pthread_mutex_lock(&loop->lock);
    bool was_empty = !loop->posted;
    *loop->posted_tail = p;
    loop->posted_tail = &p->next;
    pthread_mutex_unlock(&loop->lock);
    /* The loop looks at the list before it sleeps, so only another thread has to wake it. */
    if (was_empty && !loop_is_current(loop))
        loop_wake(loop);
}

void loop_exit(Loop *loop, int code) {
    atomic_store(&loop->exit_code, code);
    atomic_store(&loop->exiting, true);
    loop_wake(loop);
}

static Source *source_new(Loop *loop, SourceType type, int fd, void *userdata) {
    Source *source = NEW0(Source);
    source->loop = loop;
    source->type = type;
    source->fd = fd;
    source->userdata = userdata;
    source->next = loop->sources;
    if (source->next)
        source->next->prev = source;
    loop->sources = source;
    return source;
}

static int source_watch(Source *source, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.ptr = source};
    return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) < 0 ? -errno : 0;
}

int loop_add_io(Loop *loop, int fd, uint32_t events,
                void (*fn)(Source *source, int fd, uint32_t revents, void *userdata), void *userdata, Source **ret) {
    Source *source = source_new(loop, SOURCE_IO, fd, userdata);
    source->fn.io = fn;
    source->events = events;
    int r = source_watch(source, events);
    if (r < 0) {
        source->fd = -1; /* was never watched */
        source_unref(source);
        return r;
    }
    *ret = source;
    return 0;
}

int source_set_events(Source *source, uint32_t events) {
    if (!source->loop)
        return -ESHUTDOWN;
    if (source->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = source};
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev) < 0)
        return -errno;
    source->events = events;
    return 0;
}

static void heap_place(Loop *loop, size_t i, Source *timer) {
    loop->heap[i] = timer;
    timer->heap_index = i;
}

static void heap_up(Loop *loop, size_t i, Source *timer) {
    while (i > 0 && loop->heap[(i - 1) / 2]->due_ns > timer->due_ns) {
        heap_place(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_place(loop, i, timer);
}

static void heap_down(Loop *loop, size_t i, Source *timer) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= loop->n_heap)
            break;
        if (child + 1 < loop->n_heap && loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
            child++;
        if (loop->heap[child]->due_ns >= timer->due_ns)
            break;
        heap_place(loop, i, loop->heap[child]);
        i = child;
    }
    heap_place(loop, i, timer);
}

static void heap_remove(Loop *loop, Source *timer) {
    size_t i = timer->heap_index;
    if (i == NOT_IN_HEAP)
        return;
    timer->heap_index = NOT_IN_HEAP;
    Source *last = loop->heap[--loop->n_heap];
    if (last == timer)
        return;
    if (i > 0 && loop->heap[(i - 1) / 2]->due_ns > last->due_ns)
        heap_up(loop, i, last);
    else
        heap_down(loop, i, last);
}

static void heap_add(Loop *loop, Source *timer) {
    if (loop->n_heap == loop->cap_heap) {
        loop->cap_heap = MAX(loop->cap_heap * 2, (size_t)16);
        loop->heap = xreallocn(loop->heap, loop->cap_heap, sizeof *loop->heap);
    }
    heap_up(loop, loop->n_heap++, timer);
}

void timer_set(Source *timer, uint64_t due_ns) {
    if (!timer->loop || timer->dead)
        return;
    heap_remove(timer->loop, timer);
    timer->due_ns = due_ns;
    if (due_ns)
        heap_add(timer->loop, timer);
}

int loop_add_timer(Loop *loop, uint64_t due_ns, void (*fn)(Source *source, void *userdata), void *userdata,
                   Source **ret) {
    Source *source = source_new(loop, SOURCE_TIMER, -1, userdata);
    source->fn.timer = fn;
    source->heap_index = NOT_IN_HEAP;
    timer_set(source, due_ns);
    *ret = source;
    return 0;
}

int loop_add_signal(Loop *loop, int signo, void (*fn)(Source *source, int signo, void *userdata), void *userdata,
                    Source **ret) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0)
        return -r;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    Source *source = source_new(loop, SOURCE_SIGNAL, fd, userdata);
    source->fn.signal = fn;
    source->signo = signo;
    r = source_watch(source, EPOLLIN);
    if (r < 0) {
        source_unref(source);
        return r;
    }
    *ret = source;
    return 0;
}

int loop_add_child(Loop *loop, pid_t pid, void (*fn)(Source *source, pid_t pid, int wait_status, void *userdata),
                   void *userdata, Source **ret) {
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return -errno;
    Source *source = source_new(loop, SOURCE_CHILD, fd, userdata);
    source->fn.child = fn;
    source->pid = pid;
    int r = source_watch(source, EPOLLIN);
    if (r < 0) {
        source_unref(source);
        return r;
    }
    *ret = source;
    return 0;
}

int loop_add_end(Loop *loop, void (*fn)(Source *source, void *userdata), void *userdata, Source **ret) {
    Source *source = source_new(loop, SOURCE_END, -1, userdata);
    source->fn.end = fn;
    *ret = source;
    return 0;
}

Source *source_unref(Source *source) {
    if (!source)
        return NULL;
    Loop *loop = source->loop;
    if (!loop) {
        source_free(source);
        return NULL;
    }
    if (source->prev)
        source->prev->next = source->next;
    else
        loop->sources = source->next;
    if (source->next)
        source->next->prev = source->prev;
    if (source->type == SOURCE_TIMER)
        heap_remove(loop, source);
    else if (source->fd >= 0)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->dead = true;
    source->next = loop->dead;
    loop->dead = source;
    return NULL;
}

static void source_dispatch(Source *source, uint32_t revents) {
    switch (source->type) {
    case SOURCE_IO:
        source->fn.io(source, source->fd, revents, source->userdata);
        break;
    case SOURCE_SIGNAL: {
        struct signalfd_siginfo info;
        while (!source->dead && read(source->fd, &info, sizeof info) == sizeof info)
            source->fn.signal(source, source->signo, source->userdata);
        break;
    }
    case SOURCE_CHILD: {
        int status = 0;
        if (waitpid(source->pid, &status, WNOHANG) != source->pid)
            break;
        epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        source->fn.child(source, source->pid, status, source->userdata);
        break;
    }
    case SOURCE_TIMER:
    case SOURCE_END:
        break;
    }
}

static void loop_run_timers(Loop *loop) {
    if (loop->n_heap == 0)
        return;
    uint64_t now = now_monotonic_ns();
    while (loop->n_heap > 0 && loop->heap[0]->due_ns <= now) {
        Source *timer = loop->heap[0];
        heap_remove(loop, timer);
        timer->fn.timer(timer, timer->userdata);
    }
}

static void loop_run_posted(Loop *loop) {
    pthread_mutex_lock(&loop->lock);
    Posted *list = loop->posted;
    loop->posted = NULL;
    loop->posted_tail = &loop->posted;
    pthread_mutex_unlock(&loop->lock);
    while (list) {
        Posted *p = list;
        list = p->next;
        void (*fn)(void *) = p->fn;
        void *userdata = p->userdata;
        free(p);
        fn(userdata);
    }
}

/* How long epoll may sleep: NULL for ever. */
static struct timespec *loop_timeout(Loop *loop, struct timespec *ts) {
    pthread_mutex_lock(&loop->lock);
    bool posted = loop->posted != NULL;
    pthread_mutex_unlock(&loop->lock);
    *ts = (struct timespec){0};
    if (posted)
        return ts;
    if (loop->n_heap == 0)
        return NULL;
    uint64_t due = loop->heap[0]->due_ns, now = now_monotonic_ns();
    if (due > now) {
        ts->tv_sec = (time_t)((due - now) / NS_PER_SEC);
        ts->tv_nsec = (long)((due - now) % NS_PER_SEC);
    }
    return ts;
}

int loop_run(Loop *loop) {
    atomic_store(&loop->owner, pthread_self());
    struct epoll_event events[LOOP_EVENTS_PER_ROUND];
    while (!atomic_load(&loop->exiting)) {
        struct timespec ts;
        int n = epoll_pwait2(loop->epoll_fd, events, LOOP_EVENTS_PER_ROUND, loop_timeout(loop, &ts), NULL);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            Source *source = events[i].data.ptr;
            if (!source) {
                uint64_t count;
                ssize_t got = read(loop->wake_fd, &count, sizeof count);
                (void)got;
            } else if (!source->dead)
                source_dispatch(source, events[i].events);
        }
        loop_run_timers(loop);
        loop_run_posted(loop);
        loop_bury(loop);
    }
    atomic_store(&loop->exiting, false);
    return atomic_load(&loop->exit_code);
}

/* A callback may drop other sources: the list is walked anew after each. */
static bool loop_run_one_end(Loop *loop) {
    for (Source *source = loop->sources; source; source = source->next)
        if (source->type == SOURCE_END && !source->ended) {
            source->ended = true;
            source->fn.end(source, source->userdata);
            return true;
        }
    return false;
}

void loop_end(Loop *loop) {
    loop_run_posted(loop);
    while (loop_run_one_end(loop))
        loop_run_posted(loop);
    loop_bury(loop);
}

static void on_settled(Source *source, void *userdata) {
    (void)source, (void)userdata;
    malloc_trim(0);
}

int loop_run_daemon(Loop *loop) {
    _cleanup_(source_unrefp) Source *settled = NULL;
    (void)loop_add_timer(loop, now_monotonic_ns() + LOOP_SETTLE_NS, on_settled, NULL, &settled);
    return loop_run(loop);
}
