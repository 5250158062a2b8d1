#include "loop/thread.h"

#include <pthread.h>
#include <semaphore.h>

struct LoopThread {
    Loop *loop; /* made by the thread, whose it is from the start (loop_is_current) */
    pthread_t thread;
    const char *name;
    sem_t begun;
    int error;
};

static void *run(void *userdata) {
    LoopThread *thread = userdata;
    pthread_setname_np(pthread_self(), thread->name);
    thread->error = loop_new(&thread->loop);
    bool begun = thread->error == 0;
    sem_post(&thread->begun);
    if (!begun)
        return NULL;
    loop_run(thread->loop);
    loop_end(thread->loop);
    return NULL;
}

int loop_thread_new(const char *name, size_t stack_size, LoopThread **ret) {
    LoopThread *thread = NEW0(LoopThread);
    pthread_attr_t attr;
    thread->name = name;
    sem_init(&thread->begun, 0, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack_size);
    int r = -pthread_create(&thread->thread, &attr, run, thread);
    pthread_attr_destroy(&attr);
    if (r == 0) {
        while (sem_wait(&thread->begun) < 0) /* EINTR */
            ;
        r = thread->error;
        if (r < 0)
            pthread_join(thread->thread, NULL);
    }
    if (r < 0) {
        sem_destroy(&thread->begun);
        free(thread);
        return r;
    }
    *ret = thread;
    return 0;
}

void loop_thread_free(LoopThread *thread) {
    if (!thread)
        return;
    loop_exit(thread->loop, 0);
    pthread_join(thread->thread, NULL);
    loop_free(thread->loop);
    sem_destroy(&thread->begun);
    free(thread);
}

Loop *loop_thread_loop(const LoopThread *thread) {
    return thread->loop;
}
