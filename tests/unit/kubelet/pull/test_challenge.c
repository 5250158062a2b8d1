#include "../../support/image_fixture.h"

#include "kubelet/pull/challenge.h"

static void challenges_are_parsed(void **state) {
    (void)state;
    Challenge c;
    assert_int_equal(
        challenge_parse(
            "Bearer realm=\"https://auth.example/token\",service=\"reg\",scope=\"repository:a/b:pull,push\"", &c),
        0);
    assert_true(c.bearer);
    assert_string_equal(c.realm, "https://auth.example/token");
    assert_string_equal(c.service, "reg");
    assert_string_equal(c.scope, "repository:a/b:pull,push");
    challenge_done(&c);
    assert_int_equal(challenge_parse("basic realm=\"a \\\"b\\\"\", charset=\"UTF-8\"", &c), 0);
    assert_false(c.bearer);
    assert_string_equal(c.realm, "a \"b\"");
    challenge_done(&c);
    assert_int_equal(challenge_parse("Bearer realm=x, Basic realm=y", &c), 0);
    assert_string_equal(c.realm, "x");
    challenge_done(&c);
    assert_int_equal(challenge_parse("Negotiate", &c), -EINVAL);
    assert_int_equal(challenge_parse("Bearer realm=\"open", &c), -EINVAL);
    assert_int_equal(challenge_parse("", &c), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(challenges_are_parsed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
