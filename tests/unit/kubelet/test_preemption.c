/* Who must go for a critical pod. */
#include "kubelet/preemption.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PODS_MAX 8

static PodDemand demand(QosClass qos, int64_t cpu, int64_t memory) {
    PodDemand d = {.qos = qos, .requests = NEWN0(Request, 2), .n_requests = 2};
    d.requests[0] = (Request){xstrdup("cpu"), cpu};
    d.requests[1] = (Request){xstrdup("memory"), memory};
    return d;
}

typedef struct Case {
    PodDemand pods[PODS_MAX];
    size_t n;
    Shortage shortages[3];
    size_t n_shortages;
} Case;

/* "0 2": the chosen ones, or the error. */
static void expect(Case *c, const char *wanted) {
    static const PodDemand critical = {.critical = true, .has_priority = true, .priority = 2000000000};
    _cleanup_arena_ Arena *arena = arena_new(0);
    Candidate list[PODS_MAX] = {0};
    const char *error = NULL, *got = "";
    for (size_t i = 0; i < c->n; i++)
        list[i] = (Candidate){.demand = &c->pods[i]};
    if (!preemption_choose(arena, &critical, list, c->n, c->shortages, c->n_shortages, &error))
        got = error;
    for (size_t i = 0; i < c->n; i++)
        if (list[i].chosen)
            got = arena_printf(arena, "%s%s%zu", got, *got ? " " : "", i);
    assert_string_equal(got, wanted);
    for (size_t i = 0; i < c->n; i++)
        demand_done(&c->pods[i]);
}

static void test_cheap_classes_go_first(void **state) {
    (void)state;
    expect(&(Case){.pods = {demand(QOS_GUARANTEED, 500, 500), demand(QOS_BURSTABLE, 500, 500)},
                   .n = 2,
                   .shortages = {{"cpu", 400}},
                   .n_shortages = 1},
           "1");
    /* BestEffort pods ask for nothing: they give only their place */
    expect(&(Case){.pods = {demand(QOS_BEST_EFFORT, 0, 0), demand(QOS_BURSTABLE, 500, 500)},
                   .n = 2,
                   .shortages = {{"cpu", 400}},
                   .n_shortages = 1},
           "1");
    expect(&(Case){.pods = {demand(QOS_BEST_EFFORT, 0, 0), demand(QOS_BURSTABLE, 500, 500)},
                   .n = 2,
                   .shortages = {{"pods", 1}},
                   .n_shortages = 1},
           "0");
    expect(&(Case){.pods = {demand(QOS_GUARANTEED, 500, 500), demand(QOS_BURSTABLE, 300, 500)},
                   .n = 2,
                   .shortages = {{"cpu", 400}},
                   .n_shortages = 1},
           "0"); /* the Guaranteed one must go in any case, and then it is enough */
}

static void test_as_few_and_as_small_as_will_do(void **state) {
    (void)state;
    expect(
        &(Case){.pods = {demand(QOS_BURSTABLE, 100, 1), demand(QOS_BURSTABLE, 300, 1), demand(QOS_BURSTABLE, 200, 1)},
                .n = 3,
                .shortages = {{"cpu", 250}},
                .n_shortages = 1},
        "1");
    expect(&(Case){.pods = {demand(QOS_BURSTABLE, 400, 9), demand(QOS_BURSTABLE, 300, 5)},
                   .n = 2,
                   .shortages = {{"cpu", 250}},
                   .n_shortages = 1},
           "1"); /* both are enough: the one that asks for less memory */
    expect(&(Case){.pods = {demand(QOS_BURSTABLE, 400, 10), demand(QOS_BURSTABLE, 10, 400),
                            demand(QOS_BURSTABLE, 300, 300)},
                   .n = 3,
                   .shortages = {{"cpu", 300}, {"memory", 300}},
                   .n_shortages = 2},
           "2");
    expect(
        &(Case){.pods = {demand(QOS_BURSTABLE, 100, 1), demand(QOS_BURSTABLE, 300, 1), demand(QOS_BURSTABLE, 200, 1)},
                .n = 3,
                .shortages = {{"cpu", 450}},
                .n_shortages = 1},
        "1 2");
}

static void test_who_may_be_chosen(void **state) {
    (void)state;
    PodDemand critical = demand(QOS_BURSTABLE, 500, 500), lower = demand(QOS_BURSTABLE, 500, 500);
    critical.critical = critical.has_priority = true;
    critical.priority = 2000000000;
    expect(&(Case){.pods = {critical}, .n = 1, .shortages = {{"cpu", 400}, {"memory", 1}}, .n_shortages = 2},
           "no set of running pods found to reclaim resources: [(res: cpu, q: 400), (res: memory, q: 1), ]");
    lower.critical = lower.has_priority = true;
    lower.priority = 1999999999;
    expect(&(Case){.pods = {lower}, .n = 1, .shortages = {{"cpu", 400}}, .n_shortages = 1}, "0");
    expect(&(Case){.pods = {demand(QOS_BURSTABLE, 100, 1)}, .n = 1, .shortages = {{"cpu", 400}}, .n_shortages = 1},
           "no set of running pods found to reclaim resources: [(res: cpu, q: 300), ]");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cheap_classes_go_first),
                                       cmocka_unit_test(test_as_few_and_as_small_as_will_do),
                                       cmocka_unit_test(test_who_may_be_chosen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
