/* Regular expressions as Go's package regexp reads them (RE2's syntax, with the Perl flags of regexp.Compile), over
 * PCRE2. A pattern is parsed by Go's rules and written anew for PCRE2, so what only Perl has (look-around, back
 * references, possessive repetition) is refused in Go's words. PCRE2 backtracks where RE2 does not: what takes more
 * than GO_REGEXP_STEPS_MAX steps counts as no match, which such texts mostly are. (PCRE2's breadth-first matcher takes
 * cubic time for (a+)+, so it is no way out.) Immutable once made; any thread. */
#pragma once

#include "base/mem.h"

#define GO_REGEXP_PATTERN_MAX 4096  /* bytes */
#define GO_REGEXP_REPEAT_MAX 1000   /* as Go */
#define GO_REGEXP_DEPTH_MAX 250     /* parentheses within each other, PCRE2's default */
#define GO_REGEXP_STEPS_MAX 5000000 /* PCRE2's match limit: some tenths of a second */

typedef struct GoRegexp GoRegexp;

/* -EINVAL with *ret_error ("error parsing regexp: missing closing ): `a(b`"), owned by the caller; may be NULL. */
int go_regexp_compile(const char *pattern, GoRegexp **ret, char **ret_error);
void go_regexp_free(GoRegexp *regexp);
DEFINE_CLEANUP(GoRegexp, go_regexp_free)
/* Whether it matches anywhere in the text, which is UTF-8. */
bool go_regexp_matches(const GoRegexp *regexp, const char *text, size_t len);
