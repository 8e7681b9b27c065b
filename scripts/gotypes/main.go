// Command gotypes prints what Kubernetes' Go types say of their fields, as JSON, one object by type name:
//
//	{"core.v1.PodSpec": {"restartPolicy": {"omit": true, "named": "v1.RestartPolicy"}}}
//
// `place`: where it stands among the fields. `pointer`: the field is a pointer. `omit`: it is left out when empty, which structs by value are only with omitzero.
// `named`: the Go name of a text, map or list with a type of its own; `item`: that of what a list or map holds.
// `embedded`: the structs that the field is embedded through.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type field struct {
	Place    int    `json:"place"`
	Pointer  bool   `json:"pointer,omitempty"`
	Omit     bool   `json:"omit,omitempty"`
	Embedded string `json:"embedded,omitempty"`
	Named    string `json:"named,omitempty"`
	Item     string `json:"item,omitempty"`
}

var found = map[string]map[string]field{}

// name is a type's name as OpenAPI has it, without "io.k8s.api." or "io.k8s.".
func name(t reflect.Type) string {
	path := t.PkgPath()
	for _, prefix := range []string{"k8s.io/api/", "k8s.io/"} {
		if strings.HasPrefix(path, prefix) {
			path = strings.TrimPrefix(path, prefix)
			break
		}
	}
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func bare(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t
}

// named is the name, with its package, of a type that is neither predeclared nor a struct.
func named(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct || t.PkgPath() == "" {
		return ""
	}
	return t.String()
}

func item(t reflect.Type) string {
	if t.Name() != "" || (t.Kind() != reflect.Slice && t.Kind() != reflect.Map) {
		return ""
	}
	return named(t.Elem())
}

func visit(t reflect.Type) {
	t = bare(t)
	if t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "k8s.io/") || found[name(t)] != nil {
		return
	}
	found[name(t)] = map[string]field{}
	fields(t, found[name(t)], "")
}

func fields(t reflect.Type, o map[string]field, through string) {
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag, _ := f.Tag.Lookup("json")
		parts := strings.Split(tag, ",")
		options := map[string]bool{}
		for _, option := range parts[1:] {
			options[option] = true
		}
		if parts[0] == "-" || !f.IsExported() {
			continue
		}
		if options["inline"] || (f.Anonymous && parts[0] == "") {
			inner := f.Name
			if through != "" {
				inner = through + "." + inner
			}
			if bare(f.Type).Kind() == reflect.Struct {
				fields(bare(f.Type), o, inner)
			}
			continue
		}
		key := parts[0]
		if key == "" {
			key = f.Name
		}
		o[key] = field{
			Pointer:  f.Type.Kind() == reflect.Pointer,
			Omit:     options["omitzero"] || (options["omitempty"] && f.Type.Kind() != reflect.Struct),
			Embedded: through,
			Place:    len(o),
			Named:    named(f.Type),
			Item:     item(f.Type),
		}
		visit(f.Type)
	}
}

func main() {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, apiextensions.AddToScheme, apiregistration.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	for _, t := range s.AllKnownTypes() {
		visit(t)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		panic(err)
	}
}
