// An operator as people write them with controller-runtime: a manager with leader election, a custom resource in two
// versions, a reconciler that owns ConfigMaps and keeps status and a finalizer, and webhooks that default, validate and
// convert. It installs itself, plays its own user, and says "all done".
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

const finalizer = "example.com/kennel"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// certificate writes a self-signed serving certificate for 127.0.0.1 to a folder and returns it as PEM.
func certificate(folder string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kennel"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	private, err := x509.MarshalECPrivateKey(key)
	must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	must(os.WriteFile(filepath.Join(folder, "tls.crt"), public, 0o600))
	must(os.WriteFile(filepath.Join(folder, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600))
	return public
}

func definition(url string, ca []byte) *apiextensions.CustomResourceDefinition {
	version := func(name, count string, stored bool) apiextensions.CustomResourceDefinitionVersion {
		open := true
		return apiextensions.CustomResourceDefinitionVersion{
			Name: name, Served: true, Storage: stored,
			Subresources: &apiextensions.CustomResourceSubresources{Status: &apiextensions.CustomResourceSubresourceStatus{}},
			Schema: &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{
				Type: "object",
				Properties: map[string]apiextensions.JSONSchemaProps{
					"spec": {Type: "object", Required: []string{count}, Properties: map[string]apiextensions.JSONSchemaProps{
						count: {Type: "integer"}, "food": {Type: "string"},
					}},
					"status": {Type: "object", XPreserveUnknownFields: &open},
				},
			}},
		}
	}
	convert := url + "/convert"
	return &apiextensions.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "kennels." + group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensions.NamespaceScoped,
			Names:    apiextensions.CustomResourceDefinitionNames{Kind: "Kennel", ListKind: "KennelList", Plural: "kennels", Singular: "kennel"},
			Versions: []apiextensions.CustomResourceDefinitionVersion{version("v1", "dogs", true), version("v1alpha1", "animals", false)},
			Conversion: &apiextensions.CustomResourceConversion{
				Strategy: apiextensions.WebhookConverter,
				Webhook: &apiextensions.WebhookConversion{
					ClientConfig:             &apiextensions.WebhookClientConfig{URL: &convert, CABundle: ca},
					ConversionReviewVersions: []string{"v1"},
				},
			},
		},
	}
}

// hooks are the registrations of the defaulting and the validating webhook.
func hooks(url string, ca []byte) []client.Object {
	none, all := admissionv1.SideEffectClassNone, []admissionv1.OperationType{"CREATE", "UPDATE", "DELETE"}
	to := func(path string) admissionv1.WebhookClientConfig {
		address := url + path
		return admissionv1.WebhookClientConfig{URL: &address, CABundle: ca}
	}
	on := func(operations []admissionv1.OperationType) []admissionv1.RuleWithOperations {
		return []admissionv1.RuleWithOperations{{Operations: operations, Rule: admissionv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{"kennels"},
		}}}
	}
	return []client.Object{
		&admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "kennels"},
			Webhooks: []admissionv1.MutatingWebhook{{
				Name: "default.kennels.example.com", ClientConfig: to("/mutate-example-com-v1-kennel"), Rules: on(all[:2]),
				SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			}},
		},
		&admissionv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "kennels"},
			Webhooks: []admissionv1.ValidatingWebhook{{
				Name: "check.kennels.example.com", ClientConfig: to("/validate-example-com-v1-kennel"), Rules: on(all),
				SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			}},
		},
	}
}

