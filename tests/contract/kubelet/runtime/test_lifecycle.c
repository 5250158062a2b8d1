/* Sandboxes and containers from creation to removal, as every driver must behave. */
#include "fixture.h"

static void sandbox_has_address_and_files(void **state) {
    Fixture *f = *state;
    const char *servers[] = {"10.0.0.10", NULL}, *searches[] = {"default.svc.cluster.local", "svc.cluster.local", NULL};
    const char *options[] = {"ndots:5", NULL};
    RuntimePair labels[] = {{(char *)"app", (char *)"web"}};
    _cleanup_free_ char *id = sandbox_new_with(f, (SandboxSpec){.dns_servers = servers,
                                                                .dns_searches = searches,
                                                                .dns_options = options,
                                                                .labels = labels,
                                                                .n_labels = 1,
                                                                .attempt = 3});
    SandboxStatus status;
    assert_int_equal(f->runtime->sandbox_status(f->runtime, id, &status), 0);
    assert_true(status.ready);
    assert_true(str_has_prefix(status.ip, "10.199."));
    assert_string_equal(status.ips[0], status.ip);
    assert_true(fs_exists(status.netns_path));
    assert_int_equal(status.attempt, 3);
    assert_string_equal(status.labels[0].value, "web");
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *container = container_run(f, id, &spec);
    int code;
    _cleanup_free_ char *out = exec_text(
        f, container, ARGV("/bin/sh", "-c", "hostname; cat /etc/resolv.conf; cat /etc/hostname; ip -4 addr"), &code);
    assert_int_equal(code, 0);
    assert_true(str_has_prefix(out, "pod-host\nsearch default.svc.cluster.local svc.cluster.local\nnameserver "
                                    "10.0.0.10\noptions ndots:5\npod-host\n"));
    assert_non_null(strstr(out, status.ip));
    assert_non_null(strstr(out, "127.0.0.1"));
    char *error = NULL;
    assert_int_equal(f->runtime->sandbox_stop(f->runtime, id, &error), 0);
    sandbox_status_done(&status);
    assert_int_equal(f->runtime->sandbox_status(f->runtime, id, &status), 0);
    assert_false(status.ready);
    sandbox_status_done(&status);
    ContainerStatus ended = container_status_of(f, container);
    assert_int_equal(ended.state, CONTAINER_EXITED);
    assert_int_equal(ended.exit_code, 137);
    container_status_done(&ended);
    assert_int_equal(f->runtime->sandbox_stop(f->runtime, id, &error), 0); /* again */
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, id, &error), 0);
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, id, &error), 0);
    assert_int_equal(f->runtime->sandbox_status(f->runtime, id, &status), -ENOENT);
    ContainerStatus gone;
    assert_int_equal(f->runtime->container_status(f->runtime, container, &gone), -ENOENT);
}

static void exit_codes_and_reasons(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    const struct {
        const char *script;
        int code;
        const char *reason;
    } cases[] = {{"exit 0", 0, "Completed"}, {"exit 7", 7, "Error"}, {"exec nothing-here", 127, "Error"}};
    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        int64_t before = now_realtime_ns();
        ContainerSpec spec = container_spec(f, ARGV("/bin/sh", "-c", cases[i].script));
        spec.attempt = (uint32_t)i;
        _cleanup_free_ char *id = container_new_with(f, sandbox, &spec);
        ContainerStatus created = container_status_of(f, id);
        assert_int_equal(created.state, CONTAINER_CREATED);
        assert_int_equal(created.started_ns, 0);
        container_status_done(&created);
        container_start_ok(f, id);
        ContainerStatus status = container_end(f, id);
        assert_int_equal(status.exit_code, cases[i].code);
        assert_string_equal(status.reason, cases[i].reason);
        assert_int_equal(status.attempt, i);
        assert_true(status.created_ns >= before && status.started_ns >= status.created_ns &&
                    status.finished_ns >= status.created_ns);
        container_status_done(&status);
        char *error = NULL;
        assert_int_equal(f->runtime->container_remove(f->runtime, id, &error), 0);
        assert_int_equal(f->runtime->container_remove(f->runtime, id, &error), 0);
    }
}

static void a_command_that_is_not_there(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/no/such/program"));
    _cleanup_free_ char *id = container_new_with(f, sandbox, &spec);
    assert_true(f->runtime->container_start(f->runtime, id, &error) < 0);
    if (!strstr(error, "/no/such/program"))
        fail_msg("%s", error);
    ContainerStatus status = container_status_of(f, id);
    assert_int_equal(status.state, CONTAINER_EXITED);
    assert_int_equal(status.exit_code, 128);
    assert_string_equal(status.reason, "StartError");
    assert_non_null(strstr(status.message, "/no/such/program"));
    container_status_done(&status);
}

