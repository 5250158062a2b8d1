/* One table for each message of OpenAPIv3.proto. Fields stand in the order of their numbers. */
#include "api/openapi_v3.h"
#include "api/openapi_messages.h"

static const OpenApiRow reference_rows[] = {
    {"$ref", 1, ROW_STRING}, {"summary", 2, ROW_STRING}, {"description", 3, ROW_STRING}};
static const OpenApiMessage reference = OPENAPI_MESSAGE(reference_rows, 0);

/* The message NAME: one `of`, or a reference to one. */
#define OR_REFERENCE(name, of_)                                                                                        \
    static const OpenApiRow name##_rows[] = {{NULL, 2, ROW_MESSAGE, &reference, "$ref", NULL},                         \
                                             {NULL, 1, ROW_MESSAGE, &(of_)}};                                          \
    static const OpenApiMessage name = OPENAPI_ONE_OF(name##_rows)
/* The message NAME: `of` by name. */
#define BY_NAME(name, of_)                                                                                             \
    static const OpenApiRow name##_rows[] = {{NULL, 1, ROW_NAMED, &(of_)}};                                            \
    static const OpenApiMessage name = OPENAPI_MESSAGE(name##_rows, 0)

static const OpenApiRow strings_rows[] = {{NULL, 1, ROW_NAMED_STRING}};
static const OpenApiMessage strings = OPENAPI_MESSAGE(strings_rows, 0);

static const OpenApiRow variable_rows[] = {
    {"enum", 1, ROW_STRINGS}, {"default", 2, ROW_STRING}, {"description", 3, ROW_STRING}};
static const OpenApiMessage variable = OPENAPI_MESSAGE(variable_rows, 4);
BY_NAME(variables, variable);

static const OpenApiRow server_rows[] = {
    {"url", 1, ROW_STRING}, {"description", 2, ROW_STRING}, {"variables", 3, ROW_MESSAGE, &variables}};
static const OpenApiMessage server = OPENAPI_MESSAGE(server_rows, 4);

static const OpenApiMessage schema;
OR_REFERENCE(schema_value, schema);
BY_NAME(schemas, schema_value);

static const OpenApiRow discriminator_rows[] = {{"propertyName", 1, ROW_STRING}, {"mapping", 2, ROW_MESSAGE, &strings}};
static const OpenApiMessage discriminator = OPENAPI_MESSAGE(discriminator_rows, 3);

static const OpenApiRow items_rows[] = {{NULL, 1, ROW_MESSAGES, &schema_value}};
static const OpenApiMessage items = OPENAPI_MESSAGE(items_rows, 0);

static const OpenApiRow additional_rows[] = {{NULL, 1, ROW_MESSAGE, &schema_value}, {NULL, 2, ROW_BOOL}};
static const OpenApiMessage additional = OPENAPI_ONE_OF(additional_rows);

static const OpenApiRow default_rows[] = {{NULL, 1, ROW_DOUBLE}, {NULL, 2, ROW_BOOL}, {NULL, 3, ROW_STRING}};
static const OpenApiMessage default_value = OPENAPI_ONE_OF(default_rows);

static const OpenApiRow schema_rows[] = {
    {"nullable", 1, ROW_BOOL},
    {"discriminator", 2, ROW_MESSAGE, &discriminator},
    {"readOnly", 3, ROW_BOOL},
    {"writeOnly", 4, ROW_BOOL},
    {"xml", 5, ROW_MESSAGE, &openapi_xml},
    {"externalDocs", 6, ROW_MESSAGE, &openapi_external_docs},
    {"example", 7, ROW_ANY},
    {"deprecated", 8, ROW_BOOL},
    {"title", 9, ROW_STRING},
    {"multipleOf", 10, ROW_DOUBLE},
    {"maximum", 11, ROW_DOUBLE},
    {"exclusiveMaximum", 12, ROW_BOOL},
    {"minimum", 13, ROW_DOUBLE},
    {"exclusiveMinimum", 14, ROW_BOOL},
    {"maxLength", 15, ROW_INT},
    {"minLength", 16, ROW_INT},
    {"pattern", 17, ROW_STRING},
    {"maxItems", 18, ROW_INT},
    {"minItems", 19, ROW_INT},
    {"uniqueItems", 20, ROW_BOOL},
    {"maxProperties", 21, ROW_INT},
    {"minProperties", 22, ROW_INT},
    {"required", 23, ROW_STRINGS},
    {"enum", 24, ROW_ANYS},
    {"type", 25, ROW_STRING},
    {"allOf", 26, ROW_MESSAGES, &schema_value},
    {"oneOf", 27, ROW_MESSAGES, &schema_value},
    {"anyOf", 28, ROW_MESSAGES, &schema_value},
    {"not", 29, ROW_MESSAGE, &schema},
    {"items", 30, ROW_MESSAGE, &items},
    {"properties", 31, ROW_MESSAGE, &schemas},
    {"additionalProperties", 32, ROW_MESSAGE, &additional},
    {"default", 33, ROW_MESSAGE, &default_value},
    {"description", 34, ROW_STRING},
    {"format", 35, ROW_STRING},
};
static const OpenApiMessage schema = OPENAPI_MESSAGE(schema_rows, 36);

static const OpenApiRow example_rows[] = {{"summary", 1, ROW_STRING},
                                          {"description", 2, ROW_STRING},
                                          {"value", 3, ROW_ANY},
                                          {"externalValue", 4, ROW_STRING}};
static const OpenApiMessage example = OPENAPI_MESSAGE(example_rows, 5);
OR_REFERENCE(example_value, example);
BY_NAME(examples, example_value);

static const OpenApiMessage media_type;
BY_NAME(media_types, media_type);

/* What headers and parameters have in common, from a number on. */
#define PARAMETER_ROWS(first)                                                                                          \
    {"description", first, ROW_STRING}, {"required", first + 1, ROW_BOOL}, {"deprecated", first + 2, ROW_BOOL},        \
        {"allowEmptyValue", first + 3, ROW_BOOL}, {"style", first + 4, ROW_STRING}, {"explode", first + 5, ROW_BOOL},  \
        {"allowReserved", first + 6, ROW_BOOL}, {"schema", first + 7, ROW_MESSAGE, &schema_value},                     \
        {"example", first + 8, ROW_ANY}, {"examples", first + 9, ROW_MESSAGE, &examples}, {                            \
        "content", first + 10, ROW_MESSAGE, &media_types                                                               \
    }
static const OpenApiRow header_rows[] = {PARAMETER_ROWS(1)};
static const OpenApiMessage header = OPENAPI_MESSAGE(header_rows, 12);
OR_REFERENCE(header_value, header);
BY_NAME(headers, header_value);

static const OpenApiRow parameter_rows[] = {{"name", 1, ROW_STRING}, {"in", 2, ROW_STRING}, PARAMETER_ROWS(3)};
static const OpenApiMessage parameter = OPENAPI_MESSAGE(parameter_rows, 14);
OR_REFERENCE(parameter_value, parameter);
BY_NAME(parameters, parameter_value);

static const OpenApiRow encoding_rows[] = {{"contentType", 1, ROW_STRING},
                                           {"headers", 2, ROW_MESSAGE, &headers},
                                           {"style", 3, ROW_STRING},
                                           {"explode", 4, ROW_BOOL},
                                           {"allowReserved", 5, ROW_BOOL}};
static const OpenApiMessage encoding = OPENAPI_MESSAGE(encoding_rows, 6);
BY_NAME(encodings, encoding);

static const OpenApiRow media_type_rows[] = {{"schema", 1, ROW_MESSAGE, &schema_value},
                                             {"example", 2, ROW_ANY},
                                             {"examples", 3, ROW_MESSAGE, &examples},
                                             {"encoding", 4, ROW_MESSAGE, &encodings}};
static const OpenApiMessage media_type = OPENAPI_MESSAGE(media_type_rows, 5);

static const OpenApiRow body_rows[] = {
    {"description", 1, ROW_STRING}, {"content", 2, ROW_MESSAGE, &media_types}, {"required", 3, ROW_BOOL}};
static const OpenApiMessage body = OPENAPI_MESSAGE(body_rows, 4);
OR_REFERENCE(body_value, body);
BY_NAME(bodies, body_value);

/* gnostic reads an object as both members of this choice, and keeps the second. */
static const OpenApiRow expression_rows[] = {{NULL, 1, ROW_NAMED_ANY}};
static const OpenApiMessage expression = OPENAPI_MESSAGE(expression_rows, 0);
static const OpenApiRow any_or_expression_rows[] = {{NULL, 2, ROW_MESSAGE, &expression}};
static const OpenApiMessage any_or_expression = OPENAPI_ONE_OF(any_or_expression_rows);

static const OpenApiRow link_rows[] = {{"operationRef", 1, ROW_STRING},
                                       {"operationId", 2, ROW_STRING},
                                       {"parameters", 3, ROW_MESSAGE, &any_or_expression},
                                       {"requestBody", 4, ROW_MESSAGE, &any_or_expression},
                                       {"description", 5, ROW_STRING},
                                       {"server", 6, ROW_MESSAGE, &server}};
static const OpenApiMessage link_message = OPENAPI_MESSAGE(link_rows, 7);
OR_REFERENCE(link_value, link_message);
BY_NAME(links, link_value);

static const OpenApiRow response_rows[] = {{"description", 1, ROW_STRING},
                                           {"headers", 2, ROW_MESSAGE, &headers},
                                           {"content", 3, ROW_MESSAGE, &media_types},
                                           {"links", 4, ROW_MESSAGE, &links}};
static const OpenApiMessage response = OPENAPI_MESSAGE(response_rows, 5);
OR_REFERENCE(response_value, response);
BY_NAME(named_responses, response_value);

static const OpenApiRow responses_rows[] = {{"default", 1, ROW_MESSAGE, &response_value},
                                            {NULL, 2, ROW_NAMED, &response_value}};
static const OpenApiMessage responses = OPENAPI_MESSAGE(responses_rows, 3);

static const OpenApiMessage path_item;
static const OpenApiRow paths_rows[] = {{NULL, 1, ROW_NAMED, &path_item}};
static const OpenApiMessage paths = OPENAPI_MESSAGE(paths_rows, 2); /* a Callback is the same */
OR_REFERENCE(callback_value, paths);
BY_NAME(callbacks, callback_value);

static const OpenApiRow operation_rows[] = {{"tags", 1, ROW_STRINGS},
                                            {"summary", 2, ROW_STRING},
                                            {"description", 3, ROW_STRING},
                                            {"externalDocs", 4, ROW_MESSAGE, &openapi_external_docs},
                                            {"operationId", 5, ROW_STRING},
                                            {"parameters", 6, ROW_MESSAGES, &parameter_value},
                                            {"requestBody", 7, ROW_MESSAGE, &body_value},
                                            {"responses", 8, ROW_MESSAGE, &responses},
                                            {"callbacks", 9, ROW_MESSAGE, &callbacks},
                                            {"deprecated", 10, ROW_BOOL},
                                            {"security", 11, ROW_MESSAGES, &openapi_security_requirement},
                                            {"servers", 12, ROW_MESSAGES, &server}};
static const OpenApiMessage operation = OPENAPI_MESSAGE(operation_rows, 13);

static const OpenApiRow path_item_rows[] = {{"$ref", 1, ROW_STRING},
                                            {"summary", 2, ROW_STRING},
                                            {"description", 3, ROW_STRING},
                                            {"get", 4, ROW_MESSAGE, &operation},
                                            {"put", 5, ROW_MESSAGE, &operation},
                                            {"post", 6, ROW_MESSAGE, &operation},
                                            {"delete", 7, ROW_MESSAGE, &operation},
                                            {"options", 8, ROW_MESSAGE, &operation},
                                            {"head", 9, ROW_MESSAGE, &operation},
                                            {"patch", 10, ROW_MESSAGE, &operation},
                                            {"trace", 11, ROW_MESSAGE, &operation},
                                            {"servers", 12, ROW_MESSAGES, &server},
                                            {"parameters", 13, ROW_MESSAGES, &parameter_value}};
static const OpenApiMessage path_item = OPENAPI_MESSAGE(path_item_rows, 14);

static const OpenApiRow flow_rows[] = {{"authorizationUrl", 1, ROW_STRING},
                                       {"tokenUrl", 2, ROW_STRING},
                                       {"refreshUrl", 3, ROW_STRING},
                                       {"scopes", 4, ROW_MESSAGE, &strings}};
static const OpenApiMessage flow = OPENAPI_MESSAGE(flow_rows, 5);
static const OpenApiRow flows_rows[] = {{"implicit", 1, ROW_MESSAGE, &flow},
                                        {"password", 2, ROW_MESSAGE, &flow},
                                        {"clientCredentials", 3, ROW_MESSAGE, &flow},
                                        {"authorizationCode", 4, ROW_MESSAGE, &flow}};
static const OpenApiMessage flows = OPENAPI_MESSAGE(flows_rows, 5);

static const OpenApiRow security_rows[] = {{"type", 1, ROW_STRING},           {"description", 2, ROW_STRING},
                                           {"name", 3, ROW_STRING},           {"in", 4, ROW_STRING},
                                           {"scheme", 5, ROW_STRING},         {"bearerFormat", 6, ROW_STRING},
                                           {"flows", 7, ROW_MESSAGE, &flows}, {"openIdConnectUrl", 8, ROW_STRING}};
static const OpenApiMessage security = OPENAPI_MESSAGE(security_rows, 9);
OR_REFERENCE(security_value, security);
BY_NAME(security_schemes, security_value);

static const OpenApiRow components_rows[] = {
    {"schemas", 1, ROW_MESSAGE, &schemas},
    {"responses", 2, ROW_MESSAGE, &named_responses},
    {"parameters", 3, ROW_MESSAGE, &parameters},
    {"examples", 4, ROW_MESSAGE, &examples},
    {"requestBodies", 5, ROW_MESSAGE, &bodies},
    {"headers", 6, ROW_MESSAGE, &headers},
    {"securitySchemes", 7, ROW_MESSAGE, &security_schemes},
    {"links", 8, ROW_MESSAGE, &links},
    {"callbacks", 9, ROW_MESSAGE, &callbacks},
};
static const OpenApiMessage components = OPENAPI_MESSAGE(components_rows, 10);

static const OpenApiRow info_rows[] = {{"title", 1, ROW_STRING},
                                       {"description", 2, ROW_STRING},
                                       {"termsOfService", 3, ROW_STRING},
                                       {"contact", 4, ROW_MESSAGE, &openapi_contact},
                                       {"license", 5, ROW_MESSAGE, &openapi_license},
                                       {"version", 6, ROW_STRING},
                                       {"summary", 8, ROW_STRING}};
static const OpenApiMessage info = OPENAPI_MESSAGE(info_rows, 7);

static const OpenApiRow document_rows[] = {{"openapi", 1, ROW_STRING},
                                           {"info", 2, ROW_MESSAGE, &info},
                                           {"servers", 3, ROW_MESSAGES, &server},
                                           {"paths", 4, ROW_MESSAGE, &paths},
                                           {"components", 5, ROW_MESSAGE, &components},
                                           {"security", 6, ROW_MESSAGES, &openapi_security_requirement},
                                           {"tags", 7, ROW_MESSAGES, &openapi_tag},
                                           {"externalDocs", 8, ROW_MESSAGE, &openapi_external_docs}};
static const OpenApiMessage document_message = OPENAPI_MESSAGE(document_rows, 9);

int openapi_v3_encode(Buf *out, const Value *document) {
    return openapi_message_encode(out, &document_message, document);
}
