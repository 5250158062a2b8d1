/* What a client needs of a kubeconfig file: the server and the credentials of its current context. */
#pragma once

#include "base/mem.h"

#define KUBECONFIG_MAX (1024 * 1024) /* bytes of the file, and of each file it names */

typedef struct Kubeconfig {
    char *server;            /* "https://host:port" without a trailing slash */
    char *tls_server_name;   /* NULL: the host */
    char *ca_pem, *cert_pem; /* NULL: none */
    char *key_pem, *token;   /* secrets; NULL: none */
    char *token_file;        /* read again for each connection; NULL: none */
    bool insecure;
} Kubeconfig;

/* `context` NULL: the current one. *ret_error says what is wrong (owned by the caller) and never holds a secret. */
int kubeconfig_load(const char *path, const char *context, Kubeconfig *ret, char **ret_error);
void kubeconfig_done(Kubeconfig *config); /* wipes the secrets */
#define _cleanup_kubeconfig_ _cleanup_(kubeconfig_done)
