/* A registry over HTTP: Docker Registry HTTP API V2 / OCI distribution 1.0, read only. One object serves one pull on
 * one thread. Credentials are sent to the registry and to the token server it names, over TLS (or plain HTTP where the
 * registry itself may be plain), and never to where a redirect leads. */
#pragma once

#include "kubelet/unpack/digest.h"
#include "kubelet/images/reference.h"
#include "kubelet/images/store.h"

typedef struct Registry Registry;

#define REGISTRY_CONNECT_SECONDS 15
#define REGISTRY_REDIRECTS_MAX 5
#define REGISTRY_ATTEMPTS 3 /* when the network or the server fails in a way that may pass */
#define REGISTRY_ERROR_MAX 65536
#define REGISTRY_TOKEN_MAX (1024 * 1024)

int registry_open(const ImageStore *store, const ImageReference *reference, Registry **ret, char **ret_error);
void registry_close(Registry *registry);
DEFINE_CLEANUP(Registry, registry_close)
/* Credentials for what follows; NULL: none. Borrowed. */
void registry_set_auth(Registry *registry, const RegistryAuth *auth);

/* A manifest by tag or digest; checked against the digest when it is one. -ENOENT, -EACCES, -ETIMEDOUT, -EHOSTUNREACH,
 * -EBADMSG. */
int registry_manifest(Registry *registry, const char *tag_or_digest, Buf *ret_body, char digest[DIGEST_TEXT + 1],
                      char **ret_error);
/* A blob of a known digest and size into a file, resumed where a connection broke. */
int registry_blob(Registry *registry, const char *digest, uint64_t size, int fd, image_progress_fn progress,
                  void *userdata, char **ret_error);
