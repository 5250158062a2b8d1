/* Pods and the kinds that make them, through the engine and a store of its own: requests with what kube-apiserver
 * v1.36.3 answered to them (tests/golden/registry/workloads.jsonl: status, causes, warnings, generation), in order,
 * because later ones change what earlier ones made. Answers that admission decides are not among them. Causes are
 * compared as sets: some of the reference's come in the order of a Go map. */
#include "../../support/recorded_answers.h"
#include "apiserver/storage/driver.h"
#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN LIGHTER_SOURCE_DIR "/tests/golden/registry/workloads.jsonl"

static void recorded(void **state) {
    char dir[] = "/tmp/lighter-workloads-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = xasprintf("%s/store", dir);
    StoreDriver *driver = NULL;
    Store *store = NULL;
    assert_int_equal(sqlite_driver_open(path, &driver), 0);
    assert_int_equal(store_open(driver, NULL, &store), 0);
    RegistryConfig config = {.store = store, .settings = {"10.96.0.0/16", 30000, 32767}};
    Registry *registry = registry_new(&config);
    run_recorded(registry, GOLDEN, 300);
    registry_free(registry);
    store_close(store);
    fs_remove_tree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
