/* The work queue. One lock; an item lives in the map while it is queued, delayed, processed or counted as failing.
 * Items ready to run form a FIFO; delayed ones a binary heap by due time. Threads start when there is work and fewer
 * than `workers` run, wait for the next due item when there is one, and end WORKER_IDLE_SECONDS after the last work: a
 * queue at rest has none. */
#include "client/workqueue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/str.h"
#include "base/strmap.h"

#include <pthread.h>
#include <stdio.h>

#define WORKER_IDLE_SECONDS 5
#define WORKER_STACK_SIZE (256 * 1024)
#define BACKOFF_FIRST_NS (5 * NS_PER_MS)   /* client-go: DefaultTypedControllerRateLimiter */
#define BACKOFF_MAX_NS (1000 * NS_PER_SEC) /* the same */

/* client-go's, in seconds: powers of ten as its arithmetic has them. */
static const double bounds[] = {1e-08, 1e-07, 1e-06, 9.999999999999999e-06, 9.999999999999999e-05, 0.001, 0.01,
                                0.1,   1,     10};
#define N_BOUNDS ELEMENTSOF(bounds)
static const HistogramShape waits = {"workqueue_queue_duration_seconds",
                                     "[BETA] Seconds that items were in the queue before work on them began.", bounds,
                                     N_BOUNDS, 1e-9},
                            works = {"workqueue_work_duration_seconds",
                                     "[BETA] Seconds that work on an item of the queue took.", bounds, N_BOUNDS, 1e-9};

typedef struct Item Item;
struct Item {
    Item *next; /* in the FIFO */
    uint64_t due;
    uint64_t added, started; /* when it was queued or got dirty, and when work on it began */
    size_t heap_index;       /* 1-based; 0: not delayed */
    unsigned retries;
    bool queued, processing, dirty;
    char key[];
};

struct WorkQueue {
    char *name;
    unsigned max_workers, n_workers, n_waiting;
    int (*sync)(const char *key, void *userdata);
    void *userdata;
    pthread_mutex_t lock;
    pthread_cond_t wake, ended;
    StrMap *items;
    Item *head, *tail;
    size_t depth;
    Item **heap; /* heap[0] unused */
    size_t heap_len, heap_cap;
    bool timekeeper; /* a worker waits for heap[1]; the others need not */
    bool stopping, held;
    uint64_t adds, retries; /* so far */
    HistogramCell waited[HISTOGRAM_CELLS(N_BOUNDS)], worked[HISTOGRAM_CELLS(N_BOUNDS)];
};

static void heap_place(WorkQueue *queue, size_t i, Item *item) {
    queue->heap[i] = item;
    item->heap_index = i;
}

static void heap_sift(WorkQueue *queue, size_t i) {
    Item *item = queue->heap[i];
    for (; i > 1 && queue->heap[i / 2]->due > item->due; i /= 2)
        heap_place(queue, i, queue->heap[i / 2]);
    for (;;) {
        size_t child = i * 2;
        if (child > queue->heap_len)
            break;
        if (child < queue->heap_len && queue->heap[child + 1]->due < queue->heap[child]->due)
            child++;
        if (queue->heap[child]->due >= item->due)
            break;
        heap_place(queue, i, queue->heap[child]);
        i = child;
    }
    heap_place(queue, i, item);
}

static void heap_remove(WorkQueue *queue, Item *item) {
    size_t i = item->heap_index;
    if (!i)
        return;
    item->heap_index = 0;
    Item *last = queue->heap[queue->heap_len--];
    if (last == item)
        return;
    heap_place(queue, i, last);
    heap_sift(queue, i);
}

static void heap_insert(WorkQueue *queue, Item *item) {
    if (queue->heap_len + 1 >= queue->heap_cap) {
        queue->heap_cap = MAX(queue->heap_cap * 2, (size_t)16);
        queue->heap = xreallocn(queue->heap, queue->heap_cap, sizeof(*queue->heap));
    }
    heap_place(queue, ++queue->heap_len, item);
    heap_sift(queue, item->heap_index);
}

