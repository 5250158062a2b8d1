/* The verbs of `lighter`: one file each, one row each in main.c. A verb gets its own argv (argv[0] is the verb) and
 * returns the exit status: 0 done, 1 failed (it said why), 2 used wrongly. */
#pragma once

int verb_up(int argc, char **argv);
int verb_down(int argc, char **argv);
int verb_status(int argc, char **argv);
int verb_image(int argc, char **argv);
int verb_version(int argc, char **argv);