static void stop_is_gentle_then_firm(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0}), *error = NULL;
    ContainerSpec spec =
        container_spec(f, ARGV("/bin/sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"));
    _cleanup_free_ char *gentle = container_run(f, sandbox, &spec);
    for (int i = 0; i < 400; i++) {
        _cleanup_free_ char *log = log_text(f, "main.log");
        if (strstr(log, "ready"))
            break;
        usleep(10000);
    }
    assert_int_equal(f->runtime->container_stop(f->runtime, gentle, 10 * NS_PER_SEC, &error), 0);
    ContainerStatus status = container_status_of(f, gentle);
    assert_int_equal(status.exit_code, 5);
    container_status_done(&status);
    /* A first process without a handler does not get SIGTERM; what it started ignores it too. */
    spec = container_spec(f, ARGV("/bin/sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000"));
    _cleanup_free_ char *firm = container_run(f, sandbox, &spec);
    uint64_t start = now_monotonic_ns();
    assert_int_equal(f->runtime->container_stop(f->runtime, firm, 300 * NS_PER_MS, &error), 0);
    uint64_t took = now_monotonic_ns() - start;
    assert_true(took >= 300 * NS_PER_MS && took < 5 * NS_PER_SEC);
    status = container_status_of(f, firm);
    assert_int_equal(status.exit_code, 137);
    container_status_done(&status);
    assert_int_equal(f->runtime->container_stop(f->runtime, firm, NS_PER_SEC, &error), 0); /* again */
}

static void lists_are_filtered(void **state) {
    Fixture *f = *state;
    _cleanup_free_ char *one = sandbox_new_with(f, (SandboxSpec){.name = "one"}),
                        *two = sandbox_new_with(f, (SandboxSpec){.name = "two"});
    ContainerSpec spec = container_spec(f, ARGV("/bin/sleep", "100"));
    _cleanup_free_ char *a = container_new_with(f, one, &spec), *b = container_new_with(f, two, &spec);
    ContainerStatus *list;
    size_t n;
    assert_int_equal(f->runtime->container_list(f->runtime, two, &list, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(list[0].id, b);
    assert_string_equal(list[0].sandbox_id, two);
    container_status_done(&list[0]);
    free(list);
    char *error = NULL;
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, one, &error), 0);
    assert_int_equal(f->runtime->sandbox_remove(f->runtime, two, &error), 0);
    ContainerStatus gone;
    assert_int_equal(f->runtime->container_status(f->runtime, a, &gone), -ENOENT);
}

static void errors_have_sentences(void **state) {
    Fixture *f = *state;
    char *error = NULL, *id = NULL;
    ContainerSpec spec = container_spec(f, ARGV("/bin/true"));
    assert_int_equal(f->runtime->container_create(f->runtime, "nope", &spec, &id, &error), -ENOENT);
    assert_non_null(strstr(error, "nope"));
    free(error);
    _cleanup_free_ char *sandbox = sandbox_new_with(f, (SandboxSpec){0});
    spec.image_id = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(f->runtime->container_create(f->runtime, sandbox, &spec, &id, &error), -ENOENT);
    assert_non_null(strstr(error, "not found"));
    free(error);
    spec = container_spec(f, ARGV("/bin/true"));
    spec.run_as_username = "nobody-here";
    assert_int_equal(f->runtime->container_create(f->runtime, sandbox, &spec, &id, &error), -ENOENT);
    assert_string_equal(error, "unable to find user nobody-here: no matching entries in passwd file");
    free(error);
    RuntimePair env[] = {{(char *)"BINARY", (char *)"\xff\xfe"}};
    spec = container_spec(f, ARGV("/bin/true"));
    spec.env = env;
    spec.n_env = 1;
    assert_int_equal(f->runtime->container_create(f->runtime, sandbox, &spec, &id, &error), -EINVAL);
    assert_string_equal(error, "the value of the environment variable BINARY is not valid UTF-8");
    free(error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sandbox_has_address_and_files),
        cmocka_unit_test(exit_codes_and_reasons),
        cmocka_unit_test(a_command_that_is_not_there),
        cmocka_unit_test(stop_is_gentle_then_firm),
        cmocka_unit_test(lists_are_filtered),
        cmocka_unit_test(errors_have_sentences),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
