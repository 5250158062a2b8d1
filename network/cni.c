#include "network/cni.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "loop/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CNI_VERSION "1.0.0"
#define LOCK_POLL_US 5000

static void json_unref(json_t **j) {
    json_decref(*j);
}
#define _cleanup_json_ _cleanup_(json_unref)

void cni_result_done(CniResult *result) {
    for (size_t i = 0; i < result->n_ips; i++)
        free(result->ips[i]);
    free(result->ips);
    *result = (CniResult){0};
}

static int fail(char **ret_error, int r, char *message) {
    if (ret_error)
        *ret_error = message;
    else
        free(message);
    return r;
}

static int is_config(const struct dirent *e) {
    return str_has_suffix(e->d_name, ".conflist") || str_has_suffix(e->d_name, ".conf") ||
           str_has_suffix(e->d_name, ".json");
}

static int list_check(const json_t *list, const char *where, char **ret_error) {
    const json_t *plugins = json_object_get(list, "plugins");
    if (!json_is_string(json_object_get(list, "name")) || json_array_size(plugins) == 0)
        return fail(ret_error, -EINVAL, xasprintf("%s: a CNI network list needs a name and plugins", where));
    size_t i;
    json_t *plugin;
    json_array_foreach(plugins, i, plugin) {
        const char *type = json_string_value(json_object_get(plugin, "type"));
        if (str_empty(type) || strchr(type, '/'))
            return fail(ret_error, -EINVAL, xasprintf("%s: plugin %zu has no valid type", where, i));
    }
    return 0;
}

/* The list, one plugin on its own made a list of one. */
static int config_parse(const char *text, size_t n, const char *where, json_t **ret, char **ret_error) {
    json_error_t e;
    _cleanup_json_ json_t *conf = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_object(conf))
        return fail(ret_error, -EINVAL,
                    xasprintf("%s: not a CNI network list: %s", where, conf ? "not an object" : e.text));
    if (json_is_string(json_object_get(conf, "type")) && !json_object_get(conf, "plugins")) {
        json_t *list = json_pack("{s:O?, s:O?, s:[O]}", "cniVersion", json_object_get(conf, "cniVersion"), "name",
                                 json_object_get(conf, "name"), "plugins", conf);
        json_decref(conf);
        conf = list;
    }
    int r = list_check(conf, where, ret_error);
    if (r == 0)
        *ret = TAKE_PTR(conf);
    return r;
}

static int config_load(const CniNetwork *network, json_t **ret, char **ret_error) {
    struct dirent **names;
    int n = network->conf_dir ? scandir(network->conf_dir, &names, is_config, alphasort) : 0;
    if (n <= 0) {
        if (n == 0 && network->conf_dir)
            free(names);
        return fail(
            ret_error, -ENOENT,
            xasprintf("no CNI network configuration in %s", network->conf_dir ? network->conf_dir : "(no folder set)"));
    }
    _cleanup_free_ char *path = xasprintf("%s/%s", network->conf_dir, names[0]->d_name);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = fs_read_file(path, CNI_CONFIG_MAX, &text, &len);
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", path, strerror(-r)));
    return config_parse(text, len, path, ret, ret_error);
}

int cni_status(const CniNetwork *network, char **ret_error) {
    _cleanup_json_ json_t *conf = NULL;
    return config_load(network, &conf, ret_error);
}

static char *find_plugin(const char *bin_dir, const char *type) {
    for (const char *p = bin_dir; *p;) {
        size_t n = strcspn(p, ":");
        _cleanup_free_ char *path = xasprintf("%.*s/%s", (int)n, p, type);
        if (n && access(path, X_OK) == 0)
            return TAKE_PTR(path);
        p += n + (p[n] == ':');
    }
    return NULL;
}

static json_t *ports_json(const CniAttachment *at) {
    json_t *ports = json_array();
    for (size_t i = 0; i < at->n_ports; i++)
        json_array_append_new(ports,
                              json_pack("{s:i, s:i, s:s, s:s}", "hostPort", at->ports[i].host_port, "containerPort",
                                        at->ports[i].container_port, "protocol", at->ports[i].protocol, "hostIP",
                                        at->ports[i].host_ip ? at->ports[i].host_ip : ""));
    return ports;
}

