#include "apiserver/handlers/openapi_text.h"
#include "base/mem.h"
#include "base/str.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

/* Plain ASCII without quotes or backslashes: it stands in JSON as it is. */
static const struct {
    const char *schema, *field, *text; /* schema NULL: every type; field NULL: the type itself */
} texts[] = {
    {META "ObjectMeta", NULL, "ObjectMeta is the metadata that every persisted object has."},
    {META "ObjectMeta", "annotations",
     "Annotations is a map of keys to values of any form, kept for tools and libraries. Objects are not selected by "
     "it."},
    {META "ObjectMeta", "creationTimestamp",
     "CreationTimestamp is a timestamp of the server's clock when the object was made. Clients cannot set it."},
    {META "ObjectMeta", "deletionGracePeriodSeconds",
     "Number of seconds the object has to end by itself before it is removed. Only set while deletionTimestamp is."},
    {META "ObjectMeta", "deletionTimestamp",
     "DeletionTimestamp is when the object will be removed. The server sets it when a graceful deletion is asked for; "
     "the object goes once the time has come and no finalizer is left."},
    {META "ObjectMeta", "finalizers",
     "Names of those who have work to do before the object may go. Each takes its own name off the list when done."},
    {META "ObjectMeta", "generateName",
     "GenerateName is a prefix from which the server makes a unique name when name is empty."},
    {META "ObjectMeta", "generation", "A number that grows with each change of the desired state. Set by the server."},
    {META "ObjectMeta", "labels", "Labels is a map of keys to values by which objects are organised and selected."},
    {META "ObjectMeta", "managedFields",
     "ManagedFields tells which manager last set which fields, and when. The server keeps it for apply."},
    {META "ObjectMeta", "name",
     "Name is unique among the objects of one resource in a namespace. It cannot be changed."},
    {META "ObjectMeta", "namespace",
     "Namespace is the space in which the name is unique. Empty for resources of the whole cluster."},
    {META "ObjectMeta", "ownerReferences",
     "The objects this one depends on. When all of them are gone it is garbage. At most one may be its controller."},
    {META "ObjectMeta", "resourceVersion",
     "An opaque text that changes with every write of the object, for watches and for updates that must not overwrite "
     "each other. Set by the server."},
    {META "ObjectMeta", "selfLink", "Deprecated: no longer set."},
    {META "ObjectMeta", "uid",
     "UID is unique in time and space: another object that later has the same name has another UID. Set by the "
     "server."},
    {META "ListMeta", NULL, "ListMeta is the metadata of lists."},
    {META "ListMeta", "continue",
     "Continue is set when there is more to list: sent back in the next request it goes on where this list ends."},
    {META "ListMeta", "remainingItemCount", "How many items come after this list, where the server knows."},
    {META "ListMeta", "resourceVersion", "The state of the server that this list shows, from which a watch can go on."},
    {META "ListMeta", "selfLink", "Deprecated: no longer set."},
    {NULL, "apiVersion",
     "APIVersion defines the group and version of the schema in which this object is written. Servers convert between "
     "the versions they know and refuse others."},
    {NULL, "kind",
     "Kind is the name of the type of this object, in CamelCase. It follows from the endpoint a request is sent to and "
     "cannot be changed."},
    {NULL, "metadata", "Standard object's metadata."},
};

static const char *find(const char *schema, const char *field) {
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        if ((!texts[i].schema || streq(texts[i].schema, schema)) && streq_null(texts[i].field, field))
            return texts[i].text;
    return NULL;
}

const char *openapi_field_text(const char *schema, const char *field) {
    return find(schema, field);
}

const char *openapi_type_text(const char *schema) {
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        if (!texts[i].field && streq(texts[i].schema, schema))
            return texts[i].text;
    return NULL;
}
