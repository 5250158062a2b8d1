/* Is this the build under the address sanitizer? gcc and clang each have a word of their own for it. */
#pragma once

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ && !defined ADDRESS_SANITIZER
#define ADDRESS_SANITIZER 1
#endif
