package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// writeGolden writes what the reference's own codecs make of objects: protobuf/KIND.{json,pb}, every member set;
// normalize.json, objects with a member replaced and what decoding and encoding them gives; strategic.json, patches;
// openapi_v2.pb and openapi_v3.pb, the documents of the same names (.json) in gnostic's messages.
func writeGolden(dir string, rows []*served) {
	ts := newTypes()
	if err := os.MkdirAll(filepath.Join(dir, "protobuf"), 0o755); err != nil {
		log.Fatal(err)
	}
	kinds := []schema.GroupVersionKind{{Version: "v1", Kind: "PodList"}, {Version: "v1", Kind: "SecretList"}, {Version: "v1", Kind: "Status"},
		{Version: "v1", Kind: "DeleteOptions"}, {Group: "autoscaling", Version: "v1", Kind: "Scale"}, {Group: "policy", Version: "v1", Kind: "Eviction"},
		{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}}
	for _, r := range rows {
		kinds = append(kinds, schema.GroupVersionKind{Group: r.group, Version: r.version, Kind: r.Kind})
	}
	var normalize []normalizeCase
	for i, gvk := range kinds {
		object := ts.filled(gvk, rand.New(rand.NewSource(int64(i))))
		name := gvk.Kind + "." + gvk.Version + "." + gvk.Group
		write(filepath.Join(dir, "protobuf", name+".json"), string(marshal(object)))
		var pb bytes.Buffer
		if err := protobuf.NewSerializer(ts.scheme, ts.scheme).Encode(object, &pb); err != nil {
			log.Fatal(err)
		}
		write(filepath.Join(dir, "protobuf", name+".pb"), pb.String())
		normalize = append(normalize, ts.damage(name, object, rand.New(rand.NewSource(int64(i))))...)
	}
	write(filepath.Join(dir, "normalize.json"), lines(normalize))
	write(filepath.Join(dir, "strategic.json"), lines(ts.strategic()))
	writeDocument(dir, "openapi_v2", openapi_v2.ParseDocument)
	writeDocument(dir, "openapi_v3", openapi_v3.ParseDocument)
}

func writeDocument[T proto.Message](dir, name string, parse func([]byte) (T, error)) {
	text, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		log.Fatal(err)
	}
	document, err := parse(text)
	if err != nil {
		log.Fatal(err)
	}
	pb, err := proto.MarshalOptions{Deterministic: true}.Marshal(document)
	if err != nil {
		log.Fatal(err)
	}
	write(filepath.Join(dir, name+".pb"), string(pb))
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func lines[T any](rows []T) string {
	var b strings.Builder
	b.WriteString("[")
	for i, r := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n")
		b.Write(marshal(r))
	}
	b.WriteString("\n]\n")
	return b.String()
}

// Filling: every member set, as deep as `depth` allows.

type filler struct {
	*rand.Rand
	root reflect.Type
	n    int
}

func (ts *types) filled(gvk schema.GroupVersionKind, r *rand.Rand) runtime.Object {
	object, err := ts.scheme.New(gvk)
	if err != nil {
		log.Fatal(err)
	}
	v := reflect.ValueOf(object).Elem()
	f := &filler{Rand: r, root: v.Type()}
	f.fill(v, 0)
	object.GetObjectKind().SetGroupVersionKind(gvk)
	return object
}

func (f *filler) fillLeaf(v reflect.Value) bool {
	switch x := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*x = resource.MustParse([]string{"100m", "1Gi", "500Mi", "2", "1500m", "0", "12e6", "3n", "-5k"}[f.Intn(9)])
	case *intstr.IntOrString:
		*x = intstr.FromInt32(int32(f.Intn(9000)))
		if f.Intn(2) == 0 {
			*x = intstr.FromString("25%")
		}
	case *metav1.Time:
		x.Time = time.Unix(int64(f.Intn(2000000000)), 0)
	case *metav1.MicroTime:
		x.Time = time.Unix(int64(f.Intn(2000000000)), int64(f.Intn(1000000))*1000)
	case *runtime.RawExtension:
		x.Raw = []byte(`{"a":"s","apiVersion":"x/v1","b":[1,2.5,null],"kind":"X"}`)
	case *metav1.FieldsV1:
		x.SetRawString(`{"f:metadata":{"f:labels":{".":{},"f:a":{}}}}`)
	case *apiextensionsv1.JSON:
		x.Raw = []byte(`{"z":[1,"y",true]}`)
	case *apiextensionsv1.JSONSchemaPropsOrBool:
		x.Allows = true
	case *apiextensionsv1.JSONSchemaPropsOrArray:
		x.Schema = &apiextensionsv1.JSONSchemaProps{Type: "string"}
	case *apiextensionsv1.JSONSchemaPropsOrStringArray:
		x.Property = []string{"a", "b"}
	default:
		return false
	}
	return true
}

