/* Authentication: who sends this request? A front proxy, by its certificate, names the user in X-Remote-User, -Group,
 * -Uid and -Extra-*; client certificates (CN is the name, each O a group), bearer tokens of the
 * static token file, service account JWTs, bootstrap tokens; no credentials at all is system:anonymous, whom the
 * authorizer lets nowhere but to health and version. Bad credentials are 401, also where anonymous would be let in, as
 * in the reference. Any thread. Reads the store; does not block on disk or network. */
#pragma once

#include "api/status.h"
#include "auth/jwt.h"
#include "apiserver/storage/store.h"
#include "client/api.h"
#include "http/server.h"

typedef struct Authenticator Authenticator;

typedef struct AuthnConfig {
    Store *store;
    const char *token_file;       /* CSV: token,user,uid[,"group1,group2"]; NULL: none */
    const char *const *issuers;   /* of service account tokens, as the next */
    const char *const *audiences; /* of this server, NULL-terminated; borrowed for the authenticator's life */
    const JwtKeys *keys;          /* borrowed likewise */
    const char *front_name; /* the one common name of a front proxy's certificate that is believed; NULL: none */
} AuthnConfig;

/* -ENOENT, -EBADMSG (and a log line) when the token file cannot be read. */
int authenticator_new(const AuthnConfig *config, Authenticator **ret);
void authenticator_free(Authenticator *authenticator);
DEFINE_CLEANUP(Authenticator, authenticator_free)

/* *ret and all it points to are in the arena. Failure: -EPERM with the 401 Status. Names groups as the reference:
 * system:authenticated is added for everyone but system:anonymous (group system:unauthenticated). */
int authenticate_request(Authenticator *authenticator, const HttpRequest *request, Arena *arena, UserInfo **ret,
                         ApiError *err);
/* The same from what was read of a request. `authorization` is the header's value, "" or NULL: none. `bearer_protocol`
 * is the Sec-WebSocket-Protocol header, in which browsers send their token; NULL: none. */
typedef struct Credentials {
    const char *common_name; /* of the verified client certificate; NULL: none */
    bool is_front;           /* it is of the front proxies' CA, and no user's */
    bool is_unknown;         /* one was shown that nobody vouches for */
    bool (*header_at)(const void *request, size_t index, const char **ret_name, const char **ret_value);
    const void *request; /* of header_at; both needed when is_front */
    const char *const *organizations;
    size_t n_organizations;
    const char *fingerprint; /* hex SHA-256 */
    const char *authorization, *websocket_protocols;
} Credentials;
int authenticate_credentials(Authenticator *authenticator, const Credentials *credentials, Arena *arena, UserInfo **ret,
                             ApiError *err);

/* For TokenReview: `audiences` NULL-terminated, NULL or empty: the server's. *ret_audiences are those the token is good
 * for. -EPERM and *ret_error (in the arena) in the reference's words. */
int authenticate_token(Authenticator *authenticator, const char *token, const char *const *audiences, Arena *arena,
                       UserInfo **ret, const char *const **ret_audiences, const char **ret_error);

/* A user in the arena with system:authenticated added. groups NULL-terminated, may be NULL. */
UserInfo *user_info_new(Arena *arena, const char *name, const char *uid, const char *const *groups);
bool user_in_group(const UserInfo *user, const char *group);
