// Command messages prints, as JSON, the fields of Kubernetes' protobuf messages as the published Go types have them:
// {message: [[number, JSON name, written even when zero, Go name], ...]}; a field that stands inline in JSON has the name "".
package main

import (
	"encoding/json"
	"log"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"

	discoveryv2 "k8s.io/api/apidiscovery/v2"
	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1beta1 "k8s.io/apimachinery/pkg/apis/meta/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	aggregation "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type field [4]any

// message is a type's name in protobuf: the package's path with dots, as its .proto file has it.
func message(t reflect.Type) string {
	return strings.NewReplacer("/", ".", "-", "_").Replace(t.PkgPath()) + "." + t.Name()
}

func walk(t reflect.Type, out map[string][]field) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "k8s.io/") || out[message(t)] != nil {
		return
	}
	fields := []field{}
	out[message(t)] = fields
	for i := range t.NumField() {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("protobuf"), ",")
		if len(tag) < 2 {
			continue
		}
		number, err := strconv.Atoi(tag[1])
		if err != nil {
			log.Fatalf("%s.%s: %v", t, f.Name, err)
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && !strings.Contains(options, "inline") && !f.Anonymous {
			name = f.Name
		}
		kind := f.Type.Kind()
		always := kind != reflect.Pointer && kind != reflect.Slice && kind != reflect.Map
		fields = append(fields, field{number, name, always, f.Name})
		walk(f.Type, out)
	}
	sort.Slice(fields, func(a, b int) bool { return fields[a][0].(int) < fields[b][0].(int) })
	out[message(t)] = fields
}

func main() {
	all := scheme.Scheme
	for _, add := range []func(*runtime.Scheme) error{extensions.AddToScheme, aggregation.AddToScheme, discoveryv2.AddToScheme, metav1.AddMetaToScheme,
		metav1beta1.AddMetaToScheme} {
		if err := add(all); err != nil {
			log.Fatal(err)
		}
	}
	out := map[string][]field{}
	for _, t := range all.AllKnownTypes() {
		walk(t, out)
	}
	for _, value := range []any{runtime.Unknown{}, metav1.Timestamp{}} {
		walk(reflect.TypeOf(value), out)
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		log.Fatal(err)
	}
}
