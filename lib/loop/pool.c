/* Invariant: a queued job has an idle thread waiting for it, or all `max_threads` run besides those that have left. */
#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

typedef struct Job {
    struct Job *next;
    void (*fn)(void *userdata);
    void *userdata;
} Job;

struct Pool {
    char name[16]; /* the kernel's limit for a thread's name, with its NUL */
    unsigned max_threads, n_threads, n_idle, n_outside;
    size_t max_queue, n_queue;
    bool stopping;
    Job *head, **tail;
    pthread_mutex_t lock;
    pthread_cond_t work, ended;
};

static _Thread_local struct { /* this thread's own: whose it is, and whether it has left */
    Pool *pool;
    bool outside;
} own;

Pool *pool_new(const char *name, unsigned max_threads, size_t max_queue) {
    Pool *pool = NEW0(Pool);
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pool->max_threads = MAX(max_threads, 1u);
    pool->max_queue = max_queue;
    pool->tail = &pool->head;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->work, &attr);
    pthread_cond_init(&pool->ended, NULL);
    pthread_condattr_destroy(&attr);
    return pool;
}

/* Called with the lock held; false when the thread should end. */
static bool pool_wait(Pool *pool) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += POOL_IDLE_SECONDS;
    pool->n_idle++;
    int r = 0;
    while (!pool->head && !pool->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    pool->n_idle--;
    return pool->head != NULL;
}

/* Threads that may still start: those that have left do not count. More may run for a while after some return. */
static unsigned pool_room(const Pool *pool) {
    unsigned limit = pool->max_threads + pool->n_outside;
    return pool->n_threads < limit ? limit - pool->n_threads : 0;
}

static bool pool_is_crowded(const Pool *pool) {
    return pool->n_threads > pool->max_threads + pool->n_outside;
}

static void *pool_thread(void *userdata) {
    Pool *pool = userdata;
    own.pool = pool;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    while (!pool_is_crowded(pool) && (pool->head || pool_wait(pool))) {
        Job *job = pool->head;
        pool->head = job->next;
        if (!pool->head)
            pool->tail = &pool->head;
        pool->n_queue--;
        pthread_mutex_unlock(&pool->lock);
        job->fn(job->userdata);
        free(job);
        pthread_mutex_lock(&pool->lock);
    }
    if (--pool->n_threads == 0)
        pthread_cond_broadcast(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals belong to the loop that asked for them: pool threads block all. Lock held. */
static int pool_start_thread(Pool *pool) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, POOL_STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    int r = pthread_create(&thread, &attr, pool_thread, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0)
        pool->n_threads++;
    return -r;
}

int pool_submit(Pool *pool, void (*fn)(void *userdata), void *userdata) {
    int r = 0;
    pthread_mutex_lock(&pool->lock);
    /* A job that a thread will take at once does not count against the queue. */
    size_t soon = pool->n_idle + pool_room(pool);
    if (pool->n_queue >= pool->max_queue + soon)
        r = -EAGAIN;
    else if (pool->n_queue >= pool->n_idle && pool_room(pool)) {
        r = pool_start_thread(pool);
        if (r < 0 && pool->n_threads > 0)
            r = 0; /* the threads there are will come to it */
    }
    if (r == 0) {
        Job *job = NEW(Job);
        *job = (Job){.fn = fn, .userdata = userdata};
        *pool->tail = job;
        pool->tail = &job->next;
        pool->n_queue++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

void pool_leave(void) {
    Pool *pool = own.pool;
    if (!pool || own.outside)
        return;
    pthread_mutex_lock(&pool->lock);
    if (pool->n_outside < POOL_OUTSIDE_MAX) {
        own.outside = true;
        pool->n_outside++;
        if (pool->n_queue > pool->n_idle && pool_room(pool))
            pool_start_thread(pool); /* without one more, the threads there are will come to it */
    }
    pthread_mutex_unlock(&pool->lock);
}

void pool_return(void) {
    Pool *pool = own.pool;
    if (!pool || !own.outside)
        return;
    pthread_mutex_lock(&pool->lock);
    own.outside = false;
    pool->n_outside--;
    pthread_mutex_unlock(&pool->lock);
}

void pool_free(Pool *pool) {
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    while (pool->n_threads > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
