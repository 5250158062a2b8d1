#include "kubelet/thresholds.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>

static const EvictionSignalInfo signals[EVICTION_SIGNALS] = {
    [SIGNAL_MEMORY] = {"memory.available", "memory", PRESSURE_MEMORY, true},
    [SIGNAL_ALLOCATABLE_MEMORY] = {"allocatableMemory.available", "memory", PRESSURE_MEMORY, true},
    [SIGNAL_NODEFS] = {"nodefs.available", "ephemeral-storage", PRESSURE_DISK, true},
    [SIGNAL_NODEFS_INODES] = {"nodefs.inodesFree", "inodes", PRESSURE_DISK, false},
    [SIGNAL_IMAGEFS] = {"imagefs.available", "ephemeral-storage", PRESSURE_DISK, true},
    [SIGNAL_IMAGEFS_INODES] = {"imagefs.inodesFree", "inodes", PRESSURE_DISK, false},
    [SIGNAL_CONTAINERFS] = {"containerfs.available", "ephemeral-storage", PRESSURE_DISK, true},
    [SIGNAL_CONTAINERFS_INODES] = {"containerfs.inodesFree", "inodes", PRESSURE_DISK, false},
    [SIGNAL_PIDS] = {"pid.available", "pids", PRESSURE_PIDS, false},
};

const EvictionSignalInfo *eviction_signal(EvictionSignal signal) {
    return &signals[signal];
}

const char *pressure_name(Pressure pressure) {
    static const char *const names[PRESSURES] = {"MemoryPressure", "DiskPressure", "PIDPressure"};
    return names[pressure];
}

/* ---- reading ---- */

static int refuse(char **ret_error, char *text) {
    *ret_error = text;
    return -EINVAL;
}

static int signal_find(const char *name, EvictionSignal *ret) {
    for (EvictionSignal s = 0; s < EVICTION_SIGNALS; s++)
        if (streq(signals[s].name, name)) {
            *ret = s;
            return 0;
        }
    return -EINVAL;
}

/* 1: there is none (0% and 100% say so). */
static int value_parse(const char *signal, const char *text, const char *what, bool may_be_zero, ThresholdValue *ret,
                       char **ret_error) {
    Quantity q;
    double percent;
    char unit, rest;
    if (str_has_suffix(text, "%")) {
        if (!may_be_zero && (streq(text, "0%") || streq(text, "100%")))
            return 1;
        if (sscanf(text, "%lf%c%c", &percent, &unit, &rest) != 2 || unit != '%')
            return refuse(ret_error, xasprintf("\"%s\" is no percentage for %s", text, signal));
        if (percent < 0 || (!may_be_zero && percent > 100) || (may_be_zero && percent <= 0))
            return refuse(ret_error, xasprintf("eviction percentage %s %s must be %s: %s", what, signal,
                                               percent > 0   ? "<= 100%"
                                               : may_be_zero ? "positive"
                                                             : ">= 0%",
                                               text));
        *ret = (ThresholdValue){.is_percent = true, .percent = percent};
        return 0;
    }
    if (quantity_parse(text, &q) < 0)
        return refuse(ret_error, xasprintf("\"%s\" is no quantity for %s", text, signal));
    if (quantity_sign(&q) < 0 || (!may_be_zero && quantity_sign(&q) == 0))
        return refuse(ret_error, xasprintf("eviction %s %s must be positive: %s", what, signal, text));
    *ret = (ThresholdValue){.amount = (uint64_t)quantity_value(&q)};
    return 0;
}

typedef int (*Take)(Thresholds *t, EvictionSignal signal, const char *value, char **ret_error);

/* "signal<value,signal<value" */
static int each(Thresholds *t, const char *text, char separator, Take take, char **ret_error) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    size_t n = 0;
    char **list = text ? str_split(arena, text, ',', &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        EvictionSignal signal;
        char *value = strchr(list[i], separator);
        if (!*list[i])
            continue;
        if (!value)
            return refuse(ret_error, xasprintf("\"%s\" is no eviction threshold; one looks like memory.available%c%s",
                                               list[i], separator, separator == '<' ? "100Mi" : "VALUE"));
        *value++ = 0;
        if (signal_find(list[i], &signal) < 0)
            return refuse(ret_error, xasprintf("unsupported eviction signal %s", list[i]));
        int r = take(t, signal, value, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add(Thresholds *t, EvictionSignal signal, const char *text, uint64_t grace_ns, char **ret_error) {
    Threshold x = {.signal = signal, .grace_ns = grace_ns};
    int r = value_parse(signals[signal].name, text, "threshold", false, &x.value, ret_error);
    if (r != 0)
        return MIN(r, 0);
    for (size_t i = 0; i < t->n; i++) /* given twice: the last counts */
        if (t->list[i].signal == signal && (t->list[i].grace_ns == 0) == (grace_ns == 0)) {
            t->list[i] = x;
            return 0;
        }
    t->list[t->n++] = x;
    return 0;
}

#define SOFT_WITHOUT_GRACE UINT64_MAX /* until soft_grace is read */

static int add_hard(Thresholds *t, EvictionSignal signal, const char *text, char **ret_error) {
    return add(t, signal, text, 0, ret_error);
}

static int add_soft(Thresholds *t, EvictionSignal signal, const char *text, char **ret_error) {
    return add(t, signal, text, SOFT_WITHOUT_GRACE, ret_error);
}

static int set_grace(Thresholds *t, EvictionSignal signal, const char *text, char **ret_error) {
    int64_t ns;
    if (duration_parse(text, &ns) < 0 || ns < 0)
        return refuse(ret_error,
                      xasprintf("invalid eviction grace period specified: %s, must be a positive value", text));
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].signal == signal && t->list[i].grace_ns)
            t->list[i].grace_ns = (uint64_t)ns;
    return 0;
}

