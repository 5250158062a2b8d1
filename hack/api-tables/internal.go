package main

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sort"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/networking"
	dra "k8s.io/kubernetes/pkg/apis/resource"
	"k8s.io/kubernetes/pkg/apis/storage"
)

// The reference prints values of its internal types in some messages: JSON of structs without tags. What that takes is the
// order and the names of their fields and the member of the served version that each one comes from.
var internalRoots = [][2]any{
	{core.PodSpec{}, corev1.PodSpec{}},
	{core.PodTemplateSpec{}, corev1.PodTemplateSpec{}},
	{apps.DeploymentStrategy{}, appsv1.DeploymentStrategy{}},
	{apps.DaemonSetUpdateStrategy{}, appsv1.DaemonSetUpdateStrategy{}},
	{apps.StatefulSetUpdateStrategy{}, appsv1.StatefulSetUpdateStrategy{}},
	{batch.PodFailurePolicy{}, batchv1.PodFailurePolicy{}},
	{batch.SuccessPolicy{}, batchv1.SuccessPolicy{}},
	{batch.UncountedTerminatedPods{}, batchv1.UncountedTerminatedPods{}},
	{core.EphemeralContainer{}, corev1.EphemeralContainer{}},
	{core.PersistentVolumeSource{}, corev1.PersistentVolumeSource{}},
	{core.VolumeNodeAffinity{}, corev1.VolumeNodeAffinity{}},
	{networking.ParentReference{}, networkingv1.ParentReference{}},
	{storage.CSINodeDriver{}, storagev1.CSINodeDriver{}},
	{core.EventSource{}, corev1.EventSource{}},
	{core.NodeAddress{}, corev1.NodeAddress{}},
	{dra.ResourceClaimSpec{}, resourcev1.ResourceClaimSpec{}},
	{dra.ResourceClaimTemplateSpec{}, resourcev1.ResourceClaimTemplateSpec{}},
	{dra.AllocationResult{}, resourcev1.AllocationResult{}},
	{dra.AllocatedDeviceStatus{}, resourcev1.AllocatedDeviceStatus{}},
	{dra.DeviceAttribute{}, resourcev1.DeviceAttribute{}},
	{admissionregistration.AuditAnnotation{}, admissionregistrationv1.AuditAnnotation{}},
}

// Fields of an internal struct that the served version keeps one level up.
var keptByParent = map[string]string{
	"PodSecurityContext.HostNetwork":           "hostNetwork",
	"PodSecurityContext.HostPID":               "hostPID",
	"PodSecurityContext.HostIPC":               "hostIPC",
	"PodSecurityContext.ShareProcessNamespace": "shareProcessNamespace",
	"PodSecurityContext.HostUsers":             "hostUsers",
}

type internalTypes struct {
	index  map[reflect.Type]int
	bodies []string
}

func servedField(t reflect.Type, name string) (reflect.StructField, bool) {
	f, ok := t.FieldByName(name)
	if !ok {
		f, ok = t.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
	}
	return f, ok
}

func jsonMember(f reflect.StructField) string { return strings.Split(f.Tag.Get("json"), ",")[0] }

// add gives the number of the table of struct t, whose served form is s.
func (it *internalTypes) add(t, s reflect.Type) int {
	if n, ok := it.index[t]; ok {
		return n
	}
	n := len(it.bodies)
	it.index[t] = n
	it.bodies = append(it.bodies, "")
	var b strings.Builder
	it.fields(&b, t, s)
	it.bodies[n] = b.String()
	return n
}

func (it *internalTypes) fields(b *strings.Builder, t, s reflect.Type) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if f.Anonymous && f.Type == reflect.TypeOf(metav1.ObjectMeta{}) {
			fmt.Fprintf(b, "    {\"\", \"metadata\", PRINT_MEMBERS, false, false, NULL},\n")
			continue
		}
		if f.Anonymous {
			it.fields(b, f.Type, s)
			continue
		}
		if member, ok := keptByParent[t.Name()+"."+f.Name]; ok {
			kind, _ := it.kind(f.Type, f.Type)
			fmt.Fprintf(b, "    {%q, %q, %s, true, %v, NULL},\n", f.Name, member, kind, f.Type.Kind() == reflect.Pointer)
			continue
		}
		sf, ok := servedField(s, f.Name)
		if !ok {
			panic(t.String() + "." + f.Name + " has no counterpart")
		}
		kind, element := it.kind(f.Type, sf.Type)
		fmt.Fprintf(b, "    {%q, %q, %s, false, %v, %s},\n", f.Name, jsonMember(sf), kind, f.Type.Kind() == reflect.Pointer, element)
	}
}

