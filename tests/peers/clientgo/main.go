// A program on client-go, as people write them: it is built unmodified against the published modules.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

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
	fmt.Println("all done")
}
