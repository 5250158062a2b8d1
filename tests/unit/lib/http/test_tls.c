/* TLS contexts, both sides in memory. */
#include "http/tls.h"
#include "base/fs.h"
#include "http/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct World {
    char dir[64], ca[96], ca_key[96], front[96], front_key[96], server[96], server_key[96], client[96], client_key[96];
} World;

static int set_up(void **state) {
    static World w;
    static const char *const names[] = {"localhost", NULL};
    strcpy(w.dir, "/tmp/lighter-tls-XXXXXX");
    if (!mkdtemp(w.dir))
        return -1;
    struct {
        char *path;
        const char *name;
    } const files[] = {{w.ca, "ca.crt"},           {w.ca_key, "ca.key"},        {w.front, "front.crt"},
                       {w.front_key, "front.key"}, {w.server, "server.crt"},    {w.server_key, "server.key"},
                       {w.client, "client.crt"},   {w.client_key, "client.key"}};
    for (size_t i = 0; i < ELEMENTSOF(files); i++)
        snprintf(files[i].path, sizeof w.ca, "%s/%s", w.dir, files[i].name);
    _cleanup_(pki_ca_freep) PkiCa *ca = NULL, *front = NULL;
    if (pki_ca_ensure(w.ca, w.ca_key, "clients", &ca) < 0 || pki_ca_ensure(w.front, w.front_key, "fronts", &front) < 0)
        return -1;
    PkiCertSpec server = {.common_name = "localhost", .dns_names = names, .server = true},
                client = {.common_name = "somebody", .client = true};
    *state = &w;
    return pki_cert_ensure(ca, w.server, w.server_key, &server, NULL) < 0 ||
                   pki_cert_ensure(ca, w.client, w.client_key, &client, NULL) < 0
               ? -1
               : 0;
}

static int tear_down(void **state) {
    return fs_remove_tree(((World *)*state)->dir);
}

/* One connection in memory: the handshake, and a byte to the client, with which it reads its ticket. */
static SSL_SESSION *connect_once(SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL_SESSION *session, bool *ret_known,
                                 bool *ret_front) {
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a = NULL, *b = NULL;
    char byte;
    assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    if (session)
        assert_int_equal(SSL_set_session(client, session), 1);
    for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
    assert_int_equal(SSL_write(server, "x", 1), 1);
    assert_int_equal(SSL_read(client, &byte, 1), 1);
    assert_int_equal(SSL_session_reused(server), session != NULL);
    assert_non_null(SSL_get0_peer_certificate(server));
    *ret_known = SSL_get_verify_result(server) == X509_V_OK;
    *ret_front = tls_peer_is_front(server);
    SSL_SESSION *next = SSL_get1_session(client);
    SSL_SESSION_free(session);
    SSL_shutdown(client);
    SSL_free(server);
    SSL_free(client);
    return next;
}

static void whose_certificate(const World *w, const char *clients, const char *fronts, bool want_known,
                              bool want_front) {
    SSL_CTX *server = NULL, *client = NULL;
    SSL_SESSION *session = NULL;
    assert_int_equal(tls_server_context(&(TlsIdentity){.cert_file = w->server, .key_file = w->server_key},
                                        &(TlsClients){.ca_file = clients, .front_ca_file = fronts}, &server),
                     0);
    assert_int_equal(tls_client_context(&(TlsTrust){.ca_file = w->ca},
                                        &(TlsIdentity){.cert_file = w->client, .key_file = w->client_key}, &client),
                     0);
    for (int generation = 0; generation < 4; generation++) {
        bool known = !want_known, front = !want_front;
        session = connect_once(server, client, session, &known, &front);
        assert_int_equal(known, want_known);
        if (known)
            assert_int_equal(front, want_front);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

/* A session may be resumed from one that was resumed itself: whose certificate it was is not forgotten. */
static void test_resumed_sessions_keep_whose_certificate_it_was(void **state) {
    const World *w = *state;
    whose_certificate(w, w->ca, w->front, true, false);
    whose_certificate(w, w->front, w->ca, true, true);
}

/* Nor that it was nobody's. */
static void test_unknown_certificates_connect_and_stay_unknown(void **state) {
    const World *w = *state;
    whose_certificate(w, w->front, NULL, false, false);
    whose_certificate(w, NULL, w->front, false, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed_sessions_keep_whose_certificate_it_was),
        cmocka_unit_test(test_unknown_certificates_connect_and_stay_unknown),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
