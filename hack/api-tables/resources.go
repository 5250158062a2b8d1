package main

import (
	"fmt"
	"log"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/kubeapiserver"
)

// selectable: the field labels that the conversion functions of each kind accept, beyond name and namespace
// (pkg/apis/*/*/conversion.go) and that its registry answers (pkg/registry/*/*/strategy.go).
var selectable = map[string][]string{
	"/v1/pods": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
		"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"},
	"/v1/nodes":                  {"spec.unschedulable"},
	"/v1/replicationcontrollers": {"status.replicas"},
	"/v1/events": {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
		"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
		"reportingComponent", "source", "type"},
	"/v1/namespaces": {"status.phase"},
	"/v1/secrets":    {"type"},
	"/v1/services":   {"spec.clusterIP", "spec.type"},
	"batch/v1/jobs":  {"status.successful"},
	"certificates.k8s.io/v1/certificatesigningrequests": {"spec.signerName"},
	"events.k8s.io/v1/events": {"regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid",
		"regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type"},
	"resource.k8s.io/v1/resourceslices": {"spec.nodeName", "spec.driver"},
}

// storedAs: rows whose objects are kept by another row (pkg/kubeapiserver: cohabiting groups; version priority).
var storedAs = map[string]string{
	"events.k8s.io/v1/events":                 "/v1/events",
	"autoscaling/v1/horizontalpodautoscalers": "autoscaling/v2/horizontalpodautoscalers",
}

var verbs = map[string]string{"get": "VERB_GET", "list": "VERB_LIST", "watch": "VERB_WATCH", "create": "VERB_CREATE",
	"update": "VERB_UPDATE", "patch": "VERB_PATCH", "delete": "VERB_DELETE", "deletecollection": "VERB_DELETE_COLLECTION"}

func verbMask(list []string) string {
	if len(list) == len(verbs) {
		return "VERBS_ALL"
	}
	var on []string
	for _, v := range list {
		if verbs[v] == "" {
			log.Fatalf("unknown verb %s", v)
		}
		on = append(on, verbs[v])
	}
	sort.Strings(on)
	return strings.Join(on, " | ")
}

func (r *served) key() string { return r.group + "/" + r.version + "/" + r.Name }

// storagePrefix is where etcd keeps the objects, below /registry.
func storagePrefix(r *served) string {
	if special, ok := kubeapiserver.SpecialDefaultResourcePrefixes[schema.GroupResource{Group: r.group, Resource: r.Name}]; ok {
		return special
	}
	if r.group == "apiextensions.k8s.io" || r.group == "apiregistration.k8s.io" { // servers of their own
		return r.group + "/" + r.Name
	}
	return r.Name
}

func nameList(list []string) string {
	if len(list) == 0 {
		return "NULL"
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = literal(s)
	}
	return "(const char *const[]){" + strings.Join(quoted, ", ") + ", NULL}"
}

func (ts *types) reference(group, version, kind string) string {
	if t := ts.of(group, version, kind); t != nil && ts.structs[t] != "" {
		return "&" + symbol(ts.structs[t])
	}
	return "NULL"
}

func emitResources(path string, ts *types, rows []*served) {
	var b strings.Builder
	b.WriteString(notice + "#include \"api/gen/resources.h\"\n\n#include \"api/gen/schemas.h\"\n\n")
	index := map[string]int{}
	for i, r := range rows {
		index[r.key()] = i
	}
	for i, r := range rows {
		emitSubresources(&b, ts, i, r)
	}
	b.WriteString("const Resource resources_builtin[] = {\n")
	for i, r := range rows {
		stored := i
		prefixOf := r
		if other, ok := storedAs[r.key()]; ok {
			stored = index[other]
			prefixOf = rows[stored]
		}
		listKind := r.Kind + "List"
		if ts.of(r.group, r.version, listKind) == nil {
			listKind = ""
		}
		schemaOf := ts.reference(r.group, r.version, r.Kind)
		if schemaOf == "NULL" {
			log.Fatalf("%s: no type %s", r.key(), r.Kind)
		}
		fmt.Fprintf(&b, "    [%d] = {%s, %s, %s, %s, %s, %s,\n     .short_names = %s, .categories = %s,\n     .namespaced = %v, .verbs = %s,\n",
			i, literal(r.group), literal(r.version), literal(r.Name), literal(r.SingularName), literal(r.Kind), quote(listKind),
			nameList(r.ShortNames), nameList(r.Categories), r.Namespaced, verbMask(r.Verbs))
		if len(r.subresources) > 0 {
			fmt.Fprintf(&b, "     .subresources = s%d, .n_subresources = %d,\n", i, len(r.subresources))
		}
		fmt.Fprintf(&b, "     .schema = %s, .storage = &resources_builtin[%d], .storage_prefix = %s,\n     .selectable_fields = %s,\n     .storage_version_hash = %s},\n",
			schemaOf, stored, literal(storagePrefix(prefixOf)), nameList(selectable[r.key()]), quote(r.StorageVersionHash))
	}
	fmt.Fprintf(&b, "};\nconst size_t resources_builtin_count = %d;\n\n", len(rows))
	emitIndex(&b, "resources_by_plural", rows, func(r *served) string { return r.Name + "\x00" + r.group + "\x00" + r.version })
	emitIndex(&b, "resources_by_kind", rows, func(r *served) string { return r.Kind + "\x00" + r.group + "\x00" + r.version })
	write(path, b.String())
	write(strings.TrimSuffix(path, ".c")+".h", notice+`#pragma once

#include "api/resource.h"

extern const Resource resources_builtin[]; /* in the order of discovery */
extern const size_t resources_builtin_count;
extern const uint16_t resources_by_plural[]; /* sorted by plural, group, version */
extern const uint16_t resources_by_kind[];   /* sorted by kind, group, version */
`)
}

func emitSubresources(b *strings.Builder, ts *types, i int, r *served) {
	if len(r.subresources) == 0 {
		return
	}
	fmt.Fprintf(b, "static const Subresource s%d[] = {\n", i)
	for _, s := range r.subresources {
		group, version, own := s.Group, s.Version, "NULL, NULL"
		if s.Version == "" {
			group, version = r.group, r.version
		} else {
			own = literal(s.Group) + ", " + literal(s.Version)
		}
		fmt.Fprintf(b, "    {%s, %s, %s, %s, %s},\n", literal(s.Name), own, literal(s.Kind), verbMask(s.Verbs), ts.reference(group, version, s.Kind))
	}
	b.WriteString("};\n")
}

func emitIndex(b *strings.Builder, name string, rows []*served, key func(*served) string) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(x, y int) bool { return key(rows[order[x]]) < key(rows[order[y]]) })
	fmt.Fprintf(b, "const uint16_t %s[] = {", name)
	for _, i := range order {
		fmt.Fprintf(b, "%d, ", i)
	}
	b.WriteString("};\n")
}
