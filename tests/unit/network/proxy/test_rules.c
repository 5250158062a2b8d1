/* What Services ask of the packet filter, in the words it is asked with. */
#include "network/proxy/table.h"

#include "api/json.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const ProxySettings settings = {.table = "t",
                                       .node_name = "n1",
                                       .zone = "z1",
                                       .node_ip = "192.0.2.1",
                                       .cluster_cidr = "10.1.0.0/16",
                                       .service_cidr = "10.96.0.0/16"};

static Object *object(const char *group, const char *plural, const char *json) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    Value *v;
    assert_int_equal(json_parse(arena, json, strlen(json), &v, NULL, NULL), 0);
    return object_from_value(resource_find(group, "v1", plural), v);
}

static Object *service(const char *spec) {
    _cleanup_free_ char *json = xasprintf(
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"namespace\":\"ns\",\"name\":\"s\"},%s}", spec);
    return object("", "services", json);
}

/* Endpoints: "ADDRESS NODE STATE [zone]" each; r ready, t ends but serves, d neither. */
static Object *slice(const char *const *endpoints) {
    _cleanup_buf_ Buf json = BUF_INIT(65536);
    buf_puts(&json,
             "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"ns\","
             "\"name\":\"s-1\",\"labels\":{\"kubernetes.io/service-name\":\"s\"}},\"addressType\":\"IPv4\","
             "\"ports\":[{\"name\":\"p\",\"port\":8080,\"protocol\":\"TCP\"},"
             "{\"name\":\"u\",\"port\":53,\"protocol\":\"UDP\"}],\"endpoints\":[");
    for (size_t i = 0; endpoints[i]; i++) {
        char ip[32], node[16], state[4], zone[16] = "";
        int n = sscanf(endpoints[i], "%31s %15s %3s %15s", ip, node, state, zone);
        buf_printf(&json,
                   "%s{\"addresses\":[\"%s\"],\"nodeName\":\"%s\",\"conditions\":{\"ready\":%s,\"serving\":%s,"
                   "\"terminating\":%s}",
                   i ? "," : "", ip, node, *state == 'r' ? "true" : "false", *state == 'd' ? "false" : "true",
                   *state == 't' ? "true" : "false");
        if (n == 4)
            buf_printf(&json, ",\"hints\":{\"forZones\":[{\"name\":\"%s\"}]}", zone);
        buf_puts(&json, "}");
    }
    buf_puts(&json, "]}");
    return object("discovery.k8s.io", "endpointslices", json.data);
}

/* Everything as text, a line an item; digests of names are left out to be read by people. */
static char *text_of(const char *spec, const char *const *endpoints) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *s = service(spec), *e = endpoints ? slice(endpoints) : NULL;
    ServiceView view;
    RuleList rules = {0};
    _cleanup_buf_ Buf all = BUF_INIT(65536), out = BUF_INIT(65536);
    service_view(arena, s, &view);
    service_rules(arena, &settings, &view, &e, e ? 1 : 0, &rules);
    for (size_t i = 0; i < rules.n; i++) {
        const Rule *r = &rules.items[i];
        if (r->kind == RULE_ELEMENT)
            buf_printf(&all, "%s { %s%s }\n", r->name, r->key, r->text);
        else
            buf_printf(&all, "%s %s {\n%s}\n", r->kind == RULE_CHAIN ? "chain" : "set", r->name, r->text);
    }
    for (const char *p = all.data ? all.data : ""; *p; p++) {
        size_t digits = strspn(p, "0123456789abcdef");
        if (digits == 16 && p[16] == '-' && p > all.data && p[-1] == '-') {
            buf_puts(&out, "#");
            p += 15;
        } else
            buf_putc(&out, *p);
    }
    return xstrdup(out.data ? out.data : "");
}

static void expect_text(const char *spec, const char *const *endpoints, const char *want) {
    _cleanup_free_ char *got = text_of(spec, endpoints);
    assert_string_equal(got, want);
}

#define TWO ((const char *const[]){"10.1.0.5 n1 r", "10.1.1.5 n2 r", NULL})

