/* One table for each message of OpenAPIv2.proto. Fields stand in the order of their numbers. */
#include "api/openapi_v2.h"
#include "api/openapi_messages.h"

static const OpenApiMessage schema;

static const OpenApiRow reference_rows[] = {{"$ref", 1, ROW_STRING}, {"description", 2, ROW_STRING}};
static const OpenApiMessage reference = OPENAPI_MESSAGE(reference_rows, 0);

static const OpenApiRow additional_rows[] = {{NULL, 1, ROW_MESSAGE, &schema}, {NULL, 2, ROW_BOOL}};
static const OpenApiMessage additional = OPENAPI_ONE_OF(additional_rows);

static const OpenApiRow type_rows[] = {{NULL, 1, ROW_STRINGS}};
static const OpenApiMessage type_item = OPENAPI_MESSAGE(type_rows, 0);

static const OpenApiRow items_rows[] = {{NULL, 1, ROW_MESSAGES, &schema}};
static const OpenApiMessage items_item = OPENAPI_MESSAGE(items_rows, 0);

static const OpenApiRow named_schemas_rows[] = {{NULL, 1, ROW_NAMED, &schema}};
static const OpenApiMessage named_schemas = OPENAPI_MESSAGE(named_schemas_rows, 0);

static const OpenApiRow schema_rows[] = {
    {"$ref", 1, ROW_STRING},
    {"format", 2, ROW_STRING},
    {"title", 3, ROW_STRING},
    {"description", 4, ROW_STRING},
    {"default", 5, ROW_ANY},
    {"multipleOf", 6, ROW_DOUBLE},
    {"maximum", 7, ROW_DOUBLE},
    {"exclusiveMaximum", 8, ROW_BOOL},
    {"minimum", 9, ROW_DOUBLE},
    {"exclusiveMinimum", 10, ROW_BOOL},
    {"maxLength", 11, ROW_INT},
    {"minLength", 12, ROW_INT},
    {"pattern", 13, ROW_STRING},
    {"maxItems", 14, ROW_INT},
    {"minItems", 15, ROW_INT},
    {"uniqueItems", 16, ROW_BOOL},
    {"maxProperties", 17, ROW_INT},
    {"minProperties", 18, ROW_INT},
    {"required", 19, ROW_STRINGS},
    {"enum", 20, ROW_ANYS},
    {"additionalProperties", 21, ROW_MESSAGE, &additional},
    {"type", 22, ROW_MESSAGE, &type_item},
    {"items", 23, ROW_MESSAGE, &items_item},
    {"allOf", 24, ROW_MESSAGES, &schema},
    {"properties", 25, ROW_MESSAGE, &named_schemas},
    {"discriminator", 26, ROW_STRING},
    {"readOnly", 27, ROW_BOOL},
    {"xml", 28, ROW_MESSAGE, &openapi_xml},
    {"externalDocs", 29, ROW_MESSAGE, &openapi_external_docs},
    {"example", 30, ROW_ANY},
};
static const OpenApiMessage schema = OPENAPI_MESSAGE(schema_rows, 31);

/* What parameters in a header, the query and the path (and the items of each) say of their type, from a number on. */
#define PRIMITIVE_ROWS(first)                                                                                          \
    {"type", first, ROW_STRING}, {"format", first + 1, ROW_STRING}, {"items", first + 2, ROW_MESSAGE, &primitive},     \
        {"collectionFormat", first + 3, ROW_STRING}, {"default", first + 4, ROW_ANY},                                  \
        {"maximum", first + 5, ROW_DOUBLE}, {"exclusiveMaximum", first + 6, ROW_BOOL},                                 \
        {"minimum", first + 7, ROW_DOUBLE}, {"exclusiveMinimum", first + 8, ROW_BOOL},                                 \
        {"maxLength", first + 9, ROW_INT}, {"minLength", first + 10, ROW_INT}, {"pattern", first + 11, ROW_STRING},    \
        {"maxItems", first + 12, ROW_INT}, {"minItems", first + 13, ROW_INT}, {"uniqueItems", first + 14, ROW_BOOL},   \
        {"enum", first + 15, ROW_ANYS}, {                                                                              \
        "multipleOf", first + 16, ROW_DOUBLE                                                                           \
    }
static const OpenApiMessage primitive;
static const OpenApiRow primitive_rows[] = {PRIMITIVE_ROWS(1)};
static const OpenApiMessage primitive = OPENAPI_MESSAGE(primitive_rows, 18);

