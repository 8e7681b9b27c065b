// A program on client-go, as people write them: it is built unmodified against the published modules.
//
// Its typed clients speak protobuf, as client-go chooses by itself and Kubernetes' own components say; with the argument "json"
// they speak JSON.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

const protobuf = "application/vnd.kubernetes.protobuf"

// recorder counts answers by their media type.
type recorder struct {
	next http.RoundTripper
	lock sync.Mutex
	seen map[string]int
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(request)
	if err == nil {
		r.lock.Lock()
		r.seen[answer.Header.Get("Content-Type")]++
		r.lock.Unlock()
	}
	return answer, err
}

// times says how often answers of a media type came.
func (r *recorder) times(media string) int {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.seen[media]
}

func check(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
	fmt.Println(what)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check("config", err)
	plain := *config
	answers := &recorder{seen: map[string]int{}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		answers.next = next
		return answers
	})
	binary := os.Args[1] != "json"
	if !binary {
		config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	}
	client := kubernetes.NewForConfigOrDie(config)

	version, err := client.Discovery().ServerVersion()
	check("version "+version.GitVersion, err)
	_, resources, err := client.Discovery().ServerGroupsAndResources()
	check("discovery", err)
	if len(resources) < 20 {
		log.Fatalf("%d group versions only", len(resources))
	}

	replicas := int32(2)
	app := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:1"}}},
			},
		},
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	pods := factory.Core().V1().Pods()
	running := make(chan string, 100)
	_, err = pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, now any) {
			if pod := now.(*corev1.Pod); pod.Status.Phase == corev1.PodRunning {
				running <- pod.Name
			}
		},
	})
	check("informer", err)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	_, err = client.AppsV1().Deployments("default").Create(ctx, deployment, metav1.CreateOptions{})
	check("created", err)
	seen := map[string]bool{}
	for len(seen) < 2 {
		select {
		case name := <-running:
			seen[name] = true
		case <-ctx.Done():
			log.Fatalf("only %v run", seen)
		}
	}
	cached, err := pods.Lister().Pods("default").List(labels.SelectorFromSet(app))
	check("listed from the cache", err)
	if len(cached) != 2 {
		log.Fatalf("%d pods in the cache", len(cached))
	}

	check("updated with retries", retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		found.Annotations = map[string]string{"touched": "yes"}
		_, err = client.AppsV1().Deployments("default").Update(ctx, found, metav1.UpdateOptions{})
		return err
	}))
	_, err = client.AppsV1().Deployments("default").Patch(
		ctx, "web", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"b"}]}]}}}}`),
		metav1.PatchOptions{})
	check("patched", err)

	applied, err := client.CoreV1().ConfigMaps("default").Apply(
		ctx, applycore.ConfigMap("applied", "default").WithData(map[string]string{"k": "v"}),
		metav1.ApplyOptions{FieldManager: "program", Force: true})
	check("applied", err)
	if applied.ManagedFields[0].Operation != metav1.ManagedFieldsOperationApply {
		log.Fatal("not applied")
	}

	_, err = client.CoreV1().ConfigMaps("default").Get(ctx, "none", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		log.Fatalf("not NotFound: %v", err)
	}
	_, err = client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "applied"}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		log.Fatalf("not AlreadyExists: %v", err)
	}

	_, err = client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "Not Valid"}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "RFC 1123") {
		log.Fatalf("not Invalid: %v", err)
	}
	watched(ctx, client)
	about(ctx, &plain, len(cached))

	dogs := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "dogs"}
	dynamicClient := dynamic.NewForConfigOrDie(config)
	rex := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Dog", "metadata": map[string]any{"name": "rex"},
		"spec": map[string]any{"age": int64(3)},
	}}
	made, err := dynamicClient.Resource(dogs).Namespace("default").Create(ctx, rex, metav1.CreateOptions{})
	check("custom resource", err)
	made.Object["status"] = map[string]any{"awake": true}
	_, err = dynamicClient.Resource(dogs).Namespace("default").UpdateStatus(ctx, made, metav1.UpdateOptions{})
	check("its status", err)

	leading := make(chan bool, 1)
	electing, stop := context.WithCancel(ctx)
	go leaderelection.RunOrDie(electing, leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: "program", Namespace: "default"},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: "me"},
		},
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { leading <- true },
			OnStoppedLeading: func() {},
		},
	})
	<-leading
	fmt.Println("leads")
	stop()

	policy := metav1.DeletePropagationForeground
	check("deleted", client.AppsV1().Deployments("default").Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &policy}))
	for {
		_, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			break
		}
		if ctx.Err() != nil {
			log.Fatal("the deployment does not go")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if typed := answers.times(protobuf); binary != (typed > 5) || binary != (answers.times(protobuf+";stream=watch") > 0) {
		log.Fatalf("the answers' media types: %v", answers.seen)
	}
	fmt.Println("all done")
}

// watched follows ConfigMaps from their present state: a bookmark ends it, and then changes come.
func watched(ctx context.Context, client kubernetes.Interface) {
	yes, maps := true, client.CoreV1().ConfigMaps("default")
	events, err := maps.Watch(ctx, metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	check("watch", err)
	defer events.Stop()
	next := func(wanted watch.EventType) *corev1.ConfigMap {
		for event := range events.ResultChan() {
			found, ok := event.Object.(*corev1.ConfigMap)
			if !ok {
				log.Fatalf("an event of another kind: %#v", event)
			}
			if event.Type == wanted && (wanted == watch.Bookmark || found.Name == "watched") {
				return found
			}
		}
		log.Fatalf("the watch ended before %s", wanted)
		return nil
	}
	if end := next(watch.Bookmark); end.Annotations[metav1.InitialEventsAnnotationKey] != "true" || end.ResourceVersion == "" {
		log.Fatalf("the initial events end with %#v", end)
	}
	made, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "watched"}, Data: map[string]string{"a": "ü"},
		BinaryData: map[string][]byte{"b": {0, 255}, "empty": {}}}, metav1.CreateOptions{})
	check("made while it is watched", err)
	if seen := next(watch.Added); seen.ResourceVersion != made.ResourceVersion || seen.Data["a"] != "ü" || len(seen.BinaryData["b"]) != 2 {
		log.Fatalf("seen: %#v", seen)
	}
	check("deleted while it is watched", maps.Delete(ctx, "watched", metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &made.UID}}))
	next(watch.Deleted)
}

// about asks for objects' metadata only.
func about(ctx context.Context, config *rest.Config, pods int) {
	client := metadata.NewForConfigOrDie(config)
	of := func(group, version, resource string) metadata.ResourceInterface {
		return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}).Namespace("default")
	}
	found, err := of("", "v1", "pods").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	check("metadata of pods", err)
	if len(found.Items) < pods || found.Items[0].OwnerReferences[0].Kind != "ReplicaSet" || found.ResourceVersion == "" {
		log.Fatalf("metadata: %#v", found)
	}
	one, err := of("apps", "v1", "deployments").Get(ctx, "web", metav1.GetOptions{})
	check("metadata of a deployment", err)
	if one.Annotations["touched"] != "yes" {
		log.Fatalf("metadata: %#v", one)
	}
	events, err := of("example.com", "v1", "dogs").Watch(ctx, metav1.ListOptions{})
	check("metadata of custom resources, watched", err)
	events.Stop()
	if _, err = of("", "v1", "pods").Get(ctx, "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		log.Fatalf("not NotFound: %v", err)
	}
}
