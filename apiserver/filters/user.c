/* Users, however they were recognised. */
#include "apiserver/filters/authn.h"
#include "base/str.h"

bool user_in_group(const UserInfo *user, const char *group) {
    return user->groups && str_in(group, user->groups);
}

UserInfo *user_info_new(Arena *arena, const char *name, const char *uid, const char *const *groups) {
    size_t n = 0;
    while (groups && groups[n])
        n++;
    const char **all = arena_alloc0(arena, (n + 2) * sizeof(char *));
    bool seen = false;
    for (size_t i = 0; i < n; i++) {
        all[i] = arena_strdup(arena, groups[i]);
        seen |= streq(groups[i], "system:authenticated");
    }
    if (!seen)
        all[n] = "system:authenticated";
    UserInfo *user = ARENA_NEW0(arena, UserInfo);
    *user = (UserInfo){.name = arena_strdup(arena, name), .uid = arena_strdup(arena, uid), .groups = all};
    return user;
}