// reconciler keeps one ConfigMap per kennel, and its status.
type reconciler struct {
	client.Client
	scheme *runtime.Scheme
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	kennel := &Kennel{}
	if err := r.Get(ctx, request.NamespacedName, kennel); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !kennel.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(kennel, finalizer) {
			return ctrl.Result{}, r.Update(ctx, kennel)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(kennel, finalizer) {
		if err := r.Update(ctx, kennel); err != nil {
			return ctrl.Result{}, err
		}
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kennel.Name, Namespace: kennel.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, config, func() error {
		config.Data = map[string]string{"dogs": fmt.Sprint(kennel.Spec.Dogs), "food": kennel.Spec.Food}
		return controllerutil.SetControllerReference(kennel, config, r.scheme)
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	before := kennel.DeepCopy()
	kennel.Status.Dogs = kennel.Spec.Dogs
	meta.SetStatusCondition(&kennel.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Fed", ObservedGeneration: kennel.Generation,
	})
	return ctrl.Result{}, r.Status().Patch(ctx, kennel, client.MergeFrom(before))
}

// heard collects the warnings that the server sends.
type heard struct {
	sync.Mutex
	bytes.Buffer
}

func (h *heard) HandleWarningHeader(_ int, _, text string) {
	h.Lock()
	defer h.Unlock()
	h.WriteString(text + "\n")
}

func until(what string, ready func() (bool, error)) {
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return ready() })
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

// play is the user: what the operator is for, and everything that it must refuse.
func play(ctx context.Context, user client.Client, warnings *heard, kennel *Kennel) {
	key := client.ObjectKeyFromObject(kennel)
	must(user.Create(ctx, kennel))
	if kennel.Spec.Food != "bones" {
		panic("the defaulting webhook wasn't asked: " + kennel.Spec.Food)
	}
	config := &corev1.ConfigMap{}
	until("the ConfigMap", func() (bool, error) {
		err := user.Get(ctx, key, config)
		return err == nil && config.Data["dogs"] == "2", client.IgnoreNotFound(err)
	})
	if owner := metav1.GetControllerOf(config); owner == nil || owner.Kind != "Kennel" || owner.UID != kennel.UID {
		panic(fmt.Sprintf("the ConfigMap's owner: %v", owner))
	}
	until("the status", func() (bool, error) {
		err := user.Get(ctx, key, kennel)
		return err == nil && meta.IsStatusConditionTrue(kennel.Status.Conditions, "Ready"), err
	})
	fmt.Println("created")

	old := &OldKennel{}
	must(user.Get(ctx, key, old))
	if old.Spec.Animals != 2 || old.Status.Dogs != 2 {
		panic(fmt.Sprintf("converted: %+v", old))
	}
	old.Spec.Animals = 7
	must(user.Update(ctx, old))
	until("what came through the old version", func() (bool, error) {
		err := user.Get(ctx, key, config)
		return err == nil && config.Data["dogs"] == "7", err
	})
	if !strings.Contains(warnings.String(), "that is a lot of dogs") {
		panic("no warning: " + warnings.String())
	}
	fmt.Println("converted")

	must(user.Get(ctx, key, kennel))
	before := kennel.DeepCopy()
	kennel.Spec.Dogs = 11
	err := user.Patch(ctx, kennel, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if !errors.IsForbidden(err) || !strings.Contains(err.Error(), `admission webhook "check.kennels.example.com" denied the request: 11 dogs don't fit`) {
		panic(fmt.Sprintf("eleven dogs: %v", err))
	}
	stale := before.DeepCopy()
	stale.ResourceVersion = "1"
	if err := user.Update(ctx, stale); !errors.IsConflict(err) {
		panic(fmt.Sprintf("a stale write: %v", err))
	}
	fmt.Println("refused")

	must(user.Patch(ctx, before, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"keep":"true"}}}`))))
	if err := user.Delete(ctx, before); !errors.IsForbidden(err) {
		panic(fmt.Sprintf("a kept kennel: %v", err))
	}
	must(user.Patch(ctx, before, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"keep":null}}}`))))
	must(user.Delete(ctx, before, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	until("the end", func() (bool, error) {
		err := user.Get(ctx, key, before)
		return errors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	until("the ConfigMap's end", func() (bool, error) {
		err := user.Get(ctx, key, config)
		return errors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	fmt.Println("deleted")
}

func main() {
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr)))
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Second)
	defer stop()
	scheme := runtime.NewScheme()
	must(clientgoscheme.AddToScheme(scheme))
	must(apiextensions.AddToScheme(scheme))
	register(scheme)

	folder, err := os.MkdirTemp("", "kennel")
	must(err)
	defer os.RemoveAll(folder)
	ca := certificate(folder)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	port := listener.Addr().(*net.TCPAddr).Port
	must(listener.Close())
	url := fmt.Sprintf("https://127.0.0.1:%d", port)

	config := ctrl.GetConfigOrDie()
	warnings := &heard{}
	quiet := rest.CopyConfig(config)
	quiet.WarningHandler = warnings
	user, err := client.New(quiet, client.Options{Scheme: scheme})
	must(err)
	crd := definition(url, ca)
	must(user.Create(ctx, crd))
	until("the definition", func() (bool, error) {
		err := user.Get(ctx, client.ObjectKeyFromObject(crd), crd)
		for _, condition := range crd.Status.Conditions {
			if condition.Type == apiextensions.Established && condition.Status == apiextensions.ConditionTrue {
				return true, err
			}
		}
		return false, err
	})

	mgr, err := manager.New(config, manager.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionID: "kennels", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		WebhookServer: webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: folder}),
	})
	must(err)
	must(ctrl.NewControllerManagedBy(mgr).For(&Kennel{}).Owns(&corev1.ConfigMap{}).
		Complete(&reconciler{Client: mgr.GetClient(), scheme: scheme}))
	must(ctrl.NewWebhookManagedBy(mgr, &Kennel{}).WithDefaulter(rules{}).WithValidator(rules{}).Complete())

	ended := make(chan error, 1)
	running, end := context.WithCancel(ctx)
	go func() { ended <- mgr.Start(running) }()
	<-mgr.Elected()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		panic("the cache isn't filled")
	}
	until("the webhook server", func() (bool, error) { return mgr.GetWebhookServer().StartedChecker()(nil) == nil, nil })
	for _, hook := range hooks(url, ca) {
		must(user.Create(ctx, hook))
	}
	play(ctx, user, warnings, &Kennel{ObjectMeta: metav1.ObjectMeta{Name: "home", Namespace: "default"}, Spec: KennelSpec{Dogs: 2}})
	end()
	must(<-ended)
	fmt.Println("all done")
}
