/* The event loop: file descriptors, timers, signals, child processes and work posted from other threads, over epoll. A
 * Loop belongs to the thread that runs it; only loop_post and loop_exit may be called from others. Sources are
 * reference-counted: the caller's reference keeps a source armed, dropping it (source_unref) disarms and frees it, also
 * from inside its own callback. Callbacks run on the loop's thread and must not block for long. */
#pragma once

#include "base/clock.h"
#include "base/mem.h"

#include <sys/epoll.h>
#include <sys/types.h>

typedef struct Loop Loop;
typedef struct Source Source;

/* Also sets SIGPIPE to be ignored in the process, and lets the process have as many descriptors as it may (the soft
 * limit is made for select()). */
int loop_new(Loop **ret);
void loop_free(Loop *loop); /* after loop_run returned; frees posted work that never ran */
DEFINE_CLEANUP(Loop, loop_free)
/* Runs until loop_exit; returns its code. */
int loop_run(Loop *loop);
/* As loop_run, for a daemon that has started: LOOP_SETTLE_NS later, the memory that starting took and freed is given
 * back to the system. */
int loop_run_daemon(Loop *loop);
#define LOOP_SETTLE_NS (2 * NS_PER_SEC)
void loop_exit(Loop *loop, int code); /* any thread */
/* Runs fn(userdata) on the loop's thread, in posting order. Any thread; also from the loop itself (runs next round). */
void loop_post(Loop *loop, void (*fn)(void *userdata), void *userdata);
bool loop_is_current(const Loop *loop);

/* `events`: EPOLLIN, EPOLLOUT, ... The descriptor stays the caller's; unref the source before closing it. */
int loop_add_io(Loop *loop, int fd, uint32_t events,
                void (*fn)(Source *source, int fd, uint32_t revents, void *userdata), void *userdata, Source **ret);
int source_set_events(Source *io_source, uint32_t events);

/* One-shot at a monotonic instant in ns; timer_set arms it again (from the callback too). due 0: created disarmed. */
int loop_add_timer(Loop *loop, uint64_t due_ns, void (*fn)(Source *source, void *userdata), void *userdata,
                   Source **ret);
void timer_set(Source *timer_source, uint64_t due_ns);

/* Blocks the signal in the calling thread (start other threads afterwards) and delivers it through a signalfd. */
int loop_add_signal(Loop *loop, int signo, void (*fn)(Source *source, int signo, void *userdata), void *userdata,
                    Source **ret);

/* Watches a child through a pidfd; fn gets the waitpid status once, the child is reaped. */
int loop_add_child(Loop *loop, pid_t pid, void (*fn)(Source *source, pid_t pid, int wait_status, void *userdata),
                   void *userdata, Source **ret);

/* fn runs once, in loop_end: for what would wait for an event that never comes then. */
int loop_add_end(Loop *loop, void (*fn)(Source *source, void *userdata), void *userdata, Source **ret);
/* The loop runs no more: runs what is still posted, then what waits for the end. On the thread that ran it. */
void loop_end(Loop *loop);

Source *source_unref(Source *source); /* NULL is fine; returns NULL */
static inline void source_unrefp(Source **s) {
    source_unref(*s);
}
