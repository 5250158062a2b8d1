/* ConfigMaps, secrets and service accounts. */
#include "api/json.h"
#include "api/member_index.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/key_pair.h"
#include "apiserver/registry/kinds.h"
#include "base/str.h"

#define DATA_MAX (1024 * 1024) /* MaxSecretSize of the reference */
#define ENFORCE_MOUNTABLE "kubernetes.io/enforce-mountable-secrets"
#define IS_IMMUTABLE "field is immutable when `immutable` is set"

/* Bytes that base64 text stands for. */
static size_t decoded_size(const Value *text) {
    size_t n = text && text->type == VALUE_STRING ? text->len : 0, padding = 0;
    while (padding < 2 && n > padding && text->string[n - 1 - padding] == '=')
        padding++;
    return n / 4 * 3 - padding;
}

static void check_keys(FieldErrors *errors, const Value *data, const Value *other, const FieldPath *path) {
    _cleanup_member_index_ MemberIndex others = member_index_new(other);
    VALUE_FOREACH_MEMBER (m, data) {
        FieldPath at = FIELD_KEY(path, m->name);
        field_check_name(errors, &at, m->name, name_config_key);
        if (member_index_find(&others, m->name))
            field_invalid_str(errors, &at, m->name, "duplicate of key present in binaryData");
    }
}

static void config_map_validate(_unused_ StrategyContext *context, const Value *map, FieldErrors *errors) {
    const Value *data = value_get(map, "data"), *binary = value_get(map, "binaryData");
    FieldPath data_at = FIELD(NULL, "data"), binary_at = FIELD(NULL, "binaryData"), whole = FIELD_KEY(NULL, "");
    size_t size = 0;
    check_keys(errors, data, binary, &data_at);
    check_keys(errors, binary, NULL, &binary_at);
    VALUE_FOREACH_MEMBER (m, data)
        size += m->value->len;
    VALUE_FOREACH_MEMBER (m, binary)
        size += decoded_size(m->value);
    if (size > DATA_MAX)
        field_too_long(errors, &whole, DATA_MAX);
}

static void check_immutable_data(const Value *object, const Value *old, const char *const *members,
                                 FieldErrors *errors) {
    FieldPath immutable_at = FIELD(NULL, "immutable");
    if (!value_get_bool(old, "immutable", false))
        return;
    if (!value_get_bool(object, "immutable", false))
        field_forbidden(errors, &immutable_at, IS_IMMUTABLE);
    for (; *members; members++) {
        FieldPath at = FIELD(NULL, *members);
        if (!same_value(value_get(object, *members), value_get(old, *members)))
            field_forbidden(errors, &at, IS_IMMUTABLE);
    }
}

static void config_map_validate_update(StrategyContext *context, const Value *map, const Value *old,
                                       FieldErrors *errors) {
    static const char *const MEMBERS[] = {"data", "binaryData", NULL};
    check_immutable_data(map, old, MEMBERS, errors);
    config_map_validate(context, map, errors);
}

/* stringData is write-only: its texts become data. */
static void secret_set_defaults(Arena *arena, Value *secret) {
    const Value *plain = value_get(secret, "stringData");
    if (value_len(plain)) {
        Value *data = value_ensure_object(arena, secret, "data");
        _cleanup_member_index_ MemberIndex present = member_index_new(data);
        VALUE_FOREACH_MEMBER (m, plain) {
            _cleanup_buf_ Buf encoded = BUF_INIT(BUF_NO_LIMIT);
            if (!value_str(m->value))
                continue;
            base64_encode(&encoded, m->value->string, m->value->len);
            Value *text = value_string_n(arena, encoded.data ? encoded.data : "", encoded.len);
            Member *there = member_index_find(&present, m->name);
            if (there)
                there->value = text;
            else
                value_add(arena, data, m->name, text);
        }
    }
    value_remove(secret, "stringData");
}

static void secret_prepare_for_update(StrategyContext *context, Value *secret, const Value *old) {
    if (!*text_at(secret, "type"))
        value_set_str(context->arena, secret, "type", text_at(old, "type"));
}

static void require_key(FieldErrors *errors, const Value *data, const char *key) {
    FieldPath data_at = FIELD(NULL, "data"), at = FIELD_KEY(&data_at, key);
    if (!value_get(data, key))
        field_required(errors, &at, "");
}

