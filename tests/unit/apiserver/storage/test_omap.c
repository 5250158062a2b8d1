/* The ordered map against a plain sorted array, with snapshots taken on the way that must not change. */
#include "helpers.h"
#include "apiserver/storage/omap.h"

#include <stdlib.h>

#define NAMES 700
#define STEPS 20000

typedef struct Model {
    Object *objects[NAMES];
} Model;

static int by_key(const void *a, const void *b) {
    Object *const *x = a, *const *y = b;
    return omap_key_compare(object_namespace(*x), object_name(*x), object_namespace(*y), object_name(*y));
}

static const char *const namespaces[] = {"a", "a-b", "a.c", "ab", "b"};

static void check_order(void **state) {
    (void)state;
    /* as the bytes of the storage keys: '-' and '.' sort before the slash */
    assert_true(omap_key_compare("a-b", "x", "a", "x") < 0);
    assert_true(omap_key_compare("a.c", "x", "a", "x") < 0);
    assert_true(omap_key_compare("a", "x", "ab", "a") < 0);
    assert_true(omap_key_compare("a", "y", "a", "x") > 0);
    assert_int_equal(omap_key_compare("a", "x", "a", "x"), 0);
    for (size_t i = 0; i < ELEMENTSOF(namespaces); i++)
        for (size_t j = 0; j < ELEMENTSOF(namespaces); j++) {
            _cleanup_free_ char *x = xasprintf("%s/m", namespaces[i]), *y = xasprintf("%s/m", namespaces[j]);
            int c = omap_key_compare(namespaces[i], "m", namespaces[j], "m"), d = strcmp(x, y);
            assert_int_equal((c > 0) - (c < 0), (d > 0) - (d < 0));
        }
}

static size_t model_sorted(Model *model, Object **sorted) {
    size_t n = 0;
    for (size_t i = 0; i < NAMES; i++)
        if (model->objects[i])
            sorted[n++] = model->objects[i];
    qsort(sorted, n, sizeof(Object *), by_key);
    return n;
}

static void assert_slice(OmapSlice *slice, Object **sorted, size_t n) {
    assert_int_equal(slice->count, n);
    for (size_t i = 0; i < n; i++) {
        const OmapEntry *entry = omap_slice_next(slice);
        assert_non_null(entry);
        assert_ptr_equal(entry->object, sorted[i]);
    }
    assert_null(omap_slice_next(slice));
}

static void check_ranges(const Omap *map, Object **sorted, size_t n) {
    for (size_t k = 0; k < ELEMENTSOF(namespaces); k++) {
        OmapBound from = {namespaces[k], "", OMAP_BEFORE}, to = {namespaces[k], "", OMAP_NAMESPACE_END};
        Object *expected[NAMES];
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (streq(object_namespace(sorted[i]), namespaces[k]))
                expected[count++] = sorted[i];
        _cleanup_omap_slice_ OmapSlice slice = {0};
        omap_slice(map, &from, &to, &slice);
        assert_slice(&slice, expected, count);
        if (count > 1) { /* after the first */
            _cleanup_omap_slice_ OmapSlice rest = {0};
            from = (OmapBound){namespaces[k], object_name(expected[0]), OMAP_AFTER};
            omap_slice(map, &from, &to, &rest);
            assert_slice(&rest, expected + 1, count - 1);
        }
    }
}

static void check_against_model(void **state) {
    (void)state;
    Model model = {0};
    Omap map = {0};
    OmapSlice snapshot = {0};
    Object *seen[NAMES], *sorted[NAMES];
    size_t n_seen = 0;
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rand() % NAMES;
        char name[16];
        snprintf(name, sizeof(name), "n%zu", i);
        const char *ns = namespaces[i % ELEMENTSOF(namespaces)];
        /* phases that mostly fill and mostly empty */
        if (rand() % 10 < (step / 2500 % 2 ? 2 : 7)) {
            Object *object = make_map(ns, name, "x");
            OmapEntry old = omap_put(&map, object_ref(object), (uint64_t)step);
            assert_ptr_equal(old.object, model.objects[i]);
            object_unref(old.object);
            object_unref(model.objects[i]);
            model.objects[i] = object;
        } else {
            OmapEntry old = omap_remove(&map, ns, name);
            assert_ptr_equal(old.object, model.objects[i]);
            object_unref(old.object);
            model.objects[i] = object_unref(model.objects[i]);
        }
        const OmapEntry *found = omap_find(&map, ns, name);
        assert_ptr_equal(found ? found->object : NULL, model.objects[i]);
        if (step % 500 == 250) { /* what the old snapshot holds is as it was */
            assert_slice(&snapshot, seen, n_seen);
            omap_slice_done(&snapshot);
            for (size_t k = 0; k < n_seen; k++)
                object_unref(seen[k]);
            n_seen = model_sorted(&model, seen);
            for (size_t k = 0; k < n_seen; k++)
                object_ref(seen[k]);
            omap_slice(&map, NULL, NULL, &snapshot);
        }
        if (step % 400 == 0) {
            size_t n = model_sorted(&model, sorted);
            assert_int_equal(map.count, n);
            check_ranges(&map, sorted, n);
        }
    }
    omap_slice_done(&snapshot);
    for (size_t k = 0; k < n_seen; k++)
        object_unref(seen[k]);
    omap_done(&map);
    for (size_t i = 0; i < NAMES; i++)
        object_unref(model.objects[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_order), cmocka_unit_test(check_against_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