#define PARAMETER_ROWS                                                                                                 \
    {"required", 1, ROW_BOOL}, {"in", 2, ROW_STRING}, {"description", 3, ROW_STRING}, {                                \
        "name", 4, ROW_STRING                                                                                          \
    }
static const OpenApiRow parameter_rows[] = {PARAMETER_ROWS, PRIMITIVE_ROWS(5)};
static const OpenApiMessage bare_parameter = OPENAPI_MESSAGE(parameter_rows, 22);
static const OpenApiRow emptiable_rows[] = {PARAMETER_ROWS, {"allowEmptyValue", 5, ROW_BOOL}, PRIMITIVE_ROWS(6)};
static const OpenApiMessage emptiable_parameter = OPENAPI_MESSAGE(emptiable_rows, 23);

static const OpenApiRow other_parameter_rows[] = {{NULL, 1, ROW_MESSAGE, &bare_parameter, "in", "header"},
                                                  {NULL, 2, ROW_MESSAGE, &emptiable_parameter, "in", "formData"},
                                                  {NULL, 3, ROW_MESSAGE, &emptiable_parameter, "in", "query"},
                                                  {NULL, 4, ROW_MESSAGE, &bare_parameter, "in", "path"}};
static const OpenApiMessage other_parameter = OPENAPI_ONE_OF(other_parameter_rows);

static const OpenApiRow body_parameter_rows[] = {{"description", 1, ROW_STRING},
                                                 {"name", 2, ROW_STRING},
                                                 {"in", 3, ROW_STRING},
                                                 {"required", 4, ROW_BOOL},
                                                 {"schema", 5, ROW_MESSAGE, &schema}};
static const OpenApiMessage body_parameter = OPENAPI_MESSAGE(body_parameter_rows, 6);

static const OpenApiRow any_parameter_rows[] = {{NULL, 1, ROW_MESSAGE, &body_parameter, "in", "body"},
                                                {NULL, 2, ROW_MESSAGE, &other_parameter}};
static const OpenApiMessage any_parameter = OPENAPI_ONE_OF(any_parameter_rows);

static const OpenApiRow parameters_item_rows[] = {{NULL, 2, ROW_MESSAGE, &reference, "$ref", NULL},
                                                  {NULL, 1, ROW_MESSAGE, &any_parameter}};
static const OpenApiMessage parameters_item = OPENAPI_ONE_OF(parameters_item_rows);

static const OpenApiRow named_parameters_rows[] = {{NULL, 1, ROW_NAMED, &any_parameter}};
static const OpenApiMessage named_parameters = OPENAPI_MESSAGE(named_parameters_rows, 0);

static const OpenApiRow header_rows[] = {PRIMITIVE_ROWS(1), {"description", 18, ROW_STRING}};
static const OpenApiMessage header = OPENAPI_MESSAGE(header_rows, 19);
static const OpenApiRow headers_rows[] = {{NULL, 1, ROW_NAMED, &header}};
static const OpenApiMessage headers = OPENAPI_MESSAGE(headers_rows, 0);

static const OpenApiRow schema_item_rows[] = {{NULL, 1, ROW_MESSAGE, &schema}};
static const OpenApiMessage schema_item = OPENAPI_MESSAGE(schema_item_rows, 0);

static const OpenApiRow response_rows[] = {
    {"description", 1, ROW_STRING}, {"schema", 2, ROW_MESSAGE, &schema_item}, {"headers", 3, ROW_MESSAGE, &headers}};
static const OpenApiMessage response = OPENAPI_MESSAGE(response_rows, 5);

static const OpenApiRow response_value_rows[] = {{NULL, 2, ROW_MESSAGE, &reference, "$ref", NULL},
                                                 {NULL, 1, ROW_MESSAGE, &response}};
static const OpenApiMessage response_value = OPENAPI_ONE_OF(response_value_rows);

static const OpenApiRow responses_rows[] = {{NULL, 1, ROW_NAMED, &response_value}};
static const OpenApiMessage responses = OPENAPI_MESSAGE(responses_rows, 2);
static const OpenApiRow named_responses_rows[] = {{NULL, 1, ROW_NAMED, &response}};
static const OpenApiMessage named_responses = OPENAPI_MESSAGE(named_responses_rows, 0);

