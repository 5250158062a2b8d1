/* When a node is short, by the settings of kubelet's flags and as time goes on. */
#include "kubelet/thresholds.h"

#include "base/clock.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MI (1024 * 1024ull)

static Thresholds parse(const EvictionSettings *settings) {
    Thresholds t;
    char *error = NULL;
    if (thresholds_parse(settings, &t, &error) < 0)
        fail_msg("%s", error);
    return t;
}

static void refused(const EvictionSettings *settings, const char *wanted) {
    Thresholds t;
    _cleanup_free_ char *error = NULL;
    assert_true(thresholds_parse(settings, &t, &error) < 0);
    assert_string_equal(error, wanted);
}

static void test_settings(void **state) {
    (void)state;
    Thresholds t = parse(&(EvictionSettings){0});
    assert_int_equal(t.n, 6);
    assert_int_equal(threshold_quantity(&t.list[0].value, 0), 100 * MI);
    assert_int_equal(threshold_quantity(&t.list[1].value, 1000), 100);
    /* a kubelet says 19316009748 bytes are allocatable of 20959212Ki */
    assert_int_equal(threshold_quantity(&t.list[1].value, 20959212ull * 1024), 20959212ull * 1024 - 19316009748ull);
    assert_int_equal(parse(&(EvictionSettings){.hard = ""}).n, 0);
    assert_int_equal(parse(&(EvictionSettings){.hard = "nodefs.available<0%,imagefs.available<100%"}).n, 0);
    t = parse(&(EvictionSettings){.hard = "pid.available<10%",
                                  .soft = "pid.available<20%",
                                  .soft_grace = "pid.available=1m30s",
                                  .minimum_reclaim = "pid.available=5%"});
    assert_int_equal(t.n, 2);
    assert_int_equal(t.list[1].grace_ns, 90 * NS_PER_SEC);
    assert_int_equal(threshold_quantity(&t.list[0].reclaim, 100), 5);
    refused(&(EvictionSettings){.soft = "memory.available<1Gi"},
            "grace period must be specified for the soft eviction threshold memory.available");
    refused(&(EvictionSettings){.hard = "swap.available<1Gi"}, "unsupported eviction signal swap.available");
    refused(&(EvictionSettings){.hard = "memory.available<0"},
            "eviction threshold memory.available must be positive: 0");
    refused(&(EvictionSettings){.hard = "memory.available<101%"},
            "eviction percentage threshold memory.available must be <= 100%: 101%");
    refused(&(EvictionSettings){.soft_grace = "memory.available=-1s"},
            "invalid eviction grace period specified: -1s, must be a positive value");
}

static void look(Thresholds *t, EvictionSignal signal, uint64_t available, uint64_t second) {
    Observation observed[EVICTION_SIGNALS] = {0};
    observed[signal] = (Observation){true, available, 1000 * MI};
    thresholds_observe(t, observed, second * NS_PER_SEC);
}

static void test_a_soft_threshold_waits(void **state) {
    (void)state;
    Thresholds t = parse(&(EvictionSettings){
        .hard = "memory.available<100Mi", .soft = "memory.available<300Mi", .soft_grace = "memory.available=30s"});
    look(&t, SIGNAL_MEMORY, 200 * MI, 100);
    assert_null(thresholds_first(&t));
    assert_int_equal(t.seen[PRESSURE_MEMORY], 100 * NS_PER_SEC); /* the node says so at once */
    look(&t, SIGNAL_MEMORY, 400 * MI, 110);                      /* the time starts over */
    look(&t, SIGNAL_MEMORY, 200 * MI, 120);
    look(&t, SIGNAL_MEMORY, 200 * MI, 140);
    assert_null(thresholds_first(&t));
    look(&t, SIGNAL_MEMORY, 200 * MI, 150);
    assert_non_null(thresholds_first(&t));
    assert_int_equal(thresholds_first(&t)->grace_ns, 30 * NS_PER_SEC);
    look(&t, SIGNAL_MEMORY, 50 * MI, 160); /* the hard one leaves no time */
    assert_int_equal(thresholds_first(&t)->grace_ns, 0);
}

static void test_more_is_reclaimed(void **state) {
    (void)state;
    Thresholds t =
        parse(&(EvictionSettings){.hard = "nodefs.available<100Mi", .minimum_reclaim = "nodefs.available=50Mi"});
    look(&t, SIGNAL_NODEFS, 120 * MI, 1); /* not below the threshold itself */
    assert_null(thresholds_first(&t));
    look(&t, SIGNAL_NODEFS, 90 * MI, 2);
    assert_non_null(thresholds_first(&t));
    look(&t, SIGNAL_NODEFS, 120 * MI, 3);
    assert_non_null(thresholds_first(&t));
    look(&t, SIGNAL_NODEFS, 150 * MI, 4);
    assert_null(thresholds_first(&t));
}

