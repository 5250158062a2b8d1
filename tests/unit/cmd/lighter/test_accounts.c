/* What the controllers act as is what the roles of every cluster know them by. */
#include "apiserver/rbac_bootstrap.h"
#include "base/str.h"
#include "controllers/controllers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool has_roles(const char *account) {
    for (const RbacBinding *row = rbac_bindings; row->name; row++)
        if (streq_null(row->subject_kind, "ServiceAccount") && streq_null(row->subject_ns, "kube-system") &&
            streq(row->subject, account))
            return true;
    return false;
}

static void test_every_account_has_roles(void **state) {
    const char *name;
    size_t accounts = 0;
    (void)state;
    for (size_t i = 0; (name = controllers_name(i)); i++) {
        const char *account = controllers_account(i);
        if (!*account)
            continue;
        accounts++;
        if (!has_roles(account))
            fail_msg("%s acts as %s, which no binding names", name, account);
    }
    assert_true(accounts > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_account_has_roles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
