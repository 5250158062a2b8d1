#include "api/names.h"

#include <ctype.h>

#include "base/str.h"

#define LABEL_RE "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN_RE LABEL_RE "(\\." LABEL_RE ")*"
#define KEY_RE "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253

static void add(NameMessages *messages, const char *message) {
    if (messages->n < NAME_MESSAGES_MAX)
        messages->items[messages->n++] = message;
}

static void add_too_long(NameMessages *messages, const char *value, size_t max) {
    if (strlen(value) > max)
        add(messages, arena_printf(messages->arena, "must be no more than %zu characters", max));
}

/* The same of label keys and values, which the reference counts in bytes. */
static void add_too_many_bytes(NameMessages *messages, size_t n, size_t max, const char *prefix) {
    if (n > max)
        add(messages, arena_printf(messages->arena, "%smust be no more than %zu bytes", prefix, max));
}

static bool lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alnum(char c) {
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* LABEL_RE over s[0..n). */
static bool is_label(const char *s, size_t n) {
    if (n == 0 || !lower_or_digit(s[0]) || !lower_or_digit(s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!lower_or_digit(s[i]) && s[i] != '-')
            return false;
    return true;
}

static bool is_subdomain(const char *s) {
    for (;;) {
        const char *end = strchrnul(s, '.');
        if (!is_label(s, (size_t)(end - s)))
            return false;
        if (!*end)
            return true;
        s = end + 1;
    }
}

static bool is_key(const char *s) {
    size_t n = strlen(s);
    if (n == 0 || !alnum(s[0]) || !alnum(s[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!alnum(s[i]) && !strchr("-_.", s[i]))
            return false;
    return true;
}

static bool all_of(const char *s, const char *also) {
    for (; *s; s++)
        if (!alnum(*s) && !strchr(also, *s))
            return false;
    return true;
}

void name_dns_label(const char *value, NameMessages *messages) {
    add_too_long(messages, value, LABEL_MAX);
    if (is_label(value, strlen(value)))
        return;
    add(messages,
        is_subdomain(value)
            ? "must not contain dots"
            : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
              "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
              "'" LABEL_RE "')");
}

static void add_subdomain(NameMessages *messages, const char *value) {
    if (!is_subdomain(value))
        add(messages,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and "
            "end with an alphanumeric character (e.g. 'example.com', regex used for validation is '" SUBDOMAIN_RE "')");
}

void name_dns_subdomain(const char *value, NameMessages *messages) {
    add_too_long(messages, value, SUBDOMAIN_MAX);
    add_subdomain(messages, value);
}

void name_dns1035_label(const char *value, NameMessages *messages) {
    add_too_long(messages, value, LABEL_MAX);
    if (!is_label(value, strlen(value)) || isdigit((unsigned char)value[0]))
        add(messages,
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
}

void name_wildcard_subdomain(const char *value, NameMessages *messages) {
    add_too_long(messages, value, SUBDOMAIN_MAX);
    if (!str_has_prefix(value, "*.") || !is_subdomain(value + 2))
        add(messages,
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
            "'*.example.com', regex used for validation is '\\*\\." SUBDOMAIN_RE "')");
}

#define KEY_MESSAGE                                                                                                    \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" KEY_RE "')"

void name_qualified(const char *value, NameMessages *messages) {
    const char *slash = strchr(value, '/'), *name = slash ? slash + 1 : value;
    if (slash && strchr(slash + 1, '/')) {
        add(messages, "a valid label key " KEY_MESSAGE
                      " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
        return;
    }
    if (slash == value)
        add(messages, "prefix part must be non-empty");
    else if (slash) {
        NameMessages of_prefix = {.arena = messages->arena};
        const char *prefix = arena_strndup(messages->arena, value, (size_t)(slash - value));
        add_too_many_bytes(&of_prefix, strlen(prefix), SUBDOMAIN_MAX, "");
        add_subdomain(&of_prefix, prefix);
        for (size_t i = 0; i < of_prefix.n; i++)
            add(messages, arena_printf(messages->arena, "prefix part %s", of_prefix.items[i]));
    }
    if (!*name)
        add(messages, "name part must be non-empty");
    add_too_many_bytes(messages, strlen(name), LABEL_MAX, "name part ");
    if (!is_key(name))
        add(messages, "name part " KEY_MESSAGE);
}

void name_label_value(const char *value, NameMessages *messages) {
    add_too_many_bytes(messages, strlen(value), LABEL_MAX, "");
    if (*value && !is_key(value))
        add(messages,
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
            "for validation is '(" KEY_RE ")?')");
}

void name_port(const char *value, NameMessages *messages) {
    size_t n = strlen(value);
    bool letter = false, charset = n > 0;
    for (size_t i = 0; i < n; i++) {
        letter |= value[i] >= 'a' && value[i] <= 'z';
        charset &= lower_or_digit(value[i]) || value[i] == '-';
    }
    add_too_long(messages, value, 15);
    if (!charset)
        add(messages, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!letter)
        add(messages, "must contain at least one letter (a-z)");
    if (strstr(value, "--"))
        add(messages, "must not contain consecutive hyphens");
    if (n && (value[0] == '-' || value[n - 1] == '-'))
        add(messages, "must not begin or end with a hyphen");
}

void name_percent(const char *value, NameMessages *messages) {
    size_t digits = strspn(value, "0123456789");
    if (!digits || strcmp(value + digits, "%") != 0)
        add(messages,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')");
}

void name_http_header(const char *value, NameMessages *messages) {
    if (!*value || !all_of(value, "-"))
        add(messages,
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
            "validation is '[-A-Za-z0-9]+')");
}

static void add_parent_directory(const char *value, NameMessages *messages) {
    if (streq(value, "."))
        add(messages, "must not be '.'");
    else if (streq(value, ".."))
        add(messages, "must not be '..'");
    else if (str_has_prefix(value, ".."))
        add(messages, "must not start with '..'");
}

void name_env_var(const char *value, NameMessages *messages) {
    if (!*value)
        add(messages, "environment variable name must be non-empty");
    for (const char *p = value; *p; p++)
        if (*p < 0x20 || *p > 0x7E || *p == '=') {
            add(messages,
                "a valid environment variable name must consist only of printable ASCII characters other than '='");
            return;
        }
}

void name_env_var_strict(const char *value, NameMessages *messages) {
    if (!*value || isdigit((unsigned char)value[0]) || !all_of(value, "-._"))
        add(messages,
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and "
            "must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for "
            "validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')");
    add_parent_directory(value, messages);
}

void name_config_key(const char *value, NameMessages *messages) {
    add_too_long(messages, value, SUBDOMAIN_MAX);
    if (!*value || !all_of(value, "-._"))
        add(messages,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
    add_parent_directory(value, messages);
}

void name_c_identifier(const char *value, NameMessages *messages) {
    if (!*value || isdigit((unsigned char)value[0]) || !all_of(value, "_"))
        add(messages,
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
            "'[A-Za-z_][A-Za-z0-9_]*')");
}

void name_path_segment_prefix(const char *value, NameMessages *messages) {
    if (strchr(value, '/'))
        add(messages, "may not contain '/'");
    if (strchr(value, '%'))
        add(messages, "may not contain '%'");
}

void name_path_segment(const char *value, NameMessages *messages) {
    if (streq(value, ".") || streq(value, ".."))
        add(messages, arena_printf(messages->arena, "may not be '%s'", value));
    else
        name_path_segment_prefix(value, messages);
}

char *name_messages_text(const NameMessages *messages, const char *separator) {
    _cleanup_buf_ Buf out = BUF_INIT(BUF_NO_LIMIT);
    for (size_t i = 0; i < messages->n; i++)
        buf_printf(&out, "%s%s", i ? separator : "", messages->items[i]);
    return arena_strdup(messages->arena, str_or(out.data, ""));
}

bool name_is_valid(const char *value, name_check check) {
    _cleanup_arena_ Arena *arena = arena_new(0);
    NameMessages messages = {.arena = arena};
    check(value, &messages);
    return messages.n == 0;
}

void field_check_name(FieldErrors *errors, const FieldPath *path, const char *value, name_check check) {
    NameMessages messages = {.arena = errors->arena};
    check(value, &messages);
    for (size_t i = 0; i < messages.n; i++)
        field_invalid_str(errors, path, value, "%s", messages.items[i]);
}

void field_check_range(FieldErrors *errors, const FieldPath *path, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
        field_invalid(errors, path, value_int(errors->arena, value), "must be between %lld and %lld, inclusive",
                      (long long)low, (long long)high);
}

void field_check_port(FieldErrors *errors, const FieldPath *path, int64_t port) {
    field_check_range(errors, path, port, 1, 65535);
}

void field_check_labels(FieldErrors *errors, const FieldPath *path, const Value *labels) {
    VALUE_FOREACH_MEMBER (member, labels) {
        field_check_name(errors, path, member->name, name_qualified);
        field_check_name(errors, path, str_or(value_str(member->value), ""), name_label_value);
    }
}

static void check_requirement(FieldErrors *errors, const FieldPath *path, const Value *requirement) {
    FieldPath key = FIELD(path, "key"), op_path = FIELD(path, "operator"), values_path = FIELD(path, "values");
    const char *op = str_or(value_get_str(requirement, "operator"), "");
    const Value *values = value_get(requirement, "values");
    if (streq(op, "In") || streq(op, "NotIn")) {
        if (!value_len(values))
            field_required(errors, &values_path, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (streq(op, "Exists") || streq(op, "DoesNotExist")) {
        if (value_len(values))
            field_forbidden(errors, &values_path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else
        field_invalid_str(errors, &op_path, op, "not a valid selector operator");
    field_check_name(errors, &key, str_or(value_get_str(requirement, "key"), ""), name_qualified);
    for (size_t i = 0; i < value_len(values); i++) {
        FieldPath at = FIELD_INDEX(&values_path, i);
        field_check_name(errors, &at, str_or(value_str(value_at(values, i)), ""), name_label_value);
    }
}

void field_check_label_selector(FieldErrors *errors, const FieldPath *path, const Value *selector) {
    FieldPath labels = FIELD(path, "matchLabels"), expressions = FIELD(path, "matchExpressions");
    const Value *list = value_get(selector, "matchExpressions");
    field_check_labels(errors, &labels, value_get(selector, "matchLabels"));
    for (size_t i = 0; i < value_len(list); i++) {
        FieldPath at = FIELD_INDEX(&expressions, i);
        check_requirement(errors, &at, value_at(list, i));
    }
}
