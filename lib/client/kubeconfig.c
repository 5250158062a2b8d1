#include "client/kubeconfig.h"

#include "api/json.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>

void kubeconfig_done(Kubeconfig *config) {
    free(config->server);
    free(config->tls_server_name);
    free(config->ca_pem);
    free(config->cert_pem);
    wipe_freep(&config->key_pem);
    wipe_freep(&config->token);
    free(config->token_file);
    *config = (Kubeconfig){0};
}

/* The member `inner` of the entry called `name` in a list such as clusters: [{name, cluster: {...}}]. */
static const Value *named_entry(const Value *list, const char *name, const char *inner) {
    Value *entry;
    VALUE_FOREACH (entry, list) {
        const char *entry_name = value_get_str(entry, "name");
        if (entry_name && streq(entry_name, name))
            return value_get(entry, inner);
    }
    return NULL;
}

/* Relative paths are relative to the kubeconfig's folder, as in client-go. */
static char *beside(const char *kubeconfig, const char *path) {
    const char *slash = strrchr(kubeconfig, '/');
    if (*path == '/' || !slash)
        return xstrdup(path);
    return xasprintf("%.*s/%s", (int)(slash - kubeconfig), kubeconfig, path);
}

/* `name`-data in base64, else the file `name`. Nothing of either: *ret stays NULL. */
static int load_pem(const char *kubeconfig, const Value *from, const char *name, char **ret, char **ret_error) {
    _cleanup_free_ char *data_name = xasprintf("%s-data", name);
    const char *data = value_get_str(from, data_name), *file = value_get_str(from, name);
    size_t n;
    if (!str_empty(data)) {
        uint8_t *decoded = NULL;
        if (base64_decode(data, strlen(data), &decoded, &n) < 0) {
            *ret_error = xasprintf("%s: %s is not base64", kubeconfig, data_name);
            return -EINVAL;
        }
        *ret = (char *)decoded;
        return 0;
    }
    if (str_empty(file))
        return 0;
    _cleanup_free_ char *path = beside(kubeconfig, file);
    int r = fs_read_file(path, KUBECONFIG_MAX, ret, &n);
    if (r < 0)
        *ret_error = xasprintf("%s: cannot read %s %s: %s", kubeconfig, name, path, strerror(-r));
    return r;
}

static int load_cluster(const char *path, const Value *cluster, Kubeconfig *config, char **ret_error) {
    const char *server = value_get_str(cluster, "server");
    if (str_empty(server)) {
        *ret_error = xasprintf("%s: the cluster has no server", path);
        return -EINVAL;
    }
    size_t n = strlen(server);
    while (n > 0 && server[n - 1] == '/')
        n--;
    config->server = xstrndup(server, n);
    config->insecure = value_get_bool(cluster, "insecure-skip-tls-verify", false);
    config->tls_server_name = xstrdup(value_get_str(cluster, "tls-server-name"));
    return load_pem(path, cluster, "certificate-authority", &config->ca_pem, ret_error);
}

static int load_user(const char *path, const Value *user, Kubeconfig *config, char **ret_error) {
    if (value_get(user, "exec") || value_get(user, "auth-provider")) {
        *ret_error = xasprintf("%s: credential plugins are not supported; use a certificate or a token", path);
        return -EOPNOTSUPP;
    }
    config->token = xstrdup(value_get_str(user, "token"));
    const char *token_file = value_get_str(user, "tokenFile");
    if (!str_empty(token_file))
        config->token_file = beside(path, token_file);
    int r = load_pem(path, user, "client-certificate", &config->cert_pem, ret_error);
    if (r >= 0)
        r = load_pem(path, user, "client-key", &config->key_pem, ret_error);
    return r;
}

static int load_context(const char *path, const Value *root, const char *context, Kubeconfig *config,
                        char **ret_error) {
    const char *name = str_or(context, value_get_str(root, "current-context"));
    if (str_empty(name)) {
        *ret_error = xasprintf("%s: no current-context", path);
        return -EINVAL;
    }
    const Value *entry = named_entry(value_get(root, "contexts"), name, "context");
    const char *cluster_name = value_get_str(entry, "cluster"), *user_name = value_get_str(entry, "user");
    const Value *cluster = cluster_name ? named_entry(value_get(root, "clusters"), cluster_name, "cluster") : NULL;
    if (!cluster) {
        *ret_error = xasprintf("%s: context \"%s\" names no known cluster", path, name);
        return -EINVAL;
    }
    int r = load_cluster(path, cluster, config, ret_error);
    if (r < 0)
        return r;
    const Value *user = user_name ? named_entry(value_get(root, "users"), user_name, "user") : NULL;
    return user ? load_user(path, user, config, ret_error) : 0;
}

int kubeconfig_load(const char *path, const char *context, Kubeconfig *ret, char **ret_error) {
    _cleanup_arena_ Arena *arena = arena_new(16 * KUBECONFIG_MAX);
    _cleanup_kubeconfig_ Kubeconfig config = {0};
    char *text = NULL, *message = NULL, *error = NULL;
    size_t n;
    Value *root = NULL;
    int r = fs_read_file(path, KUBECONFIG_MAX, &text, &n);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", path, strerror(-r));
        return r;
    }
    r = yaml_parse(arena, text, n, &root, NULL, &message);
    if (r < 0)
        error = xasprintf("%s: %s", path, message ? message : strerror(-r));
    else
        r = load_context(path, root, context, &config, &error);
    wipe(text, n);
    free(text);
    if (r < 0) {
        *ret_error = error;
        return r;
    }
    *ret = config;
    config = (Kubeconfig){0};
    return 0;
}
