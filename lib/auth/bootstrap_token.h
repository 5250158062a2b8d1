/* Bootstrap tokens as they are kept: ID.SECRET in the Secret kube-system/bootstrap-token-ID (kubeadm's bootstrap token
 * API). */
#pragma once

#include "api/value.h"

#define BOOTSTRAP_TOKEN_NAMESPACE "kube-system"
#define BOOTSTRAP_TOKEN_PREFIX "bootstrap-token-" /* of the Secret's name, before the id */
#define BOOTSTRAP_TOKEN_TYPE "bootstrap.kubernetes.io/token"
#define BOOTSTRAP_TOKEN_ID_LEN 6
#define BOOTSTRAP_TOKEN_SECRET_LEN 16

/* A member of the Secret's data, decoded into the arena; "" when absent or not base64. */
const char *bootstrap_token_datum(Arena *arena, const Value *secret, const char *key);
