/* References and WWW-Authenticate headers from outside; a normalised reference is its own normal form. */
#include "base/str.h"
#include "kubelet/pull/challenge.h"
#include "kubelet/images/images.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = xstrndup((const char *)data, size);
    Challenge challenge;
    if (challenge_parse(text, &challenge) == 0)
        challenge_done(&challenge);
    char *once = NULL, *twice = NULL;
    if (image_reference_normalize(text, &once) == 0 &&
        (image_reference_normalize(once, &twice) < 0 || !streq(once, twice)))
        abort();
    free(once);
    free(twice);
    free(text);
    return 0;
}