static int set_reclaim(Thresholds *t, EvictionSignal signal, const char *text, char **ret_error) {
    ThresholdValue value;
    int r = value_parse(signals[signal].name, text, "minimum reclaim", true, &value, ret_error);
    for (size_t i = 0; r == 0 && i < t->n; i++)
        if (t->list[i].signal == signal)
            t->list[i].reclaim = value;
    return r;
}

static const Threshold *find_hard(const Thresholds *t, EvictionSignal signal) {
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].signal == signal && !t->list[i].grace_ns)
            return &t->list[i];
    return NULL;
}

const ThresholdValue *thresholds_hard(const Thresholds *t, EvictionSignal signal) {
    const Threshold *x = find_hard(t, signal);
    return x ? &x->value : NULL;
}

/* What the node must keep free, pods together must keep free of what they may have. */
static void add_allocatable(Thresholds *t) {
    const Threshold *memory = find_hard(t, SIGNAL_MEMORY);
    if (!memory || find_hard(t, SIGNAL_ALLOCATABLE_MEMORY))
        return;
    Threshold copy = *memory;
    copy.signal = SIGNAL_ALLOCATABLE_MEMORY;
    t->list[t->n++] = copy;
}

int thresholds_parse(const EvictionSettings *settings, Thresholds *ret, char **ret_error) {
    Thresholds t = {.transition_ns = settings->transition_ns > 0 ? (uint64_t)settings->transition_ns
                                                                 : (uint64_t)EVICTION_DEFAULT_TRANSITION_NS};
    int r = each(&t, settings->hard ? settings->hard : EVICTION_DEFAULT_HARD, '<', add_hard, ret_error);
    r = r < 0 ? r : each(&t, settings->soft, '<', add_soft, ret_error);
    r = r < 0 ? r : each(&t, settings->soft_grace, '=', set_grace, ret_error);
    r = r < 0 ? r : each(&t, settings->minimum_reclaim, '=', set_reclaim, ret_error);
    for (size_t i = 0; r == 0 && i < t.n; i++)
        if (t.list[i].grace_ns == SOFT_WITHOUT_GRACE)
            r = refuse(ret_error, xasprintf("grace period must be specified for the soft eviction threshold %s",
                                            signals[t.list[i].signal].name));
    if (r < 0)
        return r;
    add_allocatable(&t);
    *ret = t;
    return 0;
}

static bool is_container_fs(EvictionSignal signal) {
    return signal == SIGNAL_CONTAINERFS || signal == SIGNAL_CONTAINERFS_INODES;
}

void thresholds_set_layout(Thresholds *t, DiskLayout layout) {
    bool with_images = layout.image_fs && !layout.container_fs;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (!is_container_fs(t->list[i].signal))
            t->list[n++] = t->list[i];
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        Threshold copy = t->list[i];
        if (copy.signal == (with_images ? SIGNAL_IMAGEFS : SIGNAL_NODEFS))
            copy.signal = SIGNAL_CONTAINERFS;
        else if (copy.signal == (with_images ? SIGNAL_IMAGEFS_INODES : SIGNAL_NODEFS_INODES))
            copy.signal = SIGNAL_CONTAINERFS_INODES;
        else
            continue;
        t->list[t->n++] = copy;
    }
}

/* ---- observing ---- */

/* Percentages have single precision, as the reference's: what a node may give to pods is the same to the byte. */
uint64_t threshold_quantity(const ThresholdValue *value, uint64_t capacity) {
    float part = (float)value->percent / 100.0f;
    return value->is_percent ? (uint64_t)((double)capacity * (double)part) : value->amount;
}

static bool is_met(const Threshold *x, const Observation *o, bool with_reclaim) {
    uint64_t wanted = threshold_quantity(&x->value, o->capacity);
    if (with_reclaim)
        wanted += threshold_quantity(&x->reclaim, o->capacity);
    return o->known && o->available < wanted;
}

void thresholds_observe(Thresholds *t, const Observation observed[EVICTION_SIGNALS], uint64_t now) {
    for (size_t i = 0; i < t->n; i++) {
        Threshold *x = &t->list[i];
        if (!is_met(x, &observed[x->signal], x->acts)) {
            x->first_seen = 0;
            x->acts = false;
            continue;
        }
        if (!x->first_seen)
            x->first_seen = now;
        x->acts = now - x->first_seen >= x->grace_ns;
        t->seen[signals[x->signal].pressure] = now;
    }
}

bool thresholds_short(const Thresholds *t, const Observation observed[EVICTION_SIGNALS]) {
    for (size_t i = 0; i < t->n; i++)
        if (is_met(&t->list[i], &observed[t->list[i].signal], true))
            return true;
    return false;
}

const Threshold *thresholds_first(const Thresholds *t) {
    const Threshold *first = NULL;
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].acts && (!first || t->list[i].signal < first->signal ||
                                (t->list[i].signal == first->signal && !t->list[i].grace_ns)))
            first = &t->list[i];
    return first;
}

const Threshold *thresholds_of_resource(const Thresholds *t, const char *resource) {
    const Threshold *first = NULL;
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].acts && streq(signals[t->list[i].signal].resource, resource) &&
            (!first || t->list[i].signal < first->signal))
            first = &t->list[i];
    return first;
}
