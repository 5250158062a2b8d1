package main

import (
	"log"
	"path"
	"reflect"
	"sort"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1beta1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1beta1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// types holds every Go type that is reachable from what the server serves.
type types struct {
	scheme      *runtime.Scheme
	definitions map[string]common.OpenAPIDefinition
	structs     map[reflect.Type]string // OpenAPI name
	names       map[string]reflect.Type

	descriptions *descriptions
}

// leaves are the types with a JSON form of their own.
var leaves = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():                            "SCHEMA_QUANTITY",
	reflect.TypeFor[intstr.IntOrString]():                           "SCHEMA_INT_OR_STRING",
	reflect.TypeFor[metav1.Time]():                                  "SCHEMA_TIME",
	reflect.TypeFor[metav1.MicroTime]():                             "SCHEMA_MICRO_TIME",
	reflect.TypeFor[metav1.Duration]():                              "SCHEMA_DURATION",
	reflect.TypeFor[runtime.RawExtension]():                         "SCHEMA_RAW",
	reflect.TypeFor[metav1.FieldsV1]():                              "SCHEMA_FIELDS_V1",
	reflect.TypeFor[apiextensionsv1.JSON]():                         "SCHEMA_JSON",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrBool]():        "SCHEMA_JSON_UNION",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrArray]():       "SCHEMA_JSON_UNION",
	reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrStringArray](): "SCHEMA_JSON_UNION",
}

func newTypes() *types {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
		// Not served, or no more, but kinds of them are named all the same.
		admissionv1.AddToScheme, admissionv1beta1.AddToScheme, imagepolicyv1alpha1.AddToScheme, apiextensionsv1beta1.AddToScheme,
		apiregistrationv1beta1.AddToScheme} {
		if err := add(s); err != nil {
			log.Fatal(err)
		}
	}
	return &types{
		scheme: s,
		definitions: openapi.GetOpenAPIDefinitions(func(p string) spec.Ref {
			return spec.MustCreateRef("#/definitions/" + p)
		}),
		structs: map[reflect.Type]string{},
		names:   map[string]reflect.Type{},
	}
}

func openAPIName(t reflect.Type) string {
	if named, ok := reflect.New(t).Elem().Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	p := t.PkgPath()
	host, rest, _ := strings.Cut(p, "/")
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + t.Name()
}

// addServed walks every kind of the served group versions and the types that clients send beside them.
func (ts *types) addServed(rows []*served) {
	versions := map[schema.GroupVersion]bool{{Group: "", Version: "v1"}: true}
	for _, r := range rows {
		versions[schema.GroupVersion{Group: r.group, Version: r.version}] = true
	}
	for gv := range versions {
		for _, t := range ts.scheme.KnownTypes(gv) {
			if !strings.HasSuffix(t.PkgPath(), "/internalversion") && t.Name() != "InternalEvent" {
				ts.add(t)
			}
		}
	}
	for _, t := range []reflect.Type{
		reflect.TypeFor[metav1.Status](), reflect.TypeFor[metav1.APIGroupList](), reflect.TypeFor[metav1.APIResourceList](),
		reflect.TypeFor[metav1.APIVersions](), reflect.TypeFor[metav1.Table](), reflect.TypeFor[metav1.TableOptions](),
		reflect.TypeFor[metav1.PartialObjectMetadataList](), reflect.TypeFor[metav1.List](),
		reflect.TypeFor[apidiscoveryv2.APIGroupDiscoveryList](),
		reflect.TypeFor[apiextensionsv1.JSONSchemaProps](), reflect.TypeFor[version.Info](),
	} {
		ts.add(t)
	}
}

func (ts *types) add(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if leaves[t] == "" {
			ts.add(t.Elem())
		}
	case reflect.Struct:
		if leaves[t] != "" || ts.structs[t] != "" {
			return
		}
		name := openAPIName(t)
		if other, ok := ts.names[name]; ok && other != t {
			log.Fatalf("%s: both %v and %v", name, other, t)
		}
		ts.structs[t] = name
		ts.names[name] = t
		for i := 0; i < t.NumField(); i++ {
			if f := t.Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				ts.add(f.Type)
			}
		}
	}
}

// of returns the type of a kind, nil when the scheme does not know it.
func (ts *types) of(group, version, kind string) reflect.Type {
	return ts.scheme.AllKnownTypes()[schema.GroupVersionKind{Group: group, Version: version, Kind: kind}]
}

type field struct {
	name                string
	goType              reflect.Type
	number              int
	omitEmpty, omitZero bool
	inlined             bool
	owner               reflect.Type // the embedded struct that declares it, if inlined
	tag                 reflect.StructTag
}

type inline struct {
	goType               reflect.Type
	goName               string
	number, first, count int
}

func protobufNumber(tag reflect.StructTag) int {
	parts := strings.Split(tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// fields lists the members of a struct's JSON form in Go's order, and the embedded structs that are messages of their own.
func fields(t reflect.Type) (members []field, inlines []inline) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		number := protobufNumber(f.Tag)
		if f.Anonymous && name == "" || strings.Contains(options, "inline") {
			inner, _ := fields(f.Type)
			inlines = append(inlines, inline{f.Type, f.Name, number, len(members), len(inner)})
			for _, m := range inner {
				m.number = 0
				if !m.inlined {
					m.inlined, m.owner = true, f.Type
				}
				members = append(members, m)
			}
			continue
		}
		if name == "" {
			name = f.Name
		}
		members = append(members, field{name: name, goType: f.Type, number: number, tag: f.Tag,
			omitEmpty: strings.Contains(","+options+",", ",omitempty,"), omitZero: strings.Contains(","+options+",", ",omitzero,")})
	}
	return members, inlines
}

func group(name string) string {
	return path.Base(strings.ReplaceAll(name, ".", "/"))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