static void a_cluster_ip(void **state) {
    (void)state;
    expect_text("\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"name\":\"p\",\"port\":80,\"targetPort\":\"x\"}]}",
                TWO,
                "chain service-#-ns/s/tcp/p {\nmeta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : "
                "10.1.0.5 . 8080, 1 : 10.1.1.5 . 8080 }\n}\n"
                "cluster-ips { 10.96.0.9 }\n"
                "service-ips { 10.96.0.9 . tcp . 80 : goto service-#-ns/s/tcp/p }\n"
                "hairpin-connections { 10.1.0.5 . 10.1.0.5 . tcp . 8080 }\n");
}

static void without_endpoints(void **state) {
    (void)state;
    static const char *const none[] = {"10.1.0.5 n1 d", NULL};
    const char *spec =
                   "\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"name\":\"p\",\"port\":80,"
                   "\"nodePort\":30001}]}",
               *want = "cluster-ips { 10.96.0.9 }\n"
                       "no-endpoint-services { 10.96.0.9 . tcp . 80 : goto reject-chain }\n"
                       "no-endpoint-nodeports { tcp . 30001 : goto reject-chain }\n";
    expect_text(spec, NULL, want);
    expect_text(spec, none, want);
}

static void nothing_to_proxy(void **state) {
    (void)state;
    expect_text("\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"name\":\"p\",\"port\":80}]}", TWO, "");
    expect_text("\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"example.org\"}", NULL, "");
    expect_text("\"spec\":{\"clusterIP\":\"fd00::1\",\"ports\":[{\"name\":\"p\",\"port\":80}]}", TWO, "");
}

static void another_proxy(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    _cleanup_object_ Object *s = object(
        "", "services",
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"namespace\":\"ns\",\"name\":\"s\",\"labels\":"
        "{\"service.kubernetes.io/"
        "service-proxy-name\":\"x\"}},\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"port\":80}]}}");
    ServiceView view;
    RuleList rules = {0};
    service_view(arena, s, &view);
    service_rules(arena, &settings, &view, NULL, 0, &rules);
    assert_int_equal(rules.n, 0);
}

static void affinity(void **state) {
    (void)state;
    static const char *const one[] = {"10.1.1.5 n2 r", NULL};
    expect_text(
        "\"spec\":{\"clusterIP\":\"10.96.0.9\",\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":"
        "{\"clientIP\":{\"timeoutSeconds\":60}},\"ports\":[{\"name\":\"p\",\"port\":80}]}",
        one,
        "chain service-#-ns/s/tcp/p {\nip saddr @affinity-#-ns/s/tcp/p__10.1.1.5/8080/60 goto "
        "endpoint-#-ns/s/tcp/p__10.1.1.5/8080\nnumgen random mod 1 vmap { 0 : goto "
        "endpoint-#-ns/s/tcp/p__10.1.1.5/8080 }\n}\n"
        "set affinity-#-ns/s/tcp/p__10.1.1.5/8080/60 {\ntype ipv4_addr ; flags dynamic,timeout ; timeout 60s ;}\n"
        "chain endpoint-#-ns/s/tcp/p__10.1.1.5/8080 {\nupdate @affinity-#-ns/s/tcp/p__10.1.1.5/8080/60 { ip "
        "saddr }\nmeta l4proto tcp dnat to 10.1.1.5:8080\n}\n"
        "cluster-ips { 10.96.0.9 }\n"
        "service-ips { 10.96.0.9 . tcp . 80 : goto service-#-ns/s/tcp/p }\n");
}

