package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The texts of lib/api/descriptions (its README.md says their form). What every kind has is described once, in common.txt,
// under the two names below.
const (
	commonPackage   = "common"
	everyKind       = "Kind"
	everyList       = "List"
	descriptionMax  = 600     // bytes of one text
	descriptionsMax = 4 << 20 // bytes of all of them
)

// notPublished are packages that no OpenAPI document names.
var notPublished = map[string]bool{"apidiscovery_v2": true}

type descriptions struct {
	texts   map[string]string // "core_v1.PodSpec", "core_v1.PodSpec.nodeName"
	where   map[string]string // file:line of each
	used    map[string]bool
	offsets map[string]int // of a text in the blob
	blob    []string       // in order; the first is empty, for 0
	size    int
	missing []string
}

var (
	packageSuffix = regexp.MustCompile(`_part\d+$`)
	typeLine      = regexp.MustCompile(`^(\w+): (.+)$`)
	fieldLine     = regexp.MustCompile(`^  ([\w$-]+): (.+)$`)
	moreLine      = regexp.MustCompile(`^      (\S.*)$`)
	plain         = regexp.MustCompile(`^[ !#-\[\]-~]+$`) // stands in JSON and C as it is
)

func readDescriptions(dir string) *descriptions {
	d := &descriptions{texts: map[string]string{}, where: map[string]string{}, used: map[string]bool{},
		offsets: map[string]int{"": 0}, blob: []string{""}, size: 1}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		log.Fatalf("%s: no descriptions (%v)", dir, err)
	}
	for _, file := range files {
		d.read(file)
	}
	for key, text := range d.texts {
		if len(text) > descriptionMax || !plain.MatchString(text) {
			log.Fatalf("%s: %s: plain ASCII without quotes and backslashes, at most %d bytes", d.where[key], key, descriptionMax)
		}
	}
	return d
}

func (d *descriptions) read(file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	pkg := packageSuffix.ReplaceAllString(strings.TrimSuffix(filepath.Base(file), ".txt"), "")
	var owner, key string
	for n, line := range strings.Split(string(b), "\n") {
		where := fmt.Sprintf("%s:%d", filepath.Base(file), n+1)
		if m := moreLine.FindStringSubmatch(line); m != nil && key != "" {
			d.texts[key] += " " + m[1]
			continue
		}
		text := ""
		if m := fieldLine.FindStringSubmatch(line); m != nil && owner != "" {
			key, text = owner+"."+m[1], m[2]
		} else if m := typeLine.FindStringSubmatch(line); m != nil {
			owner, text = pkg+"."+m[1], m[2]
			key = owner
		} else if line == "" || strings.HasPrefix(line, "#") {
			continue
		} else {
			log.Fatalf("%s: not a description: %s", where, line)
		}
		if d.where[key] != "" {
			log.Fatalf("%s: %s again, after %s", where, key, d.where[key])
		}
		d.texts[key], d.where[key] = text, where
	}
}

// packageOf names the file of a definition: io.k8s.api.core.v1.PodSpec is core_v1's PodSpec.
func packageOf(name string) (pkg, short string) {
	s := strings.TrimPrefix(symbol(name), "schema_")
	i := strings.LastIndex(s, "_")
	return s[:i], s[i+1:]
}

// offset gives where the text of a key stands in the blob; 0: it has none.
func (d *descriptions) offset(key string) int {
	text, ok := d.texts[key]
	if !ok {
		d.missing = append(d.missing, key)
		return 0
	}
	d.used[key] = true
	if at, ok := d.offsets[text]; ok {
		return at
	}
	at := d.size
	d.offsets[text] = at
	d.blob = append(d.blob, text)
	d.size += len(text) + 1
	return at
}

func (d *descriptions) ofStruct(name string) int {
	pkg, short := packageOf(name)
	if notPublished[pkg] {
		return 0
	}
	return d.offset(pkg + "." + short)
}

// ofLeaf: types with a JSON form of their own are described among what all packages share.
func (d *descriptions) ofLeaf(t reflect.Type) int { return d.offset(commonPackage + "." + t.Name()) }

// ofField: m is a member of the JSON form of the struct of that name, which its own or an embedded struct declares.
func (ts *types) ofField(name string, m field) int {
	if m.inlined {
		name = ts.structs[m.owner]
	}
	pkg, short := packageOf(name)
	if notPublished[pkg] {
		return 0
	}
	isList := strings.HasSuffix(short, "List") && m.goType.Kind() == reflect.Slice
	switch {
	case m.goType == reflect.TypeFor[metav1.ObjectMeta]():
		return ts.descriptions.offset(commonPackage + "." + everyKind + ".metadata")
	case m.goType == reflect.TypeFor[metav1.ListMeta]():
		return ts.descriptions.offset(commonPackage + "." + everyList + ".metadata")
	case m.name == "items" && isList:
		return ts.descriptions.offset(commonPackage + "." + everyList + ".items")
	}
	return ts.descriptions.offset(pkg + "." + short + "." + m.name)
}

// emit writes the blob. A name that the API does not have, and one of the API that has no text, end the program.
func (d *descriptions) emit(path string) {
	d.used[commonPackage+"."+everyKind], d.used[commonPackage+"."+everyList] = true, true
	wrong := false
	for _, key := range sortedKeys(d.texts) {
		if !d.used[key] {
			log.Printf("%s: the API has no %s", d.where[key], key)
			wrong = true
		}
	}
	sort.Strings(d.missing)
	for i, key := range d.missing {
		if i == 0 || key != d.missing[i-1] {
			log.Printf("no description of %s", key)
			wrong = true
		}
	}
	if wrong || d.size > descriptionsMax {
		log.Fatal("lib/api/descriptions and the API differ")
	}
	var b strings.Builder
	b.WriteString("/* Generated by hack/update-api from lib/api/descriptions. Do not edit. */\n")
	b.WriteString("#include \"api/schema.h\"\n\nconst char schema_descriptions[] =\n")
	for _, text := range d.blob {
		fmt.Fprintf(&b, "    \"%s\\0\"\n", text)
	}
	b.WriteString("    ;\n")
	write(path, b.String())
}