/* The contents never stand in a message. */
static void check_docker_config(FieldErrors *errors, const Value *data, const char *key) {
    const Value *text = value_get(data, key);
    FieldPath data_at = FIELD(NULL, "data"), at = FIELD_KEY(&data_at, key);
    _cleanup_free_ uint8_t *bytes = NULL;
    char *message = NULL;
    Value *parsed = NULL;
    size_t n = 0;
    require_key(errors, data, key);
    if (!value_str(text) || base64_decode(text->string, text->len, &bytes, &n) < 0)
        return;
    if (json_parse(errors->arena, (const char *)bytes, n, &parsed, NULL, &message) < 0) {
        field_invalid_str(errors, &at, "<secret contents redacted>", "%s", str_or(message, "invalid JSON"));
        return;
    }
    if (parsed->type != VALUE_OBJECT && parsed->type != VALUE_NULL)
        field_invalid_str(errors, &at, "<secret contents redacted>",
                          "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                          value_json_kind(parsed));
}

static void check_secret_type(FieldErrors *errors, const Value *secret, const Value *data) {
    const char *type = text_at(secret, "type");
    FieldPath meta_at = FIELD(NULL, "metadata"), annotations_at = FIELD(&meta_at, "annotations"),
              account_at = FIELD_KEY(&annotations_at, "kubernetes.io/service-account.name"),
              data_at = FIELD(NULL, "data"), key_at = FIELD_KEY(&data_at, "ssh-privatekey");
    if (streq(type, "kubernetes.io/service-account-token")) {
        if (str_empty(annotation_of(secret, "kubernetes.io/service-account.name")))
            field_required(errors, &account_at, "");
    } else if (streq(type, "kubernetes.io/dockercfg"))
        check_docker_config(errors, data, ".dockercfg");
    else if (streq(type, "kubernetes.io/dockerconfigjson"))
        check_docker_config(errors, data, ".dockerconfigjson");
    else if (streq(type, "kubernetes.io/basic-auth")) {
        if (!value_get(data, "username") && !value_get(data, "password")) {
            require_key(errors, data, "username");
            require_key(errors, data, "password");
        }
    } else if (streq(type, "kubernetes.io/ssh-auth")) {
        if (value_is_empty(value_get(data, "ssh-privatekey")))
            field_required(errors, &key_at, "");
    } else if (streq(type, "kubernetes.io/tls")) {
        require_key(errors, data, "tls.crt");
        require_key(errors, data, "tls.key");
    }
}

static void secret_validate(_unused_ StrategyContext *context, const Value *secret, FieldErrors *errors) {
    const Value *data = value_get(secret, "data");
    FieldPath data_at = FIELD(NULL, "data");
    size_t size = 0;
    check_keys(errors, data, NULL, &data_at);
    VALUE_FOREACH_MEMBER (m, data)
        size += decoded_size(m->value);
    if (size > DATA_MAX)
        field_too_long(errors, &data_at, DATA_MAX);
    check_secret_type(errors, secret, data);
}

static void secret_validate_update(StrategyContext *context, const Value *secret, const Value *old,
                                   FieldErrors *errors) {
    static const char *const MEMBERS[] = {"data", NULL};
    check_immutable(errors, secret, old, "type", NULL);
    check_immutable_data(secret, old, MEMBERS, errors);
    secret_validate(context, secret, errors);
}

static void secret_bytes(const Value *secret, const char *key, uint8_t **ret, size_t *ret_n) {
    const Value *text = value_get(value_get(secret, "data"), key);
    if (!value_str(text) || base64_decode(text->string, text->len, ret, ret_n) < 0)
        *ret_n = 0;
}

static void secret_warn(StrategyContext *context, const Value *secret) {
    _cleanup_free_ uint8_t *certificate = NULL, *key = NULL;
    size_t certificate_len = 0, key_len = 0;
    if (!text_is(secret, "type", "kubernetes.io/tls"))
        return;
    secret_bytes(secret, "tls.crt", &certificate, &certificate_len);
    secret_bytes(secret, "tls.key", &key, &key_len);
    const char *wrong = key_pair_error(context->arena, certificate, certificate_len, key, key_len);
    if (wrong)
        strategy_warn(context, "%s", wrong);
    if (key)
        wipe(key, key_len);
}

static void secret_warn_update(StrategyContext *context, const Value *secret, _unused_ const Value *old) {
    secret_warn(context, secret);
}

/* Of a reference to a secret only the name is kept. */
static void account_clean(StrategyContext *context, Value *account) {
    Value *secrets = value_get(account, "secrets");
    for (size_t i = 0; i < value_len(secrets); i++) {
        Value *name = value_get(value_at(secrets, i), "name"), *reference = value_object(context->arena);
        if (name)
            value_set(context->arena, reference, "name", name);
        secrets->items[i] = reference;
    }
}

static void account_prepare_for_update(StrategyContext *context, Value *account, _unused_ const Value *old) {
    account_clean(context, account);
}

static void account_warn(StrategyContext *context, const Value *account) {
    if (annotation_of(account, ENFORCE_MOUNTABLE))
        strategy_warn(context, "metadata.annotations[" ENFORCE_MOUNTABLE
                               "]: deprecated in v1.32+; prefer separate namespaces to "
                               "isolate access to mounted secrets");
}

static void account_warn_update(StrategyContext *context, const Value *account, const Value *old) {
    if (!annotation_of(old, ENFORCE_MOUNTABLE))
        account_warn(context, account);
}

static const Strategy ROWS[] = {
    {
        .group = "",
        .plural = "configmaps",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .validate = config_map_validate,
        .validate_update = config_map_validate_update,
    },
    {
        .group = "",
        .plural = "secrets",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .validates_update_alone = true,
        .set_defaults = secret_set_defaults,
        .prepare_for_update = secret_prepare_for_update,
        .validate = secret_validate,
        .validate_update = secret_validate_update,
        .warn_create = secret_warn,
        .warn_update = secret_warn_update,
    },
    {
        .group = "",
        .plural = "serviceaccounts",
        .revalidates_meta = true,
        .allow_unconditional_update = true,
        .prepare_for_create = account_clean,
        .prepare_for_update = account_prepare_for_update,
        .warn_create = account_warn,
        .warn_update = account_warn_update,
        .return_deleted_object = true,
    },
};
const StrategyTable strategies_config = {ROWS, ELEMENTSOF(ROWS)};
