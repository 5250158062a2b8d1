#include "apiserver/registry/webhook_validate.h"
#include "apiserver/registry/checks.h"
#include "apiserver/registry/go_url.h"
#include "base/str.h"

#define URL_FORM "; desired format: https://host[/path]"

static void check_url(FieldErrors *errors, const char *text, const FieldPath *path) {
    GoUrl url;
    const char *wrong = go_url_parse(errors->arena, text, &url);
    if (wrong) {
        field_required(errors, path, arena_printf(errors->arena, "url must be a valid URL: %s" URL_FORM, wrong));
        return;
    }
    if (!streq(url.scheme, "https"))
        field_invalid_str(errors, path, url.scheme, "'https' is the only allowed URL scheme" URL_FORM);
    if (!*url.host)
        field_invalid_str(errors, path, "", "host must be specified" URL_FORM);
    if (url.user)
        field_invalid_str(errors, path, url.user, "user information is not permitted in the URL");
    if (*url.fragment)
        field_invalid_str(errors, path, url.fragment, "fragments are not permitted in the URL");
    if (*url.query)
        field_invalid_str(errors, path, url.query, "query parameters are not permitted in the URL");
}

static void check_service_path(FieldErrors *errors, const char *url_path, const FieldPath *path) {
    size_t n = strlen(url_path), parts = 0;
    if (!n || streq(url_path, "/"))
        return;
    if (streq(url_path, "//")) {
        field_invalid_str(errors, path, url_path, "segment[0] may not be empty");
        return;
    }
    if (*url_path != '/')
        field_invalid_str(errors, path, url_path, "must start with a '/'");
    const char *text = arena_strndup(errors->arena, url_path + 1, n - 1 - (n > 1 && url_path[n - 1] == '/'));
    char **steps = str_split(errors->arena, text, '/', &parts);
    if (!parts)
        field_invalid_str(errors, path, url_path, "segment[0] may not be empty");
    for (size_t i = 0; i < parts; i++) {
        NameMessages messages = {.arena = errors->arena};
        if (!*steps[i]) {
            field_invalid_str(errors, path, url_path, "segment[%zu] may not be empty", i);
            continue;
        }
        name_dns_subdomain(steps[i], &messages);
        for (size_t k = 0; k < messages.n; k++)
            field_invalid_str(errors, path, url_path, "segment[%zu]: %s", i, messages.items[k]);
    }
}

void webhook_client_validate(FieldErrors *errors, const Value *client, const FieldPath *path) {
    const Value *service = value_get(client, "service");
    const char *url = value_get_str(client, "url");
    FieldPath url_at = FIELD(path, "url"), service_at = FIELD(path, "service"), path_at = FIELD(&service_at, "path"),
              port_at = FIELD(&service_at, "port"), name_at = FIELD(&service_at, "name"),
              namespace_at = FIELD(&service_at, "namespace");
    int64_t port = value_get_int(service, "port", 0);
    if ((url != NULL) == value_is(service, VALUE_OBJECT)) {
        field_required(errors, path, "exactly one of url or service is required");
        return;
    }
    if (url) {
        check_url(errors, url, &url_at);
        return;
    }
    /* The reference mixes the two up: a missing name is said to be of the namespace. */
    if (!*text_at(service, "namespace"))
        field_required(errors, &name_at, "");
    if (!*text_at(service, "name"))
        field_required(errors, &namespace_at, "");
    if (port < 1 || port > 65535)
        field_invalid(errors, &port_at, value_int(errors->arena, port),
                      "port is not valid: must be between 1 and 65535, inclusive");
    if (value_get_str(service, "path"))
        check_service_path(errors, text_at(service, "path"), &path_at);
}