func (it *internalTypes) kind(t, s reflect.Type) (string, string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "PRINT_STRING", "NULL"
	case reflect.Bool:
		return "PRINT_BOOL", "NULL"
	case reflect.Int32, reflect.Int64, reflect.Int:
		return "PRINT_INT", "NULL"
	case reflect.Map:
		e, se := t.Elem(), s.Elem()
		if e.Kind() == reflect.Struct && e != se {
			return "PRINT_MAP", fmt.Sprintf("&TYPES[%d]", it.add(e, se))
		}
		return "PRINT_MAP", "NULL"
	case reflect.Slice:
		e, se := t.Elem(), s.Elem()
		if e.Kind() == reflect.Struct && e.PkgPath() != reflect.TypeOf(metav1.Time{}).PkgPath() && e != se {
			return "PRINT_LIST", fmt.Sprintf("&TYPES[%d]", it.add(e, se))
		}
		return "PRINT_LIST", "NULL"
	case reflect.Struct:
		if t == reflect.TypeOf(resource.Quantity{}) {
			return "PRINT_QUANTITY", "NULL"
		}
		if t == reflect.TypeOf(intstr.IntOrString{}) { // its zero value is the number
			return "PRINT_INT", "NULL"
		}
		if t == s { // shared with the served version, with its JSON names
			return "PRINT_AS_SERVED", "NULL"
		}
		return "PRINT_STRUCT", fmt.Sprintf("&TYPES[%d]", it.add(t, s))
	}
	panic(t.String())
}

// emitTimeZones writes the names of the time zone database that comes with Go, which is the one the reference checks against.
func emitTimeZones(path string) {
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib/time/zoneinfo.zip"))
	if err != nil {
		panic(err)
	}
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("/* Generated by hack/update-api: the names of the IANA time zone database, as Go carries it, sorted. */\n")
	b.WriteString("#include \"apiserver/registry/time_zones.h\"\n\nconst char *const time_zone_names[] = {\n")
	for _, name := range names {
		fmt.Fprintf(&b, "    %q,\n", name)
	}
	fmt.Fprintf(&b, "};\nconst size_t time_zone_names_n = %d;\n", len(names))
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		panic(err)
	}
}

func emitInternal(path string) {
	it := internalTypes{index: map[reflect.Type]int{}}
	for _, root := range internalRoots {
		it.add(reflect.TypeOf(root[0]), reflect.TypeOf(root[1]))
	}
	var b strings.Builder
	b.WriteString("/* Generated by hack/update-api from the internal types of Kubernetes v1.36.3: names and order of fields. */\n")
	b.WriteString("#include \"apiserver/registry/internal_print.h\"\n\n#include <stddef.h>\n\n")
	fmt.Fprintf(&b, "static const InternalType TYPES[%d];\n\n", len(it.bodies))
	names := make([]string, len(it.bodies))
	for t, n := range it.index {
		names[n] = t.Name()
	}
	for n, body := range it.bodies {
		fmt.Fprintf(&b, "static const InternalField FIELDS_%d[] = {\n%s};\n", n, body)
	}
	fmt.Fprintf(&b, "\nstatic const InternalType TYPES[%d] = {\n", len(it.bodies))
	for n := range it.bodies {
		fmt.Fprintf(&b, "    {%q, FIELDS_%d, sizeof FIELDS_%d / sizeof *FIELDS_%d},\n", names[n], n, n, n)
	}
	b.WriteString("};\n\nconst InternalType *const internal_types = TYPES;\n")
	fmt.Fprintf(&b, "const size_t internal_types_n = %d;\n", len(it.bodies))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		panic(err)
	}
	emitTimeZones(filepath.Join(filepath.Dir(path), "time_zones.c"))
}
