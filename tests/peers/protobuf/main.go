// A program that does with Kubernetes' published Go types what Heeler does by tables: each line of its input has an object in
// JSON and the same one as Heeler wrote it in protobuf; each line of its output has what Go makes of the first in protobuf and of
// the second in JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log"
	"os"

	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	aggregation "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type line struct {
	JSON     json.RawMessage `json:"json,omitempty"`
	Protobuf []byte          `json:"protobuf,omitempty"`
	Errors   []string        `json:"errors,omitempty"`
}

func main() {
	for _, add := range []func(*runtime.Scheme) error{extensions.AddToScheme, aggregation.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme.Scheme); err != nil {
			log.Fatal(err)
		}
	}
	text := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, jsonserializer.SerializerOptions{})
	binary := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), json.NewEncoder(os.Stdout)
	for {
		raw, err := in.ReadBytes('\n')
		if len(raw) == 0 {
			return
		}
		var given, made line
		if err := json.Unmarshal(raw, &given); err != nil {
			log.Fatal(err)
		}
		made.Protobuf = turn(given.JSON, text, binary, &made)
		made.JSON = turn(given.Protobuf, binary, text, &made)
		if err := out.Encode(made); err != nil {
			log.Fatal(err)
		}
		if err != nil {
			return
		}
	}
}

// turn decodes with one serializer and encodes with another.
func turn(data []byte, from, to runtime.Serializer, made *line) []byte {
	object, _, err := from.Decode(data, nil, nil)
	if err == nil {
		var buffer bytes.Buffer
		if err = to.Encode(object, &buffer); err == nil {
			return buffer.Bytes()
		}
	}
	made.Errors = append(made.Errors, err.Error())
	return nil
}
