/* The kinds of volumes that are of one vendor each, most of them served by CSI drivers today: what their sources must
 * say. `volume_kind_validate` finds a kind's row; the kinds with more to say are in volume_validate.c. */
#include <regex.h>

#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

#define PARTITION_MAX 255
#define LUN_MAX 255
#define TENANT_MAX 64

static void check_list(FieldErrors *errors, const Value *source, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (!value_len(value_get(source, name)))
        field_required(errors, &at, "");
}

static void check_secret_name(FieldErrors *errors, const Value *source, const char *name, const FieldPath *path) {
    FieldPath at = FIELD(path, name);
    if (value_get(source, name))
        member_required(errors, value_get(source, name), "name", &at);
}

static void check_partition(FieldErrors *errors, const Value *source, const FieldPath *path) {
    int64_t partition = value_get_int(source, "partition", 0);
    FieldPath at = FIELD(path, "partition");
    if (partition < 0 || partition > PARTITION_MAX)
        field_invalid(errors, &at, value_get(source, "partition"), "must be between 1 and 255, inclusive");
}

static void check_ebs(FieldErrors *errors, const Value *source, const FieldPath *path) {
    member_required(errors, source, "volumeID", path);
    check_partition(errors, source, path);
}

/* The reference names this one by its Go field. */
static void check_gce(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath at = FIELD(path->parent, "persistentDisk");
    member_required(errors, source, "pdName", &at);
    check_partition(errors, source, &at);
}

static void check_git(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath at = FIELD(path, "directory");
    member_required(errors, source, "repository", path);
    relative_path_validate(errors, text_of(source, "directory"), &at);
}