/* The policy Local keeps the source and stays on the node; what starts here may go anywhere. */
static void external_local(void **state) {
    (void)state;
    const char *spec =
        "\"spec\":{\"type\":\"LoadBalancer\",\"externalTrafficPolicy\":\"Local\",\"clusterIP\":\"10.96.0.9\","
        "\"ports\":[{\"name\":\"p\",\"port\":80,\"nodePort\":30001}]},"
        "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.9\"},{\"ip\":\"192.0.2.10\",\"ipMode\":"
        "\"Proxy\"}]}}";
    expect_text(
        spec, TWO,
        "chain service-#-ns/s/tcp/p {\nmeta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : "
        "10.1.0.5 . 8080, 1 : 10.1.1.5 . 8080 }\n}\n"
        "chain local-#-ns/s/tcp/p {\nmeta l4proto tcp dnat ip addr . port to numgen random mod 1 map { 0 : "
        "10.1.0.5 . 8080 }\n}\n"
        "chain external-#-ns/s/tcp/p {\nip saddr 10.1.0.0/16 goto service-#-ns/s/tcp/p comment \"short-circuit pod "
        "traffic\"\nfib saddr type local mark set mark or 0x4000 comment \"masquerade local traffic\"\nfib saddr "
        "type local goto service-#-ns/s/tcp/p comment \"short-circuit local traffic\"\ngoto local-#-ns/s/tcp/p\n}\n"
        "cluster-ips { 10.96.0.9 }\n"
        "service-ips { 10.96.0.9 . tcp . 80 : goto service-#-ns/s/tcp/p }\n"
        "service-ips { 192.0.2.9 . tcp . 80 : goto external-#-ns/s/tcp/p }\n"
        "service-nodeports { tcp . 30001 : goto external-#-ns/s/tcp/p }\n"
        "hairpin-connections { 10.1.0.5 . 10.1.0.5 . tcp . 8080 }\n");
    static const char *const elsewhere[] = {"10.1.1.5 n2 r", NULL};
    _cleanup_free_ char *text = text_of(spec, elsewhere);
    assert_non_null(strstr(text, "no-endpoint-nodeports { tcp . 30001 : drop }\n"));
    assert_non_null(strstr(text, "no-endpoint-services { 192.0.2.9 . tcp . 80 : drop }\n"));
    assert_non_null(strstr(text, "service-ips { 10.96.0.9 . tcp . 80 : goto service-#-ns/s/tcp/p }\n"));
    assert_null(strstr(text, "goto local-"));
}

static void internal_local(void **state) {
    (void)state;
    static const char *const elsewhere[] = {"10.1.1.5 n2 r", NULL};
    const char *spec =
        "\"spec\":{\"internalTrafficPolicy\":\"Local\",\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"name\":\"p\","
        "\"port\":80}]}";
    expect_text(spec, elsewhere, "cluster-ips { 10.96.0.9 }\nno-endpoint-services { 10.96.0.9 . tcp . 80 : drop }\n");
    _cleanup_free_ char *text = text_of(spec, TWO);
    assert_non_null(strstr(text, "service-ips { 10.96.0.9 . tcp . 80 : goto local-#-ns/s/tcp/p }\n"));
    assert_non_null(strstr(text, "mod 1 map { 0 : 10.1.0.5 . 8080 }"));
}

static void external_cluster_is_masqueraded(void **state) {
    (void)state;
    _cleanup_free_ char *text =
        text_of("\"spec\":{\"clusterIP\":\"10.96.0.9\",\"externalIPs\":[\"198.51.100.7\",\"bad\"],"
                "\"ports\":[{\"name\":\"u\",\"port\":53,\"protocol\":\"UDP\"}]}",
                TWO);
    assert_non_null(
        strstr(text, "chain external-#-ns/s/udp/u {\nmark set mark or 0x4000\ngoto service-#-ns/s/udp/u\n}\n"));
    assert_non_null(strstr(text, "service-ips { 198.51.100.7 . udp . 53 : goto external-#-ns/s/udp/u }\n"));
    assert_null(strstr(text, "bad"));
}

static void source_ranges(void **state) {
    (void)state;
    _cleanup_free_ char *text =
        text_of("\"spec\":{\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.0.9\",\"loadBalancerSourceRanges\":"
                "[\"203.0.113.0/24\",\"192.0.2.0/24\"],\"ports\":[{\"name\":\"p\",\"port\":80}]},"
                "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.51.100.9\"}]}}",
                TWO);
    /* the node's own address is in the second range: its own requests to the address may come from the address */
    assert_non_null(strstr(text, "chain firewall-#-ns/s/tcp/p {\nip saddr != { 203.0.113.0/24, 192.0.2.0/24, "
                                 "198.51.100.9 } drop\n}\n"));
    assert_non_null(strstr(text, "firewall-ips { 198.51.100.9 . tcp . 80 : goto firewall-#-ns/s/tcp/p }\n"));
}