func (f *filler) fill(v reflect.Value, depth int) {
	if f.fillLeaf(v) {
		return
	}
	f.n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", f.n))
	case reflect.Bool:
		v.SetBool(f.Intn(4) > 0)
	case reflect.Int32:
		v.SetInt(int64(int32(f.Uint32()) >> uint(f.Intn(31))))
	case reflect.Int64, reflect.Int:
		v.SetInt(int64(f.Uint64()) >> uint(f.Intn(63)))
	case reflect.Float64:
		v.SetFloat(float64(f.Intn(1000)) / 8)
	case reflect.Pointer:
		if depth < 12 && f.Intn(12) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(fmt.Sprintf("bytes<%d>", f.n)))
		} else if depth < 9 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			f.fill(v.Index(0), depth+1)
		}
	case reflect.Map:
		if depth < 9 {
			f.fillMap(v, depth)
		}
	case reflect.Struct:
		f.fillStruct(v, depth)
	}
}

func (f *filler) fillMap(v reflect.Value, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, k := range []string{"b", "a/x", "aa"}[:1+f.Intn(3)] {
		element := reflect.New(v.Type().Elem()).Elem()
		f.fill(element, depth+1)
		v.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), element)
	}
}

func (f *filler) fillStruct(v reflect.Value, depth int) {
	t := v.Type()
	switch {
	case t == reflect.TypeFor[metav1.TypeMeta]():
		return
	case t == reflect.TypeFor[corev1.PodSpec]() && f.root != reflect.TypeFor[corev1.Pod](): // once is enough
		v.Set(reflect.ValueOf(corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}))
		return
	case t == reflect.TypeFor[apiextensionsv1.JSONSchemaProps]() && depth > 7:
		v.Field(0).SetString("leaf")
		return
	}
	for i := 0; i < t.NumField(); i++ {
		if t.Field(i).IsExported() && t.Field(i).Tag.Get("json") != "-" {
			f.fill(v.Field(i), depth+1)
		}
	}
}

// Damage: one member replaced, and what the strict decoder says or the encoder writes (as a hash).

type normalizeCase struct {
	Object string   `json:"object"`
	Path   []any    `json:"path"`
	Value  any      `json:"value"`
	Error  string   `json:"error,omitempty"`
	Strict []string `json:"strict,omitempty"`
	Hash   string   `json:"hash,omitempty"`
	// The same through runtime.DefaultUnstructuredConverter.
	Converted *conversion `json:"converted,omitempty"`
}

type conversion struct {
	Error  string   `json:"error,omitempty"`
	Strict []string `json:"strict,omitempty"`
	Hash   string   `json:"hash,omitempty"`
}

func (ts *types) convert(damaged any, gvk schema.GroupVersionKind) *conversion {
	var c conversion
	tree := map[string]any{}
	if err := utiljson.Unmarshal(marshal(damaged), &tree); err != nil {
		return nil
	}
	object, err := ts.scheme.New(gvk)
	if err != nil {
		log.Fatal(err)
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(tree, object, true)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, e := range strict.Errors() {
			c.Strict = append(c.Strict, e.Error())
		}
	} else if err != nil {
		c.Error = err.Error()
		return &c
	}
	h := fnv.New64a()
	h.Write(marshal(object))
	c.Hash = fmt.Sprintf("%016x", h.Sum64())
	return &c
}

