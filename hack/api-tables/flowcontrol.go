package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
)

// emitFlowControl writes the priority levels and flow schemas that every cluster has, as JSON: the mandatory ones, which are
// kept as they are, and the suggested ones, which are kept while their annotation says so.
func emitFlowControl(path string) {
	var out bytes.Buffer
	out.WriteString("/* Made by hack/update-api from the published API; do not edit. */\n#include \"apiserver/flow_control.h\"\n\n" +
		"/* clang-format off */\nconst FlowControlRow flow_control_rows[] = {\n")
	row := func(plural string, mandatory bool, object metav1.Object) {
		name := object.GetName()
		object.SetAnnotations(map[string]string{"apf.kubernetes.io/autoupdate-spec": "true"})
		text, err := json.Marshal(object)
		if err != nil {
			log.Fatal(err)
		}
		var tree map[string]any
		if err := json.Unmarshal(text, &tree); err != nil {
			log.Fatal(err)
		}
		delete(tree, "status")
		if text, err = json.Marshal(tree); err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(&out, "    {%q, %q, %v, %q},\n", plural, name, mandatory, text)
	}
	for _, level := range bootstrap.MandatoryPriorityLevelConfigurations {
		row("prioritylevelconfigurations", true, level.DeepCopy())
	}
	for _, level := range bootstrap.SuggestedPriorityLevelConfigurations {
		row("prioritylevelconfigurations", false, level.DeepCopy())
	}
	for _, schema := range bootstrap.MandatoryFlowSchemas {
		row("flowschemas", true, schema.DeepCopy())
	}
	for _, schema := range bootstrap.SuggestedFlowSchemas {
		row("flowschemas", false, schema.DeepCopy())
	}
	out.WriteString("    {NULL},\n};\n")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
