/* Keys and certificates on disk for tests of TLS: an authority with one certificate that is a server's (as 127.0.0.1
 * and "named") and a client's ("both"), and another authority that it has nothing to do with. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "http/pki.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct PkiFixture {
    char dir[64];
    char ca_cert[96], ca_key[96], cert[96], key[96], other_cert[96], other_key[96]; /* paths */
} PkiFixture;

static void pki_fixture_make(PkiFixture *f) {
    strcpy(f->dir, "/tmp/lighter-pki.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char *paths[] = {f->ca_cert, f->ca_key, f->cert, f->key, f->other_cert, f->other_key};
    for (size_t i = 0; i < ELEMENTSOF(paths); i++)
        snprintf(paths[i], 96, "%s/%zu.pem", f->dir, i);
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
    _cleanup_(pki_ca_freep) PkiCa *other = NULL;
    assert_int_equal(pki_ca_ensure(f->ca_cert, f->ca_key, "ca", &ca), 0);
    assert_int_equal(pki_ca_ensure(f->other_cert, f->other_key, "other", &other), 0);
    const PkiCertSpec spec = {
        .common_name = "both",
        .dns_names = (const char *const[]){"named", NULL},
        .ip_addresses = (const char *const[]){"127.0.0.1", NULL},
        .server = true,
        .client = true,
    };
    assert_int_equal(pki_cert_ensure(ca, f->cert, f->key, &spec, NULL), 0);
}

static void pki_fixture_remove(PkiFixture *f) {
    fs_remove_tree(f->dir);
}
