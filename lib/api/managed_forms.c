#include "api/managed_forms.h"
#include "base/str.h"

#include <errno.h>

struct ManagedKnown {
    const Value *object;
    const char *api_version;
    ManagedForm form;
    struct ManagedKnown *next;
};

bool managed_same_form(const ManagedInput *input, const char *a, const char *b) {
    return !input->convert || streq(a, b);
}

int managed_form(ManagedForms *forms, const char *from, const char *to, const Value *object, const char *doing,
                 ManagedForm *ret, ApiError *err) {
    const ManagedInput *input = forms->input;
    _cleanup_api_error_ ApiError why = {0};
    ManagedForm form;
    if (!input->convert || (streq(from, to) && streq(to, input->api_version))) {
        *ret = (ManagedForm){.schema = input->schema, .value = (Value *)object};
        return 0;
    }
    for (const struct ManagedKnown *known = forms->known; known; known = known->next)
        if (known->object == object && streq(known->api_version, to)) {
            *ret = known->form;
            return 0;
        }
    int r = input->convert(input->userdata, forms->arena, from, to, object, &form.schema, &form.value, &why);
    if (r < 0)
        return r == -ENOENT ? r : api_error_set(err, 500, "", "%s%s", doing, str_or(why.message, strerror(-r)));
    struct ManagedKnown *known = ARENA_NEW0(forms->arena, struct ManagedKnown);
    *known = (struct ManagedKnown){.object = object, .api_version = to, .form = form, .next = forms->known};
    forms->known = known;
    *ret = form;
    return 0;
}