static bool leads_to(const char *const *endpoints, const char *ip) {
    _cleanup_free_ char *text =
        text_of("\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"name\":\"p\",\"port\":80}]}", endpoints);
    _cleanup_free_ char *element = xasprintf(" : %s . 8080", ip);
    return strstr(text, element) != NULL;
}

/* Pods that end serve on when nobody else does. */
static void terminating(void **state) {
    (void)state;
    static const char *const both[] = {"10.1.0.5 n1 t", "10.1.1.5 n2 r", NULL};
    static const char *const only[] = {"10.1.0.5 n1 t", "10.1.1.5 n2 d", NULL};
    assert_false(leads_to(both, "10.1.0.5"));
    assert_true(leads_to(both, "10.1.1.5"));
    assert_true(leads_to(only, "10.1.0.5"));
    assert_false(leads_to(only, "10.1.1.5"));
}

/* Zone hints count when all have one and one is ours. */
static void topology(void **state) {
    (void)state;
    static const char *const hinted[] = {"10.1.0.5 n1 r z1", "10.1.1.5 n2 r z2", NULL};
    static const char *const partly[] = {"10.1.0.5 n1 r z1", "10.1.1.5 n2 r", NULL};
    static const char *const others[] = {"10.1.0.5 n1 r z2", "10.1.1.5 n2 r z2", NULL};
    assert_true(leads_to(hinted, "10.1.0.5") && !leads_to(hinted, "10.1.1.5"));
    assert_true(leads_to(partly, "10.1.0.5") && leads_to(partly, "10.1.1.5"));
    assert_true(leads_to(others, "10.1.0.5") && leads_to(others, "10.1.1.5"));
}

static void health_counts_addresses_once(void **state) {
    (void)state;
    _cleanup_arena_ Arena *arena = arena_new(0);
    static const char *const endpoints[] = {"10.1.0.5 n1 r", "10.1.0.6 n1 r", "10.1.0.7 n1 t", "10.1.1.5 n2 r", NULL};
    _cleanup_object_ Object *s =
                                service("\"spec\":{\"clusterIP\":\"10.96.0.9\",\"ports\":[{\"name\":\"p\",\"port\":80},"
                                        "{\"name\":\"u\",\"port\":53,\"protocol\":\"UDP\"}]}"),
                            *e = slice(endpoints);
    ServiceView view;
    service_view(arena, s, &view);
    assert_int_equal(service_local_ready(arena, &settings, &view, &e, 1), 2);
}

/* ---- the table ---- */

static char *round_of(ProxyTable *table, const char *key, const RuleList *rules, bool want_held) {
    char *script = NULL;
    bool freed;
    proxy_table_begin(table);
    assert_int_equal(proxy_table_set(table, key, rules), want_held);
    assert_int_equal(proxy_table_script(table, 1, &script, &freed), 0);
    return script;
}

static void only_what_differs_is_written(void **state) {
    (void)state;
    _cleanup_(proxy_table_freep) ProxyTable *table = proxy_table_new("t");
    Rule items[] = {{RULE_CHAIN, "c1", NULL, "a\nb\n"},
                    {RULE_SET, "s1", NULL, "type ipv4_addr ;"},
                    {RULE_ELEMENT, "m", "k1", " : goto c1"},
                    {RULE_ELEMENT, "ips", "1.2.3.4", ""}};
    RuleList rules = {.items = items, .n = ELEMENTSOF(items)};
    _cleanup_free_ char *first = round_of(table, "ns/a", &rules, true), *again = round_of(table, "ns/a", &rules, true);
    assert_string_equal(first, "add chain ip t c1\nadd set ip t s1 { type ipv4_addr ; }\nflush chain ip t c1\n"
                               "add rule ip t c1 a\nadd rule ip t c1 b\nadd element ip t m { k1 : goto c1 }\n"
                               "add element ip t ips { 1.2.3.4 }\n");
    assert_null(again);
    items[0].text = "b\n";
    items[2].text = " : drop";
    _cleanup_free_ char *changed = round_of(table, "ns/a", &rules, true);
    assert_string_equal(changed, "add chain ip t c1\nflush chain ip t c1\ndelete element ip t m { k1 }\n"
                                 "add rule ip t c1 b\nadd element ip t m { k1 : drop }\n");
    _cleanup_free_ char *gone = round_of(table, "ns/a", &(RuleList){0}, true);
    assert_string_equal(gone, "flush chain ip t c1\ndelete element ip t m { k1 }\ndelete element ip t ips { 1.2.3.4 }\n"
                              "delete set ip t s1\n");
    uint64_t next;
    assert_null(proxy_table_sweep(table, 1, &next));
    assert_int_equal(next, 1 + PROXY_STALE_NS);
    _cleanup_free_ char *swept = proxy_table_sweep(table, next, &next);
    assert_string_equal(swept, "delete chain ip t c1\n");
    assert_int_equal(next, 0);
}

