/* Who a container's process runs as: names are looked up in the image's own /etc/passwd and /etc/group. */
#pragma once

#include "base/mem.h"

#define USER_FILE_MAX (1024 * 1024)
#define USER_GROUPS_MAX 1024

typedef struct UserFiles { /* contents; NULL when the image has none */
    char *passwd, *group;
} UserFiles;
/* Reads both through the stacked layers (lowest first), as the container will see them, in a mount namespace that ends
 * with the call. No path leaves the layers. */
int user_files_read(char *const *layer_dirs, const char *scratch, UserFiles *ret);
void user_files_done(UserFiles *files);

typedef struct User {
    uint32_t uid, gid;
    uint32_t *groups; /* additional; owned */
    size_t n_groups;
    char *home; /* owned, NULL when unknown */
} User;
void user_done(User *user);

/* `user`: "", "name", "uid", "name:group", "uid:gid". Groups are those /etc/group lists for the user's name.
 * -ENOENT with the sentence containerd gives. */
int user_resolve(const UserFiles *files, const char *user, User *ret, char **ret_error);
void user_add_group(User *user, uint32_t gid);
