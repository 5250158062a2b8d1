/* What this server says it is. */
#pragma once

#ifndef LIGHTER_VERSION
#define LIGHTER_VERSION "0.1.0"
#endif
#define KUBERNETES_MAJOR "1"
#define KUBERNETES_MINOR "36"
#define KUBERNETES_OLDEST_MINOR "35" /* that it can stand in for */
#define KUBERNETES_VERSION "v1.36.3+lighter"
#define GO_VERSION "none"