/* Pods of two Services hairpin by the same element; an address cannot lead to both. */
static void elements_of_two(void **state) {
    (void)state;
    _cleanup_(proxy_table_freep) ProxyTable *table = proxy_table_new("t");
    Rule a[] = {{RULE_ELEMENT, "h", "x", ""}, {RULE_ELEMENT, "m", "k", " : goto a"}},
         b[] = {{RULE_ELEMENT, "h", "x", ""}, {RULE_ELEMENT, "m", "k", " : goto b"}};
    RuleList of_a = {.items = a, .n = 2}, of_b = {.items = b, .n = 2};
    _cleanup_free_ char *one = round_of(table, "ns/a", &of_a, true), *two = round_of(table, "ns/b", &of_b, false);
    assert_null(two);
    char *script = NULL;
    bool freed = false;
    proxy_table_begin(table);
    assert_true(proxy_table_set(table, "ns/a", &(RuleList){0}));
    assert_int_equal(proxy_table_script(table, 1, &script, &freed), 0);
    assert_string_equal(script, "delete element ip t m { k }\n");
    assert_true(freed);
    free(script);
    _cleanup_free_ char *then = round_of(table, "ns/b", &of_b, true);
    assert_string_equal(then, "add element ip t m { k : goto b }\n");
}

/* A new process keeps sets it still wants, with the clients in them, and clears away the rest. */
static void what_is_there_is_taken_over(void **state) {
    (void)state;
    _cleanup_(proxy_table_freep) ProxyTable *table = proxy_table_new("t");
    const char *const chains[] = {"services", "service-0123456789abcdef-old", "service-0123456789abcdee-kept", NULL},
                      *const sets[] = {"cluster-ips", "affinity-0123456789abcdef-old", "affinity-0123456789abcdee-kept",
                                       NULL};
    Rule items[] = {{RULE_CHAIN, chains[2], NULL, "r\n"}, {RULE_SET, sets[2], NULL, "x"}};
    char *script = NULL;
    bool freed;
    proxy_table_begin(table);
    proxy_table_reset(table, &settings, chains, sets);
    assert_true(proxy_table_set(table, "ns/a", &(RuleList){.items = items, .n = 2}));
    assert_int_equal(proxy_table_script(table, 1, &script, &freed), 0);
    assert_non_null(strstr(script, "flush chain ip t service-0123456789abcdef-old\n"));
    assert_non_null(strstr(script, "delete set ip t affinity-0123456789abcdef-old\n"));
    assert_null(strstr(script, "delete set ip t affinity-0123456789abcdee-kept"));
    assert_null(strstr(script, "delete set ip t cluster-ips"));
    assert_non_null(strstr(script, "flush map ip t service-ips\n"));
    assert_non_null(strstr(script, "add element ip t nodeport-ips { 192.0.2.1 }\n"));
    free(script);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_ip),
        cmocka_unit_test(without_endpoints),
        cmocka_unit_test(nothing_to_proxy),
        cmocka_unit_test(another_proxy),
        cmocka_unit_test(affinity),
        cmocka_unit_test(external_local),
        cmocka_unit_test(internal_local),
        cmocka_unit_test(external_cluster_is_masqueraded),
        cmocka_unit_test(source_ranges),
        cmocka_unit_test(terminating),
        cmocka_unit_test(topology),
        cmocka_unit_test(health_counts_addresses_once),
        cmocka_unit_test(only_what_differs_is_written),
        cmocka_unit_test(elements_of_two),
        cmocka_unit_test(what_is_there_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