static const OpenApiRow operation_rows[] = {{"tags", 1, ROW_STRINGS},
                                            {"summary", 2, ROW_STRING},
                                            {"description", 3, ROW_STRING},
                                            {"externalDocs", 4, ROW_MESSAGE, &openapi_external_docs},
                                            {"operationId", 5, ROW_STRING},
                                            {"produces", 6, ROW_STRINGS},
                                            {"consumes", 7, ROW_STRINGS},
                                            {"parameters", 8, ROW_MESSAGES, &parameters_item},
                                            {"responses", 9, ROW_MESSAGE, &responses},
                                            {"schemes", 10, ROW_STRINGS},
                                            {"deprecated", 11, ROW_BOOL},
                                            {"security", 12, ROW_MESSAGES, &openapi_security_requirement}};
static const OpenApiMessage operation = OPENAPI_MESSAGE(operation_rows, 13);

static const OpenApiRow path_item_rows[] = {{"$ref", 1, ROW_STRING},
                                            {"get", 2, ROW_MESSAGE, &operation},
                                            {"put", 3, ROW_MESSAGE, &operation},
                                            {"post", 4, ROW_MESSAGE, &operation},
                                            {"delete", 5, ROW_MESSAGE, &operation},
                                            {"options", 6, ROW_MESSAGE, &operation},
                                            {"head", 7, ROW_MESSAGE, &operation},
                                            {"patch", 8, ROW_MESSAGE, &operation},
                                            {"parameters", 9, ROW_MESSAGES, &parameters_item}};
static const OpenApiMessage path_item = OPENAPI_MESSAGE(path_item_rows, 10);

static const OpenApiRow paths_rows[] = {{NULL, 2, ROW_NAMED, &path_item}};
static const OpenApiMessage paths = OPENAPI_MESSAGE(paths_rows, 1);

static const OpenApiRow basic_rows[] = {{"type", 1, ROW_STRING}, {"description", 2, ROW_STRING}};
static const OpenApiMessage basic_security = OPENAPI_MESSAGE(basic_rows, 3);
static const OpenApiRow api_key_rows[] = {
    {"type", 1, ROW_STRING}, {"name", 2, ROW_STRING}, {"in", 3, ROW_STRING}, {"description", 4, ROW_STRING}};
static const OpenApiMessage api_key_security = OPENAPI_MESSAGE(api_key_rows, 5);
static const OpenApiRow security_rows[] = {{NULL, 1, ROW_MESSAGE, &basic_security, "type", "basic"},
                                           {NULL, 2, ROW_MESSAGE, &api_key_security, "type", "apiKey"}};
static const OpenApiMessage security_item = OPENAPI_ONE_OF(security_rows);
static const OpenApiRow security_definitions_rows[] = {{NULL, 1, ROW_NAMED, &security_item}};
static const OpenApiMessage security_definitions = OPENAPI_MESSAGE(security_definitions_rows, 0);

static const OpenApiRow info_rows[] = {{"title", 1, ROW_STRING},
                                       {"version", 2, ROW_STRING},
                                       {"description", 3, ROW_STRING},
                                       {"termsOfService", 4, ROW_STRING},
                                       {"contact", 5, ROW_MESSAGE, &openapi_contact},
                                       {"license", 6, ROW_MESSAGE, &openapi_license}};
static const OpenApiMessage info = OPENAPI_MESSAGE(info_rows, 7);

static const OpenApiRow document_rows[] = {{"swagger", 1, ROW_STRING},
                                           {"info", 2, ROW_MESSAGE, &info},
                                           {"host", 3, ROW_STRING},
                                           {"basePath", 4, ROW_STRING},
                                           {"schemes", 5, ROW_STRINGS},
                                           {"consumes", 6, ROW_STRINGS},
                                           {"produces", 7, ROW_STRINGS},
                                           {"paths", 8, ROW_MESSAGE, &paths},
                                           {"definitions", 9, ROW_MESSAGE, &named_schemas},
                                           {"parameters", 10, ROW_MESSAGE, &named_parameters},
                                           {"responses", 11, ROW_MESSAGE, &named_responses},
                                           {"security", 12, ROW_MESSAGES, &openapi_security_requirement},
                                           {"securityDefinitions", 13, ROW_MESSAGE, &security_definitions},
                                           {"tags", 14, ROW_MESSAGES, &openapi_tag},
                                           {"externalDocs", 15, ROW_MESSAGE, &openapi_external_docs}};
static const OpenApiMessage document_message = OPENAPI_MESSAGE(document_rows, 16);

int openapi_v2_encode(Buf *out, const Value *document) {
    return openapi_message_encode(out, &document_message, document);
}
