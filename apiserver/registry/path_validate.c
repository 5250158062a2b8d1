/* Paths inside a volume or a container. */
#include "apiserver/registry/pod_validate.h"
#include "apiserver/registry/validate_util.h"

void backsteps_validate(FieldErrors *errors, const char *text, const FieldPath *path) {
    for (const char *part = text;;) {
        size_t n = strcspn(part, "/");
        if (n == 2 && part[0] == '.' && part[1] == '.') {
            field_invalid_str(errors, path, text, "must not contain '..'");
            return;
        }
        if (!part[n])
            return;
        part += n + 1;
    }
}

void relative_path_validate(FieldErrors *errors, const char *text, const FieldPath *path) {
    if (text[0] == '/')
        field_invalid_str(errors, path, text, "must be a relative path");
    backsteps_validate(errors, text, path);
}
