// Command api-tables writes the schema and resource tables of lib/api/gen from the published Kubernetes API: the Go types
// (field order, JSON and protobuf tags, patch tags), the generated OpenAPI definitions (required, list and map types,
// defaults, enums, formats) and the published discovery documents: facts only. The descriptions are this project's own, of
// lib/api/descriptions.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "", "directory of the generated C files")
	texts := flag.String("descriptions", "", "directory of the descriptions, for -out")
	golden := flag.String("golden", "", "directory of the codec fixtures")
	internal := flag.String("internal", "", "the generated C file of internal types")
	goTypes := flag.String("go-types", "", "the generated C file of the Go types that are hashed")
	flowControl := flag.String("flow-control", "", "the generated C file of the bootstrap objects of flow control")
	flag.Parse()
	module := os.Getenv("KUBERNETES_DIR")
	if *internal != "" {
		emitInternal(*internal)
		return
	}
	if *goTypes != "" {
		emitGoTypes(*goTypes)
		return
	}
	if *flowControl != "" {
		emitFlowControl(*flowControl)
		return
	}
	if *out == "" && *golden == "" || module == "" {
		log.Fatal("usage: KUBERNETES_DIR=module-directory api-tables -out DIR -descriptions DIR | -golden DIR | -internal FILE | -go-types FILE | -flow-control FILE")
	}
	rows := readDiscovery(filepath.Join(module, "api/discovery"))
	if *golden != "" {
		writeGolden(*golden, rows)
		return
	}
	types := newTypes()
	types.descriptions = readDescriptions(*texts)
	types.addServed(rows)
	types.emit(*out)
	emitResources(filepath.Join(*out, "resources.c"), types, rows)
}