static Item *item_ensure(WorkQueue *queue, const char *key) {
    Item *item = strmap_get(queue->items, key);
    if (item)
        return item;
    size_t n = strlen(key) + 1;
    item = xcalloc(1, sizeof(Item) + n);
    memcpy(item->key, key, n);
    strmap_put(queue->items, key, item);
    return item;
}

static void item_drop_if_idle(WorkQueue *queue, Item *item) {
    if (!item->queued && !item->processing && !item->dirty && !item->heap_index && item->retries == 0)
        strmap_remove(queue->items, item->key);
}

static void *worker_main(void *userdata);

static void need_worker(WorkQueue *queue) {
    if (queue->held)
        return;
    if (queue->n_waiting > 0) {
        pthread_cond_signal(&queue->wake);
        return;
    }
    if (queue->n_workers >= queue->max_workers)
        return;
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    queue->n_workers++;
    int r = pthread_create(&thread, &attr, worker_main, queue);
    if (r != 0) {
        queue->n_workers--;
        log_error("work queue %s: no thread: %s", queue->name, strerror(r));
    }
    pthread_attr_destroy(&attr);
}

/* To the end of the FIFO. */
static void item_append(WorkQueue *queue, Item *item) {
    item->queued = true;
    item->next = NULL;
    if (queue->tail)
        queue->tail->next = item;
    else
        queue->head = item;
    queue->tail = item;
    queue->depth++;
    need_worker(queue);
}

static void item_enqueue(WorkQueue *queue, Item *item) {
    if (item->queued || item->dirty)
        return;
    queue->adds++;
    item->added = now_monotonic_ns();
    if (item->processing)
        item->dirty = true;
    else
        item_append(queue, item);
}

static void release_due(WorkQueue *queue, uint64_t now) {
    while (queue->heap_len > 0 && queue->heap[1]->due <= now) {
        Item *item = queue->heap[1];
        heap_remove(queue, item);
        item_enqueue(queue, item);
    }
}

static void item_delay(WorkQueue *queue, Item *item, uint64_t delay_ns) {
    queue->retries++;
    uint64_t due = now_monotonic_ns() + delay_ns;
    if (item->heap_index) {
        if (item->due <= due)
            return;
        heap_remove(queue, item);
    }
    item->due = due;
    heap_insert(queue, item);
    /* Whoever waits for the old head must look again; with nobody about, somebody has to keep the time. */
    if (queue->timekeeper)
        pthread_cond_broadcast(&queue->wake);
    else
        need_worker(queue);
}

static void delay_rate_limited(WorkQueue *queue, Item *item) {
    uint64_t delay = item->retries >= 28 ? BACKOFF_MAX_NS : MIN(BACKOFF_FIRST_NS << item->retries, BACKOFF_MAX_NS);
    item->retries++;
    item_delay(queue, item, delay);
}

/* Waits under the lock for the head of the FIFO. NULL: stop this worker. */
static Item *worker_next(WorkQueue *queue) {
    for (;;) {
        if (queue->stopping)
            return NULL;
        uint64_t now = now_monotonic_ns();
        release_due(queue, now);
        Item *item = queue->head;
        if (item) {
            queue->head = item->next;
            if (!queue->head)
                queue->tail = NULL;
            queue->depth--;
            item->queued = false;
            return item;
        }
        bool keeps_time = queue->heap_len > 0 && !queue->timekeeper;
        uint64_t until = keeps_time ? queue->heap[1]->due : now + WORKER_IDLE_SECONDS * NS_PER_SEC;
        struct timespec deadline = {.tv_sec = (time_t)(until / NS_PER_SEC), .tv_nsec = (long)(until % NS_PER_SEC)};
        if (keeps_time)
            queue->timekeeper = true;
        queue->n_waiting++;
        int r = pthread_cond_timedwait(&queue->wake, &queue->lock, &deadline);
        queue->n_waiting--;
        if (keeps_time)
            queue->timekeeper = false;
        else if (r != 0 && !queue->head && (queue->heap_len == 0 || queue->timekeeper))
            return NULL;
    }
}