/* What one plugin reads: its own object with what the list and the moment add. */
static char *plugin_input(const json_t *list, const json_t *plugin, const json_t *ports, json_t *previous) {
    _cleanup_json_ json_t *conf = json_copy((json_t *)plugin);
    json_object_set(conf, "name", json_object_get(list, "name"));
    json_t *version = json_object_get(list, "cniVersion");
    json_object_set_new(conf, "cniVersion", version ? json_incref(version) : json_string(CNI_VERSION));
    json_t *capabilities = json_object_get(plugin, "capabilities");
    json_object_del(conf, "capabilities");
    if (json_is_true(json_object_get(capabilities, "portMappings")) && json_array_size(ports))
        json_object_set_new(conf, "runtimeConfig", json_pack("{s:O}", "portMappings", ports));
    if (previous)
        json_object_set(conf, "prevResult", previous);
    return json_dumps(conf, JSON_COMPACT);
}

/* portmap without mappings only hands prevResult on (and on DEL looks for rules that cannot be there): not worth a
 * process. */
static bool plugin_has_nothing_to_do(const json_t *plugin, const json_t *ports) {
    return streq(json_string_value(json_object_get(plugin, "type")), "portmap") && json_array_size(ports) == 0;
}

static int plugin_error(const ProcessResult *result, const char *type, const char *command, char **ret_error) {
    _cleanup_json_ json_t *answer = json_loadb(result->out.data ? result->out.data : "", result->out.len, 0, NULL);
    const char *message = json_string_value(json_object_get(answer, "msg"));
    const char *details = json_string_value(json_object_get(answer, "details"));
    _cleanup_free_ char *lower = xstrdup(command);
    for (char *p = lower; *p; p++)
        *p |= 0x20;
    if (message)
        return fail(ret_error, -EIO,
                    xasprintf("plugin type=\"%s\" failed (%s): %s%s%s", type, lower, message,
                              str_empty(details) ? "" : "; ", str_or(details, "")));
    return fail(ret_error, -EIO,
                xasprintf("plugin type=\"%s\" failed (%s): wait status %d: %.512s", type, lower, result->status,
                          result->err.data ? result->err.data : ""));
}

static int plugin_run(const CniNetwork *network, const CniAttachment *at, const char *type, const char *command,
                      const char *input, json_t **ret, char **ret_error) {
    _cleanup_free_ char *path = find_plugin(network->bin_dir, type);
    if (!path)
        return fail(ret_error, -ENOENT, xasprintf("the CNI plugin \"%s\" is not in %s", type, network->bin_dir));
    _cleanup_free_ char *e_command = xasprintf("CNI_COMMAND=%s", command);
    _cleanup_free_ char *e_id = xasprintf("CNI_CONTAINERID=%s", at->container_id);
    _cleanup_free_ char *e_netns = xasprintf("CNI_NETNS=%s", at->netns_path ? at->netns_path : "");
    _cleanup_free_ char *e_interface = xasprintf("CNI_IFNAME=%s", str_or(at->interface, "eth0"));
    _cleanup_free_ char *e_args =
        at->pod_name
            ? xasprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;"
                        "K8S_POD_UID=%s",
                        str_or(at->pod_namespace, ""), at->pod_name, at->container_id, str_or(at->pod_uid, ""))
            : xstrdup("CNI_ARGS=");
    _cleanup_free_ char *e_path = xasprintf("CNI_PATH=%s", network->bin_dir);
    const char *env[] = {e_command,
                         e_id,
                         e_netns,
                         e_interface,
                         e_args,
                         e_path,
                         "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         NULL};
    const char *argv[] = {path, NULL};
    _cleanup_process_result_ ProcessResult result = {0};
    int r = process_run(&(ProcessSpec){.argv = argv,
                                       .env = env,
                                       .input = input,
                                       .input_len = strlen(input),
                                       .timeout_ns = CNI_TIMEOUT_SECONDS * NS_PER_SEC},
                        &result);
    if (r < 0)
        return fail(ret_error, r, xasprintf("CNI plugin \"%s\": %s", type, strerror(-r)));
    if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != 0)
        return plugin_error(&result, type, command, ret_error);
    if (!ret)
        return 0;
    json_error_t e;
    json_t *answer = json_loadb(result.out.data ? result.out.data : "", result.out.len, 0, &e);
    if (!json_is_object(answer)) {
        json_decref(answer);
        return fail(ret_error, -EIO,
                    xasprintf("CNI plugin \"%s\" answered with something that is not JSON: %s", type, e.text));
    }
    *ret = answer;
    return 0;
}

