#include "kubelet/net_files.h"

#include "base/str.h"

#define HOSTNAME_MAX_LEN 63

typedef struct List {
    Arena *arena;
    const char **items;
    size_t n, max;
} List;

static List list_new(Arena *arena, size_t max) {
    return (List){.arena = arena, .items = arena_alloc0(arena, (max + 1) * sizeof(char *)), .max = max};
}

static void list_add(List *l, const char *s) {
    for (size_t i = 0; i < l->n; i++)
        if (streq(l->items[i], s))
            return;
    if (l->n < l->max)
        l->items[l->n++] = arena_strdup(l->arena, s);
}

/* A resolver option replaces an earlier one of the same name ("ndots:5" by "ndots:2"). */
static void option_add(List *l, const char *option) {
    size_t name = strcspn(option, ":");
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->items[i], option, name) == 0 && (l->items[i][name] == ':' || !l->items[i][name])) {
            l->items[i] = arena_strdup(l->arena, option);
            return;
        }
    list_add(l, option);
}

static void add_host_config(Arena *arena, const char *text, List *servers, List *searches, List *options) {
    char *copy = arena_strdup(arena, text), *line_state = NULL;
    for (char *line = strtok_r(copy, "\n", &line_state); line; line = strtok_r(NULL, "\n", &line_state)) {
        char *state = NULL, *word = strtok_r(line, " \t", &state), *value;
        if (!word || *word == '#' || *word == ';')
            continue;
        if (streq(word, "search"))
            searches->n = 0; /* the last search line counts, as resolv.conf(5) says */
        while ((value = strtok_r(NULL, " \t", &state))) {
            if (streq(word, "nameserver"))
                list_add(servers, value);
            else if (streq(word, "search"))
                list_add(searches, value);
            else if (streq(word, "options"))
                option_add(options, value);
        }
    }
}

void dns_config(Arena *arena, const Value *pod, const char *const *cluster_dns, const char *cluster_domain,
                const char *resolv_conf, DnsConfig *ret) {
    List servers = list_new(arena, DNS_SERVERS_MAX), searches = list_new(arena, DNS_SEARCHES_MAX),
         options = list_new(arena, DNS_SEARCHES_MAX);
    const Value *spec = value_get(pod, "spec"), *own = value_get(spec, "dnsConfig"), *item;
    const char *policy = str_or(value_get_str(spec, "dnsPolicy"), "ClusterFirst");
    bool cluster =
        streq(policy, "ClusterFirstWithHostNet") || (streq(policy, "ClusterFirst") && !pod_host_network(pod));
    if (cluster && cluster_dns && cluster_dns[0]) {
        for (size_t i = 0; cluster_dns[i]; i++)
            list_add(&servers, cluster_dns[i]);
        List ignored = list_new(arena, DNS_SEARCHES_MAX), host = list_new(arena, DNS_SEARCHES_MAX);
        if (!str_empty(cluster_domain)) {
            list_add(&searches, arena_printf(arena, "%s.svc.%s", pod_ns(pod), cluster_domain));
            list_add(&searches, arena_printf(arena, "svc.%s", cluster_domain));
            list_add(&searches, cluster_domain);
        }
        add_host_config(arena, resolv_conf, &ignored, &host, &ignored);
        for (size_t i = 0; i < host.n; i++)
            list_add(&searches, host.items[i]);
        option_add(&options, "ndots:5");
    } else if (!streq(policy, "None"))
        add_host_config(arena, resolv_conf, &servers, &searches, &options);
    VALUE_FOREACH (item, value_get(own, "nameservers"))
        if (value_str(item))
            list_add(&servers, value_str(item));
    VALUE_FOREACH (item, value_get(own, "searches"))
        if (value_str(item))
            list_add(&searches, value_str(item));
    VALUE_FOREACH (item, value_get(own, "options")) {
        const char *name = value_get_str(item, "name"), *value = value_get_str(item, "value");
        if (!str_empty(name))
            option_add(&options, str_empty(value) ? name : arena_printf(arena, "%s:%s", name, value));
    }
    *ret = (DnsConfig){servers.items, searches.items, options.items};
}

const char *pod_hostname(Arena *arena, const Value *pod, const char *node_name, const char *cluster_domain,
                         const char **ret_domain) {
    const Value *spec = value_get(pod, "spec");
    const char *override = value_get_str(spec, "hostnameOverride");
    *ret_domain = "";
    if (!str_empty(override))
        return override;
    if (pod_host_network(pod))
        return node_name;
    char *name = arena_strdup(arena, str_or(value_get_str(spec, "hostname"), pod_name(pod)));
    if (strlen(name) > HOSTNAME_MAX_LEN) {
        name[HOSTNAME_MAX_LEN] = 0;
        for (size_t n = HOSTNAME_MAX_LEN; n && (name[n - 1] == '-' || name[n - 1] == '.'); n--)
            name[n - 1] = 0;
    }
    const char *subdomain = value_get_str(spec, "subdomain");
    if (!str_empty(subdomain)) {
        *ret_domain =
            arena_printf(arena, "%s.%s.svc.%s", subdomain, pod_ns(pod), str_or(cluster_domain, "cluster.local"));
        if (value_get_bool(spec, "setHostnameAsFQDN", false))
            return arena_printf(arena, "%s.%s", name, *ret_domain);
    }
    return name;
}

void hosts_file(Buf *out, const Value *pod, const char *const *pod_ips, const char *hostname, const char *domain,
                const char *node_hosts) {
    if (pod_host_network(pod)) {
        buf_puts(out, "# Kubernetes-managed hosts file (host network).\n");
        buf_puts(out, str_or(node_hosts, ""));
    } else {
        buf_puts(out, "# Kubernetes-managed hosts file.\n"
                      "127.0.0.1\tlocalhost\n"
                      "::1\tlocalhost ip6-localhost ip6-loopback\n"
                      "fe00::0\tip6-localnet\n"
                      "fe00::0\tip6-mcastprefix\n"
                      "fe00::1\tip6-allnodes\n"
                      "fe00::2\tip6-allrouters\n");
        for (size_t i = 0; pod_ips && pod_ips[i]; i++)
            if (*domain)
                buf_printf(out, "%s\t%s.%s\t%s\n", pod_ips[i], hostname, domain, hostname);
            else
                buf_printf(out, "%s\t%s\n", pod_ips[i], hostname);
    }
    const Value *aliases = value_path(pod, "spec", "hostAliases", NULL), *alias, *name;
    if (value_len(aliases))
        buf_puts(out, "\n# Entries added by HostAliases.\n");
    VALUE_FOREACH (alias, aliases) {
        buf_puts(out, str_or(value_get_str(alias, "ip"), ""));
        VALUE_FOREACH (name, value_get(alias, "hostnames"))
            buf_printf(out, "\t%s", str_or(value_str(name), ""));
        buf_putc(out, '\n');
    }
}
