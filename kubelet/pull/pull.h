/* A pull: what kubelet/images/images.h promises of image_pull, done by this very process. */
#pragma once

#include "kubelet/images/images.h"

int pull_image(ImageStore *store, const char *reference, const RegistryAuth *auths, size_t n_auths,
               image_progress_fn progress, void *userdata, Image **ret, char **ret_error);