static bool matches(const char *text, const char *pattern) {
    regex_t regex;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static void check_initiator(FieldErrors *errors, const char *text, const FieldPath *path) {
    static const struct {
        const char *prefix, *pattern;
    } FORMATS[] = {{"iqn", "iqn\\.[0-9]{4}-[0-9]{2}\\.([[:alnum:].-]+)(:[^],;*&$|[:space:]]+)$"},
                   {"eui", "^eui.[[:alnum:]]{16}$"},
                   {"naa", "^naa.[[:alnum:]]{32}$"}};
    for (size_t i = 0; i < ELEMENTSOF(FORMATS); i++)
        if (str_has_prefix(text, FORMATS[i].prefix)) {
            if (!matches(text, FORMATS[i].pattern))
                field_invalid_str(errors, path, text, "must be valid format");
            return;
        }
    field_invalid_str(errors, path, text, "must be valid format starting with iqn, eui, or naa");
}

static void check_iscsi(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath iqn = FIELD(path, "iqn"), lun = FIELD(path, "lun"), secret = FIELD(path, "secretRef"),
              initiator = FIELD(path, "initiatorname");
    member_required(errors, source, "targetPortal", path);
    if (!*text_of(source, "iqn"))
        field_required(errors, &iqn, "");
    else
        check_initiator(errors, text_of(source, "iqn"), &iqn);
    field_check_range(errors, &lun, value_get_int(source, "lun", 0), 0, LUN_MAX);
    if ((value_get_bool(source, "chapAuthDiscovery", false) || value_get_bool(source, "chapAuthSession", false)) &&
        !value_get(source, "secretRef"))
        field_required(errors, &secret, "");
    if (value_get_str(source, "initiatorName"))
        check_initiator(errors, text_of(source, "initiatorName"), &initiator);
}

static void check_flocker(FieldErrors *errors, const Value *source, const FieldPath *path) {
    const char *name = text_of(source, "datasetName"), *uuid = text_of(source, "datasetUUID");
    FieldPath at = FIELD(path, "datasetName");
    if (!*name && !*uuid)
        field_required(errors, path, "one of datasetName and datasetUUID is required");
    if (*name && *uuid)
        field_invalid_str(errors, path, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    if (strchr(name, '/'))
        field_invalid_str(errors, &at, name, "must not contain '/'");
}

static void check_rbd(FieldErrors *errors, const Value *source, const FieldPath *path) {
    check_list(errors, source, "monitors", path);
    member_required(errors, source, "image", path);
}

static void check_cinder(FieldErrors *errors, const Value *source, const FieldPath *path) {
    member_required(errors, source, "volumeID", path);
    check_secret_name(errors, source, "secretRef", path);
}

static void check_cephfs(FieldErrors *errors, const Value *source, const FieldPath *path) {
    check_list(errors, source, "monitors", path);
}

/* net.SplitHostPort: one colon outside of brackets. */
static bool is_host_port(const char *text) {
    const char *colon = strrchr(text, ':'), *open = strchr(text, '['), *close = strchr(text, ']');
    if (!colon)
        return false;
    if (*text == '[')
        return close && close + 1 == colon && !strchr(text + 1, '[') && !strchr(close + 1, ']');
    return strchr(text, ':') == colon && !open && !close;
}

static void check_quobyte(FieldErrors *errors, const Value *source, const FieldPath *path) {
    static const char PAIRS[] = "must be a host:port pair or multiple pairs separated by commas";
    const char *registry = text_of(source, "registry");
    FieldPath at = FIELD(path, "registry"), tenant = FIELD(path, "tenant");
    size_t n;
    if (!*registry)
        field_required(errors, &at, PAIRS);
    else if (strlen(text_of(source, "tenant")) > TENANT_MAX)
        field_required(errors, &tenant, "must be a UUID and may not exceed a length of 64 characters");
    else {
        char **pairs = str_split(errors->arena, registry, ',', &n);
        for (size_t i = 0; i < n; i++)
            if (!is_host_port(pairs[i]))
                field_invalid_str(errors, &at, registry, "%s", PAIRS);
    }
    member_required(errors, source, "volume", path);
}

static void check_fc(FieldErrors *errors, const Value *source, const FieldPath *path) {
    const Value *targets = value_get(source, "targetWWNs"), *lun = value_get(source, "lun");
    FieldPath at = FIELD(path, "targetWWNs"), lun_at = FIELD(path, "lun");
    if (!value_len(targets) && !value_len(value_get(source, "wwids")))
        field_required(errors, &at, "must specify either targetWWNs or wwids, but not both");
    if (!value_len(targets))
        return;
    if (value_len(value_get(source, "wwids")))
        field_invalid(errors, &at, targets, "targetWWNs and wwids can not be specified simultaneously");
    if (!lun)
        field_required(errors, &lun_at, "lun is required if targetWWNs is specified");
    else
        field_check_range(errors, &lun_at, lun->integer, 0, LUN_MAX);
}

static void check_flex(FieldErrors *errors, const Value *source, const FieldPath *path) {
    FieldPath options = FIELD(path, "options");
    member_required(errors, source, "driver", path);
    VALUE_FOREACH_MEMBER (member, value_get(source, "options")) {
        char *space = arena_printf(errors->arena, ".%.*s", (int)strcspn(member->name, "/"), member->name);
        FieldPath at = FIELD_KEY(&options, member->name);
        for (char *p = space; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        if (str_has_suffix(space, ".kubernetes.io") || str_has_suffix(space, ".k8s.io"))
            field_invalid_str(errors, &at, member->name, "kubernetes.io and k8s.io namespaces are reserved");
    }
}

static void check_azure_disk(FieldErrors *errors, const Value *source, const FieldPath *path) {
    static const char *const CACHING[] = {"None", "ReadOnly", "ReadWrite", NULL}, *const KINDS[] = {"Dedicated",
                                                                                                    "Managed", "Shared",
                                                                                                    NULL};
    static const char *const MANAGED[] = {
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}", NULL};
    static const char *const BLOB[] = {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
                                       NULL};
    const char *uri = text_of(source, "diskURI"), *kind = value_get_str(source, "kind");
    FieldPath at = FIELD(path, "diskURI");
    bool managed = kind && streq(kind, "Managed");
    member_required(errors, source, "diskName", path);
    member_required(errors, source, "diskURI", path);
    member_one_of_if_set(errors, source, "cachingMode", CACHING, path);
    member_one_of_if_set(errors, source, "kind", KINDS, path);
    if (kind && !str_has_prefix(uri, managed ? "/subscriptions/" : "https://"))
        field_not_supported(errors, &at, value_string(errors->arena, uri), managed ? MANAGED : BLOB);
}

static void check_storageos(FieldErrors *errors, const Value *source, const FieldPath *path) {
    member_required(errors, source, "volumeName", path);
    member_name_if_set(errors, source, "volumeName", name_dns_label, path);
    member_name_if_set(errors, source, "volumeNamespace", name_dns_label, path);
    check_secret_name(errors, source, "secretRef", path);
}

static const struct {
    const char *kind;
    void (*check)(FieldErrors *errors, const Value *source, const FieldPath *path); /* NULL: what is required is all */
    const char *required[3];
} KINDS[] = {
    {"gitRepo", check_git, {0}},
    {"gcePersistentDisk", check_gce, {0}},
    {"awsElasticBlockStore", check_ebs, {0}},
    {"iscsi", check_iscsi, {0}},
    {"glusterfs", NULL, {"endpoints", "path"}},
    {"flocker", check_flocker, {0}},
    {"rbd", check_rbd, {0}},
    {"cinder", check_cinder, {0}},
    {"cephfs", check_cephfs, {0}},
    {"quobyte", check_quobyte, {0}},
    {"fc", check_fc, {0}},
    {"flexVolume", check_flex, {0}},
    {"azureFile", NULL, {"secretName", "shareName"}},
    {"vsphereVolume", NULL, {"volumePath"}},
    {"photonPersistentDisk", NULL, {"pdID"}},
    {"portworxVolume", NULL, {"volumeID"}},
    {"azureDisk", check_azure_disk, {0}},
    {"storageos", check_storageos, {0}},
    {"scaleIO", NULL, {"gateway", "system", "volumeName"}},
};

void volume_kind_validate(FieldErrors *errors, const char *kind, const Value *source, const FieldPath *path) {
    for (size_t i = 0; i < ELEMENTSOF(KINDS); i++) {
        if (!streq(KINDS[i].kind, kind))
            continue;
        if (KINDS[i].check)
            KINDS[i].check(errors, source, path);
        for (size_t k = 0; k < ELEMENTSOF(KINDS[i].required) && KINDS[i].required[k]; k++)
            member_required(errors, source, KINDS[i].required[k], path);
        return;
    }
}