static void test_memory_comes_first(void **state) {
    (void)state;
    Thresholds t = parse(&(EvictionSettings){.hard = "pid.available<10,nodefs.inodesFree<10,memory.available<100Mi"});
    Observation low[EVICTION_SIGNALS] = {[SIGNAL_PIDS] = {true, 1, 100}, [SIGNAL_NODEFS_INODES] = {true, 1, 100}};
    thresholds_observe(&t, low, NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_NODEFS_INODES);
    assert_int_equal(thresholds_of_resource(&t, "pids")->signal, SIGNAL_PIDS);
    assert_int_equal(t.seen[PRESSURE_PIDS], NS_PER_SEC);
    low[SIGNAL_MEMORY] = (Observation){true, 1, 1000 * MI};
    thresholds_observe(&t, low, 2 * NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_MEMORY);
    low[SIGNAL_MEMORY].known = false; /* what cannot be read is not short */
    thresholds_observe(&t, low, 3 * NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_NODEFS_INODES);
}

/* What the node must keep free, pods together must keep free of what they may have. */
static void test_allocatable_memory(void **state) {
    (void)state;
    Thresholds t = parse(&(EvictionSettings){.hard = "memory.available<100Mi,nodefs.available<10%",
                                             .soft = "memory.available<300Mi",
                                             .soft_grace = "memory.available=30s",
                                             .minimum_reclaim = "memory.available=50Mi"});
    Observation low[EVICTION_SIGNALS] = {
        [SIGNAL_NODEFS] = {true, 1, 100}, [SIGNAL_ALLOCATABLE_MEMORY] = {true, 90 * MI, 1000 * MI}};
    assert_int_equal(t.n, 4); /* the soft one has none */
    assert_int_equal(threshold_quantity(thresholds_hard(&t, SIGNAL_ALLOCATABLE_MEMORY), 0), 100 * MI);
    thresholds_observe(&t, low, NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_ALLOCATABLE_MEMORY);
    assert_int_equal(thresholds_of_resource(&t, "memory")->signal, SIGNAL_ALLOCATABLE_MEMORY);
    assert_int_equal(t.seen[PRESSURE_MEMORY], NS_PER_SEC);
    low[SIGNAL_ALLOCATABLE_MEMORY].available = 140 * MI; /* less than what is to be reclaimed besides */
    thresholds_observe(&t, low, 2 * NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_ALLOCATABLE_MEMORY);
    low[SIGNAL_ALLOCATABLE_MEMORY].available = 160 * MI;
    thresholds_observe(&t, low, 3 * NS_PER_SEC);
    assert_int_equal(thresholds_first(&t)->signal, SIGNAL_NODEFS);
    t = parse(&(EvictionSettings){.hard = "nodefs.available<10%"});
    assert_null(thresholds_hard(&t, SIGNAL_ALLOCATABLE_MEMORY));
    t = parse(&(EvictionSettings){.hard = "memory.available<100Mi,allocatableMemory.available<1Gi"});
    assert_int_equal(threshold_quantity(thresholds_hard(&t, SIGNAL_ALLOCATABLE_MEMORY), 0), 1024 * MI);
}

/* The threshold of what containers write, in percent; 0: none. */
static double container_fs(DiskLayout layout) {
    Thresholds t =
        parse(&(EvictionSettings){.hard = "nodefs.available<10%,imagefs.available<15%,containerfs.available<50%"});
    thresholds_set_layout(&t, layout);
    for (size_t i = 0; i < t.n; i++)
        if (t.list[i].signal == SIGNAL_CONTAINERFS)
            return t.list[i].value.percent;
    return 0;
}

static void test_layouts(void **state) {
    (void)state;
    assert_true(container_fs((DiskLayout){false, false}) == 10);
    assert_true(container_fs((DiskLayout){true, false}) == 15); /* beside the images */
    assert_true(container_fs((DiskLayout){true, true}) == 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),           cmocka_unit_test(test_a_soft_threshold_waits),
        cmocka_unit_test(test_more_is_reclaimed),  cmocka_unit_test(test_memory_comes_first),
        cmocka_unit_test(test_allocatable_memory), cmocka_unit_test(test_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
