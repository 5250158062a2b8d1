/* Trees as YAML in the form of yaml.v3, which gnostic keeps values of any type in. Inside lib/api only: what the API
 * server answers is value_write_yaml's (value.h). */
#pragma once

#include "api/value.h"

/* As yaml.v3 writes a node that was read from JSON: members in their order, lists within objects indented, lines of any
 * length; but a key of several lines is quoted. Sets `failed` of the buffer past its limit. */
void value_write_yaml_node(Buf *out, const Value *v);
