package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type served struct {
	metav1.APIResource
	group, version string
	subresources   []metav1.APIResource
}

var stable = regexp.MustCompile(`^v[0-9]+$`)

func readJSON(path string, into any) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// readDiscovery returns every resource of the stable group versions, in the order that the server lists them: the core
// group, then the groups by priority. The documents were published from a server with all alpha and beta APIs switched
// on; the versions that are off by default are exactly those that are not stable.
func readDiscovery(dir string) []*served {
	type version struct{ GroupVersion, Version string }
	var groups struct {
		Groups []struct {
			Name     string
			Versions []version
		}
	}
	readJSON(filepath.Join(dir, "apis.json"), &groups)
	rows := readList(filepath.Join(dir, "api__v1.json"), "", "v1")
	for _, g := range groups.Groups {
		for _, v := range g.Versions {
			if stable.MatchString(v.Version) {
				rows = append(rows, readList(filepath.Join(dir, "apis__"+g.Name+"__"+v.Version+".json"), g.Name, v.Version)...)
			}
		}
	}
	return rows
}

func readList(path, group, version string) []*served {
	var list metav1.APIResourceList
	readJSON(path, &list)
	var found []*served
	byName := map[string]*served{}
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			row := &served{APIResource: r, group: group, version: version}
			found = append(found, row)
			byName[r.Name] = row
		}
	}
	for _, r := range list.APIResources {
		if parent, sub, ok := strings.Cut(r.Name, "/"); ok {
			r.Name = sub
			byName[parent].subresources = append(byName[parent].subresources, r)
		}
	}
	return found
}