static void worker_run_item(WorkQueue *queue, Item *item) {
    item->processing = true;
    item->started = now_monotonic_ns();
    histogram_observe(queue->waited, &waits, item->started - item->added);
    /* More waits, or delayed items are left without a timekeeper while this worker is busy: let another one help. */
    if (queue->head || (queue->heap_len > 0 && !queue->timekeeper))
        need_worker(queue);
    pthread_mutex_unlock(&queue->lock);
    int r = queue->sync(item->key, queue->userdata);
    pthread_mutex_lock(&queue->lock);
    item->processing = false;
    histogram_observe(queue->worked, &works, now_monotonic_ns() - item->started);
    if (r < 0)
        delay_rate_limited(queue, item);
    else
        item->retries = 0;
    if (item->dirty) {
        item->dirty = false;
        item_append(queue, item);
    }
    item_drop_if_idle(queue, item);
}

static void *worker_main(void *userdata) {
    WorkQueue *queue = userdata;
    char name[16]; /* the kernel's limit */
    snprintf(name, sizeof name, "%s", queue->name);
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&queue->lock);
    Item *item;
    while ((item = worker_next(queue)))
        worker_run_item(queue, item);
    queue->n_workers--;
    pthread_cond_broadcast(&queue->ended);
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

WorkQueue *workqueue_new(const char *name, unsigned workers, int (*sync)(const char *key, void *userdata),
                         void *userdata) {
    WorkQueue *queue = NEW0(WorkQueue);
    pthread_condattr_t attr;
    queue->name = xstrdup(name);
    queue->max_workers = MAX(workers, 1u);
    queue->sync = sync;
    queue->userdata = userdata;
    queue->items = strmap_new(free);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->wake, &attr);
    pthread_cond_init(&queue->ended, &attr);
    pthread_condattr_destroy(&attr);
    return queue;
}

void workqueue_hold(WorkQueue *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->held = true;
    pthread_mutex_unlock(&queue->lock);
}

void workqueue_release(WorkQueue *queue) {
    pthread_mutex_lock(&queue->lock);
    queue->held = false;
    if (queue->head || queue->heap_len > 0)
        need_worker(queue);
    pthread_mutex_unlock(&queue->lock);
}

void workqueue_free(WorkQueue *queue) {
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->wake);
    while (queue->n_workers > 0)
        pthread_cond_wait(&queue->ended, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_destroy(&queue->wake);
    pthread_cond_destroy(&queue->ended);
    pthread_mutex_destroy(&queue->lock);
    strmap_free(queue->items);
    free(queue->heap);
    free(queue->name);
    free(queue);
}

void workqueue_add(WorkQueue *queue, const char *key) {
    pthread_mutex_lock(&queue->lock);
    if (!queue->stopping)
        item_enqueue(queue, item_ensure(queue, key));
    pthread_mutex_unlock(&queue->lock);
}

void workqueue_add_after(WorkQueue *queue, const char *key, uint64_t delay_ns) {
    pthread_mutex_lock(&queue->lock);
    if (!queue->stopping && delay_ns == 0) {
        queue->retries++; /* as client-go counts whatever is added "after" */
        item_enqueue(queue, item_ensure(queue, key));
    } else if (!queue->stopping)
        item_delay(queue, item_ensure(queue, key), delay_ns);
    pthread_mutex_unlock(&queue->lock);
}

void workqueue_add_rate_limited(WorkQueue *queue, const char *key) {
    pthread_mutex_lock(&queue->lock);
    if (!queue->stopping)
        delay_rate_limited(queue, item_ensure(queue, key));
    pthread_mutex_unlock(&queue->lock);
}

