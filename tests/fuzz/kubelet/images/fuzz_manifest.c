/* Manifests, indexes and configs of images. */
#include "base/str.h"
#include "kubelet/images/manifest.h"
#include "kubelet/images/reference.h"
#include "kubelet/images/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_json_ json_t *document = json_loadb((const char *)data, size, 0, NULL);
    Descriptor chosen, config;
    const json_t *layers = NULL;
    char *error = NULL;
    (void)manifest_is_index(document);
    int r = manifest_choose(document, &chosen, &error);
    if ((r < 0) != (error != NULL) || (r == 0 && !digest_is_valid(chosen.digest)))
        abort();
    free(error);
    error = NULL;
    r = manifest_check(document, &config, &layers, &error);
    if ((r < 0) != (error != NULL) || (r == 0 && !digest_is_valid(config.digest)))
        abort();
    free(error);
    error = NULL;
    r = store_config_layers(document, &layers, &error);
    if ((r < 0) != (error != NULL))
        abort();
    free(error);
    return 0;
}
