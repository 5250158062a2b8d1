/* Invariant: a job waits in the queue only while no thread is idle and all `max_threads` run besides those that have
 * left. Otherwise it goes straight to a thread: to the one that became idle last, whose stack and memory are still in
 * the caches (those not needed for a while end), or to a new one. */
#include "loop/pool.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

typedef struct Job {
    struct Job *next;
    Pool *pool;
    void (*fn)(void *userdata);
    void *userdata;
} Job;

typedef struct Idler { /* on the stack of a thread without work */
    struct Idler *next;
    Job *job; /* what it is woken for; NULL: to end */
    sem_t woken;
} Idler;

struct Pool {
    char name[16]; /* the kernel's limit for a thread's name, with its NUL */
    unsigned max_threads, n_threads, n_outside;
    size_t max_queue, n_queue;
    bool stopping;
    Job *head, **tail;
    Idler *idle; /* the last one first */
    pthread_mutex_t lock;
    pthread_cond_t ended;
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
    pthread_cond_init(&pool->ended, NULL);
    return pool;
}

static void queue_put(Pool *pool, Job *job) {
    job->next = NULL;
    *pool->tail = job;
    pool->tail = &job->next;
    pool->n_queue++;
}

static Job *queue_take(Pool *pool) {
    Job *job = pool->head;
    if (!job)
        return NULL;
    pool->head = job->next;
    if (!pool->head)
        pool->tail = &pool->head;
    pool->n_queue--;
    return job;
}

/* True when it was still there: nobody wakes it any more. Lock held. */
static bool idler_withdraw(Pool *pool, Idler *idler) {
    for (Idler **at = &pool->idle; *at; at = &(*at)->next)
        if (*at == idler) {
            *at = idler->next;
            return true;
        }
    return false;
}

/* Threads that may still start: those that have left do not count. More may run for a while after some return. */
static unsigned pool_room(const Pool *pool) {
    unsigned limit = pool->max_threads + pool->n_outside;
    return pool->n_threads < limit ? limit - pool->n_threads : 0;
}

static bool pool_is_crowded(const Pool *pool) {
    return pool->n_threads > pool->max_threads + pool->n_outside;
}

/* By the clock that may be set: a thread then ends sooner or later, no more. (The thread sanitizer does not know
 * sem_clockwait.) */
static int idler_wait(Idler *idler) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += POOL_IDLE_SECONDS;
    int r;
    while ((r = sem_timedwait(&idler->woken, &until)) < 0 && errno == EINTR)
        ;
    return r;
}

/* Waits as the idle thread that is taken first. Called with the lock held, which is let go for a job; with NULL it is
 * held, and the thread should end. */
static Job *pool_wait(Pool *pool) {
    Idler idler = {.next = pool->idle};
    sem_init(&idler.woken, 0, 0);
    pool->idle = &idler;
    pthread_mutex_unlock(&pool->lock);
    bool late = idler_wait(&idler) < 0;
    if (late || !idler.job)
        pthread_mutex_lock(&pool->lock);
    if (late && !idler_withdraw(pool, &idler)) { /* somebody took it just now, and will say so */
        pthread_mutex_unlock(&pool->lock);
        while (sem_wait(&idler.woken) < 0)
            ;
        if (!idler.job)
            pthread_mutex_lock(&pool->lock);
    }
    sem_destroy(&idler.woken);
    return idler.job;
}

/* The next job of a thread, the lock let go; NULL, the lock held: the thread should end. */
static Job *pool_next(Pool *pool) {
    pthread_mutex_lock(&pool->lock);
    if (pool_is_crowded(pool))
        return NULL;
    Job *job = queue_take(pool);
    if (!job)
        return pool->stopping ? NULL : pool_wait(pool);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *pool_thread(void *userdata) {
    Job *job = userdata;
    Pool *pool = job->pool;
    own.pool = pool;
    pthread_setname_np(pthread_self(), pool->name);
    do {
        job->fn(job->userdata);
        free(job);
    } while ((job = pool_next(pool)));
    if (--pool->n_threads == 0)
        pthread_cond_broadcast(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals belong to the loop that asked for them: pool threads block all. Lock held. */
static int pool_start_thread(Pool *pool, Job *job) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, POOL_STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t thread;
    int r = pthread_create(&thread, &attr, pool_thread, job);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0)
        pool->n_threads++;
    return -r;
}

/* Gives the job to a new thread, or else to the queue. Lock held. */
static int pool_start_or_queue(Pool *pool, Job *job) {
    int r = pool_room(pool) ? pool_start_thread(pool, job) : -EAGAIN;
    if (r == 0 || pool->n_threads == 0) /* without a thread there is nobody to come to it */
        return r;
    if (pool->n_queue >= pool->max_queue)
        return -EAGAIN;
    queue_put(pool, job);
    return 0;
}

int pool_submit(Pool *pool, void (*fn)(void *userdata), void *userdata) {
    int r = 0;
    Job *job = NEW(Job);
    *job = (Job){.pool = pool, .fn = fn, .userdata = userdata};
    pthread_mutex_lock(&pool->lock);
    Idler *idler = pool->idle;
    if (idler) {
        pool->idle = idler->next;
        idler->job = job;
    } else
        r = pool_start_or_queue(pool, job);
    pthread_mutex_unlock(&pool->lock);
    if (idler)
        sem_post(&idler->woken);
    if (r < 0)
        free(job);
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
        Job *next = pool_room(pool) ? queue_take(pool) : NULL;
        if (next && pool_start_thread(pool, next) < 0)
            queue_put(pool, next); /* without one more, the threads there are will come to it */
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
    for (Idler *idler; (idler = pool->idle);) {
        pool->idle = idler->next;
        sem_post(&idler->woken);
    }
    while (pool->n_threads > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
