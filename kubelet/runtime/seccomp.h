/* Seccomp profiles for config.json (linux.seccomp of the OCI runtime specification). */
#pragma once

#include <jansson.h>

/* RuntimeDefault, as containerd's: system calls beyond the common ones are allowed with the capability that governs
 * them. `capabilities`: the container's bounding set ("CAP_SYS_ADMIN", ...), NULL-terminated. */
json_t *seccomp_default_profile(const char *const *capabilities);
/* A profile file (securityContext.seccompProfile.localhostProfile). -EINVAL with a sentence. */
int seccomp_load_profile(const char *path, json_t **ret, char **ret_error);
