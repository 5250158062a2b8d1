#include "../../support/image_fixture.h"

#include "kubelet/images/images.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void references_are_normalised(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"nginx", "docker.io/library/nginx:latest"},
        {"nginx:1.25", "docker.io/library/nginx:1.25"},
        {"user/app", "docker.io/user/app:latest"},
        {"index.docker.io/library/nginx", "docker.io/library/nginx:latest"},
        {"localhost/app", "localhost/app:latest"},
        {"localhost:5000/a/b:c", "localhost:5000/a/b:c"},
        {"registry.example/app@" DIGEST, "registry.example/app@" DIGEST},
        {"registry.example/app:1@" DIGEST, "registry.example/app@" DIGEST},
        {"[::1]:5000/app", "[::1]:5000/app:latest"},
        {"a__b/c-d.e--f", "docker.io/a__b/c-d.e--f:latest"},
        {"", NULL},
        {"UPPER", NULL},
        {"app:", NULL},
        {"app@sha256:123", NULL},
        {"a//b", NULL},
        {"/app", NULL},
        {"app:-x", NULL},
        {"a___b", NULL},
        {"-host.example/app", NULL},
        {"host.example:port/app", NULL},
        {"app@md5:abc", NULL},
        {"a/../b", NULL},
    };
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_free_ char *out = NULL;
        int r = image_reference_normalize(cases[i].in, &out);
        if (!cases[i].out) {
            if (r != -EINVAL)
                fail_msg("%s was taken as %s", cases[i].in, out);
        } else {
            assert_int_equal(r, 0);
            assert_string_equal(out, cases[i].out);
        }
    }
    _cleanup_free_ char *host = NULL;
    assert_int_equal(image_reference_host("registry.example:5000/app", &host), 0);
    assert_string_equal(host, "registry.example:5000");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(references_are_normalised)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