var replacements = []any{nil, 5, 1.5, 3000000000, true, "", "x", "2024-01-31T10:00:00+02:00", "2024-01-31T10:00:00.5Z",
	"2023-02-29T00:00:00Z", "1.50Gi", "aGk=\n", "a?=", []any{}, []any{1}, []any{nil}, map[string]any{}, map[string]any{"k": 1},
	map[string]any{"k": nil}, map[string]any{"z": "1", "b": "2"}}

func (ts *types) damage(name string, object runtime.Object, r *rand.Rand) []normalizeCase {
	decode := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, ts.scheme, ts.scheme, jsonserializer.SerializerOptions{Strict: true})
	text := marshal(object)
	tree := parse(text)
	var paths [][]any
	collect(tree, nil, &paths)
	r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	var cases []normalizeCase
	for i := 0; i < len(paths) && i < 40; i++ {
		c := normalizeCase{Object: name, Path: paths[i], Value: replacements[r.Intn(len(replacements))]}
		if len(c.Path) == 1 && (c.Path[0] == "kind" || c.Path[0] == "apiVersion") {
			continue
		}
		if r.Intn(10) == 0 {
			c.Path = append(append([]any{}, c.Path[:len(c.Path)-1]...), "~bo\"gus")
		}
		damaged := put(parse(text), c.Path, c.Value)
		c.Converted = ts.convert(damaged, object.GetObjectKind().GroupVersionKind())
		out, _, err := decode.Decode(marshal(damaged), nil, nil)
		if strict, ok := runtime.AsStrictDecodingError(err); ok {
			for _, e := range strict.Errors() {
				c.Strict = append(c.Strict, e.Error())
			}
		} else if err != nil {
			c.Error = err.Error()
		}
		if c.Error == "" {
			h := fnv.New64a()
			h.Write(marshal(out))
			c.Hash = fmt.Sprintf("%016x", h.Sum64())
			if os.Getenv("GOLDEN_SHOW") == fmt.Sprintf("%s %v", name, c.Path) {
				log.Printf("%s", marshal(out))
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// parse keeps the digits of numbers.
func parse(text []byte) (tree any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		log.Fatal(err)
	}
	return tree
}

func collect(v any, at []any, paths *[][]any) {
	if len(at) > 0 {
		*paths = append(*paths, append([]any{}, at...))
	}
	switch x := v.(type) {
	case map[string]any:
		keys := sortedKeys(x)
		sort.Strings(keys)
		for _, k := range keys {
			collect(x[k], append(at, k), paths)
		}
	case []any:
		for i := range x {
			collect(x[i], append(at, i), paths)
		}
	}
}

func put(v any, path []any, value any) any {
	if len(path) == 0 {
		return value
	}
	switch key := path[0].(type) {
	case string:
		if m, ok := v.(map[string]any); ok {
			m[key] = put(m[key], path[1:], value)
		} else if _, isList := v.([]any); isList {
			return v
		} else {
			return v
		}
	case int:
		v.([]any)[key] = put(v.([]any)[key], path[1:], value)
	}
	return v
}

// Strategic merge.

type strategicCase struct {
	Kind     string          `json:"kind"`
	Original json.RawMessage `json:"original"`
	Patch    json.RawMessage `json:"patch"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
}

func (ts *types) strategic() []strategicCase {
	var cases []strategicCase
	for _, line := range strings.Split(strings.TrimSpace(strategicInputs), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " | ", 3)
		c := strategicCase{Kind: parts[0], Original: json.RawMessage(parts[1]), Patch: json.RawMessage(parts[2])}
		object, err := ts.scheme.New(kindOf(parts[0]))
		if err != nil {
			log.Fatal(err)
		}
		result, err := strategicpatch.StrategicMergePatch(c.Original, c.Patch, object)
		if err != nil {
			c.Error = err.Error()
		} else {
			c.Result = result
		}
		cases = append(cases, c)
	}
	return cases
}

func kindOf(text string) schema.GroupVersionKind {
	parts := strings.Split(text, "/")
	if len(parts) == 2 {
		return schema.GroupVersionKind{Version: parts[0], Kind: parts[1]}
	}
	return schema.GroupVersionKind{Group: parts[0], Version: parts[1], Kind: parts[2]}
}
