/* The machine's own IPv4 address: of the interface that the default route leaves by, or of the first that is up and not
 * loopback; "127.0.0.1" when there is none. Allocated. Any thread. */
#pragma once

char *host_address(void);