static char *cache_path(const CniNetwork *network, const CniAttachment *at) {
    return xasprintf("%s/%s-%s", network->cache_dir, at->container_id, str_or(at->interface, "eth0"));
}

static char *lock_path(const CniNetwork *network, const CniAttachment *at) {
    return xasprintf("%s/.%s-%s.lock", network->cache_dir, at->container_id, str_or(at->interface, "eth0"));
}

/* Not synced: after a power failure no namespace is left that would have to be detached. */
static char *cache_temporary(const char *path) {
    return xasprintf("%s.tmp", path);
}

static int cache_write(const CniNetwork *network, const CniAttachment *at, json_t *list, json_t *ports,
                       json_t *result) {
    int r = fs_mkdir_p(network->cache_dir, 0700);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *cache = json_pack("{s:O, s:O, s:O?}", "config", list, "ports", ports, "result", result);
    _cleanup_free_ char *text = json_dumps(cache, JSON_COMPACT);
    _cleanup_free_ char *path = cache_path(network, at);
    _cleanup_free_ char *temporary = cache_temporary(path);
    _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t n = strlen(text);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, n);
    if (written != (ssize_t)n || rename(temporary, path) < 0) {
        r = written >= 0 && written != (ssize_t)n ? -ENOSPC : -errno;
        unlink(temporary);
        return r;
    }
    return 0;
}

static int cache_read(const CniNetwork *network, const CniAttachment *at, json_t **ret) {
    _cleanup_free_ char *path = cache_path(network, at);
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = fs_read_file(path, CNI_CONFIG_MAX * 2, &text, &n);
    if (r < 0)
        return r;
    json_t *cache = json_loadb(text, n, 0, NULL);
    r = list_check(json_object_get(cache, "config"), path, NULL);
    if (r < 0) {
        json_decref(cache);
        return r;
    }
    *ret = cache;
    return 0;
}

static int result_parse(const json_t *result, CniResult *ret, char **ret_error) {
    const json_t *ips = json_object_get(result, "ips");
    CniResult out = {.ips = NEWN0(char *, json_array_size(ips) + 1)};
    size_t i;
    json_t *ip;
    json_array_foreach(ips, i, ip) {
        const char *address = json_string_value(json_object_get(ip, "address"));
        if (address)
            out.ips[out.n_ips++] = xstrndup(address, strcspn(address, "/"));
    }
    if (!out.n_ips) {
        cni_result_done(&out);
        return fail(ret_error, -EIO, xstrdup("the CNI plugins gave the pod no address"));
    }
    *ret = out;
    return 0;
}

/* One at a time for an attachment, beyond the life of this process: plugins inherit the descriptor, so that a DEL waits
 * for those that an agent left running when it was killed. */
static int attachment_lock(const CniNetwork *network, const CniAttachment *at, int *ret, char **ret_error) {
    _cleanup_free_ char *path = lock_path(network, at);
    int r = fs_mkdir_p(network->cache_dir, 0700);
    int fd = r == 0 ? open(path, O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0)
        return fail(ret_error, r < 0 ? r : -errno, xasprintf("%s: %s", path, strerror(r < 0 ? -r : errno)));
    uint64_t deadline = now_monotonic_ns() + CNI_TIMEOUT_SECONDS * NS_PER_SEC;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || now_monotonic_ns() > deadline) {
            r = errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
            close(fd);
            return fail(ret_error, r, xasprintf("%s: %s", path, strerror(-r)));
        }
        usleep(LOCK_POLL_US);
    }
    *ret = fd;
    return 0;
}

static int del_locked(const CniNetwork *network, const CniAttachment *at, char **ret_error);

