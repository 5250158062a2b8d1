/* What the fields that every kind has are for, in this project's words: `kubectl explain` shows it. */
#pragma once

/* `schema`: the full name of the type the field is in; any type for apiVersion, kind and metadata. NULL: no text. */
const char *openapi_field_text(const char *schema, const char *field);
/* Of a type itself. NULL: no text. */
const char *openapi_type_text(const char *schema);
