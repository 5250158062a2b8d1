/* Going to the background: the parent stays until the child says it is ready, prints what it says and ends. Before any
 * thread is started. */
#pragma once

/* In the child: returns a descriptor for detach_ready; standard output and error go to `log_path`. The parent does not
 * return. Negative errno when it cannot be done. */
int detach(const char *log_path);
/* Sends the line to the waiting parent and lets it go. */
void detach_ready(int fd, const char *line);