void workqueue_forget(WorkQueue *queue, const char *key) {
    pthread_mutex_lock(&queue->lock);
    Item *item = strmap_get(queue->items, key);
    if (item) {
        item->retries = 0;
        item_drop_if_idle(queue, item);
    }
    pthread_mutex_unlock(&queue->lock);
}

unsigned workqueue_retries(WorkQueue *queue, const char *key) {
    pthread_mutex_lock(&queue->lock);
    const Item *item = strmap_get(queue->items, key);
    unsigned retries = item ? item->retries : 0;
    pthread_mutex_unlock(&queue->lock);
    return retries;
}

size_t workqueue_depth(WorkQueue *queue) {
    pthread_mutex_lock(&queue->lock);
    size_t depth = queue->depth;
    pthread_mutex_unlock(&queue->lock);
    return depth;
}

/* ---- figures ---- */

typedef struct Figures { /* of the queues of one name */
    const char *name;
    double depth, adds, retries, unfinished, longest;
    HistogramCell waited[HISTOGRAM_CELLS(N_BOUNDS)], worked[HISTOGRAM_CELLS(N_BOUNDS)];
} Figures;

static void take_figures(WorkQueue *queue, Figures *sum) {
    uint64_t now = now_monotonic_ns();
    const char *key;
    Item *item;
    pthread_mutex_lock(&queue->lock);
    sum->depth += (double)queue->depth;
    sum->adds += (double)queue->adds;
    sum->retries += (double)queue->retries;
    STRMAP_FOREACH (queue->items, key, item)
        if (item->processing) {
            double seconds = (double)(now - MIN(now, item->started)) / 1e9;
            sum->unfinished += seconds;
            sum->longest = MAX(sum->longest, seconds);
        }
    for (size_t i = 0; i < HISTOGRAM_CELLS(N_BOUNDS); i++) {
        sum->waited[i] += queue->waited[i];
        sum->worked[i] += queue->worked[i];
    }
    pthread_mutex_unlock(&queue->lock);
}

static void write_histograms(const HistogramShape *shape, Figures *figures, size_t n, bool of_work, Buf *out) {
    metric_head(out, shape->name, shape->help, "histogram");
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *labels = xasprintf("name=\"%s\"", figures[i].name);
        histogram_write(of_work ? figures[i].worked : figures[i].waited, shape, labels, out);
    }
}

void workqueue_write_metrics(WorkQueue *const *queues, size_t n, Buf *out) {
    static const struct {
        const char *name, *help, *type;
        size_t offset;
    } rows[] = {
        {"workqueue_adds_total", "[BETA] Items added to the queue.", "counter", offsetof(Figures, adds)},
        {"workqueue_depth", "[BETA] Items that wait in the queue.", "gauge", offsetof(Figures, depth)},
        {"workqueue_longest_running_processor_seconds", "[BETA] Seconds that the longest work under way has taken.",
         "gauge", offsetof(Figures, longest)},
        {"workqueue_retries_total", "[BETA] Items added again for later.", "counter", offsetof(Figures, retries)},
        {"workqueue_unfinished_work_seconds", "[BETA] Seconds that all work under way has taken.", "gauge",
         offsetof(Figures, unfinished)},
    };
    _cleanup_free_ Figures *figures = NEWN0(Figures, n + 1);
    size_t names = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < names && !streq(figures[at].name, queues[i]->name))
            at++;
        names += at == names;
        figures[at].name = queues[i]->name;
        take_figures(queues[i], &figures[at]);
    }
    for (size_t row = 0; row < ELEMENTSOF(rows); row++) {
        metric_head(out, rows[row].name, rows[row].help, rows[row].type);
        for (size_t i = 0; i < names; i++)
            buf_printf(out, "%s{name=\"%s\"} %.15g\n", rows[row].name, figures[i].name,
                       *(const double *)(const void *)((const char *)&figures[i] + rows[row].offset));
    }
    write_histograms(&waits, figures, names, false, out);
    write_histograms(&works, figures, names, true, out);
}
