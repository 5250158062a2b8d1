/* What this program is, and whose API it speaks. */
#pragma once

#define LIGHTER_VERSION "0.1.0"
#define KUBERNETES_VERSION "v1.36.3"
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "36"
#define KUBERNETES_OLDEST_MINOR "35" /* that it can stand in for */
#define GO_VERSION "none"            /* where the reference says which Go made it */