int cni_add(const CniNetwork *network, const CniAttachment *at, CniResult *ret, char **ret_error) {
    _cleanup_json_ json_t *list = NULL;
    int r = config_load(network, &list, ret_error);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *ports = ports_json(at), *result = NULL;
    _cleanup_close_ int lock = -1;
    r = attachment_lock(network, at, &lock, ret_error);
    if (r < 0)
        return r;
    /* Before the first plugin runs: a crash in between must leave something to undo. */
    r = cache_write(network, at, list, ports, NULL);
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", network->cache_dir, strerror(-r)));
    size_t i;
    json_t *plugin;
    json_array_foreach(json_object_get(list, "plugins"), i, plugin) {
        if (plugin_has_nothing_to_do(plugin, ports))
            continue;
        _cleanup_free_ char *input = plugin_input(list, plugin, ports, result);
        json_t *answer = NULL;
        r = plugin_run(network, at, json_string_value(json_object_get(plugin, "type")), "ADD", input, &answer,
                       ret_error);
        if (r < 0)
            break;
        json_decref(result);
        result = answer;
    }
    if (r == 0)
        r = result_parse(result, ret, ret_error);
    if (r == 0) {
        r = cache_write(network, at, list, ports, result);
        if (r == 0)
            return 0;
        cni_result_done(ret);
        fail(ret_error, r, xasprintf("%s: %s", network->cache_dir, strerror(-r)));
    }
    _cleanup_free_ char *undo = NULL;
    if (del_locked(network, at, &undo) < 0)
        log_warn("undoing the network of %s: %s", at->container_id, undo ? undo : "failed");
    return r;
}

int cni_check(const CniNetwork *network, const CniAttachment *at, char **ret_error) {
    _cleanup_json_ json_t *cache = NULL;
    int r = cache_read(network, at, &cache);
    if (r < 0)
        return fail(ret_error, r, xasprintf("no network is known for %s", at->container_id));
    json_t *list = json_object_get(cache, "config"), *ports = json_object_get(cache, "ports");
    if (json_is_true(json_object_get(list, "disableCheck")))
        return 0;
    size_t i;
    json_t *plugin;
    json_array_foreach(json_object_get(list, "plugins"), i, plugin) {
        if (plugin_has_nothing_to_do(plugin, ports))
            continue;
        _cleanup_free_ char *input = plugin_input(list, plugin, ports, json_object_get(cache, "result"));
        r = plugin_run(network, at, json_string_value(json_object_get(plugin, "type")), "CHECK", input, NULL,
                       ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

int cni_del(const CniNetwork *network, const CniAttachment *at, char **ret_error) {
    _cleanup_free_ char *path = cache_path(network, at);
    if (!fs_exists(path))
        return 0;
    _cleanup_close_ int lock = -1;
    int r = attachment_lock(network, at, &lock, ret_error);
    return r < 0 ? r : del_locked(network, at, ret_error);
}

static int del_locked(const CniNetwork *network, const CniAttachment *at, char **ret_error) {
    _cleanup_json_ json_t *cache = NULL;
    _cleanup_free_ char *path = cache_path(network, at), *temporary = cache_temporary(path);
    _cleanup_free_ char *lock = lock_path(network, at);
    (void)unlink(temporary); /* an agent was killed while it wrote this */
    int r = cache_read(network, at, &cache);
    if (r == -ENOENT) {
        (void)unlink(lock);
        return 0;
    }
    if (r < 0)
        return fail(ret_error, r, xasprintf("%s: %s", path, strerror(-r)));
    json_t *list = json_object_get(cache, "config"), *ports = json_object_get(cache, "ports");
    json_t *result = json_object_get(cache, "result");
    json_t *plugins = json_object_get(list, "plugins");
    for (size_t i = json_array_size(plugins); i-- > 0;) {
        json_t *plugin = json_array_get(plugins, i);
        if (plugin_has_nothing_to_do(plugin, ports))
            continue;
        _cleanup_free_ char *input = plugin_input(list, plugin, ports, result);
        r = plugin_run(network, at, json_string_value(json_object_get(plugin, "type")), "DEL", input, NULL, ret_error);
        if (r < 0)
            return r;
    }
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    (void)unlink(lock);
    return 0;
}
