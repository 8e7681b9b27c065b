package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const group = "example.com"

// Kennel is the stored version, v1: a number of dogs.
type Kennel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              KennelSpec   `json:"spec"`
	Status            KennelStatus `json:"status,omitempty"`
}

type KennelSpec struct {
	Dogs int    `json:"dogs"`
	Food string `json:"food,omitempty"`
}

type KennelStatus struct {
	Dogs       int                `json:"dogs,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

type KennelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Kennel `json:"items"`
}

// OldKennel is v1alpha1, which called the dogs animals.
type OldKennel struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              OldKennelSpec `json:"spec"`
	Status            KennelStatus  `json:"status,omitempty"`
}

type OldKennelSpec struct {
	Animals int    `json:"animals"`
	Food    string `json:"food,omitempty"`
}

func (s *KennelStatus) clone() KennelStatus {
	return KennelStatus{Dogs: s.Dogs, Conditions: append([]metav1.Condition(nil), s.Conditions...)}
}

func (k *Kennel) DeepCopy() *Kennel {
	out := &Kennel{TypeMeta: k.TypeMeta, Spec: k.Spec, Status: k.Status.clone()}
	k.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

func (k *Kennel) DeepCopyObject() runtime.Object { return k.DeepCopy() }

func (k *KennelList) DeepCopyObject() runtime.Object {
	out := &KennelList{TypeMeta: k.TypeMeta}
	k.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range k.Items {
		out.Items = append(out.Items, *k.Items[i].DeepCopy())
	}
	return out
}

func (k *OldKennel) DeepCopyObject() runtime.Object {
	out := &OldKennel{TypeMeta: k.TypeMeta, Spec: k.Spec, Status: k.Status.clone()}
	k.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

// Hub marks v1 as the version that every other converts to and from.
func (k *Kennel) Hub() {}

func (k *OldKennel) ConvertTo(hub conversion.Hub) error {
	to := hub.(*Kennel)
	to.ObjectMeta, to.Status = k.ObjectMeta, k.Status
	to.Spec = KennelSpec{Dogs: k.Spec.Animals, Food: k.Spec.Food}
	return nil
}

func (k *OldKennel) ConvertFrom(hub conversion.Hub) error {
	from := hub.(*Kennel)
	k.ObjectMeta, k.Status = from.ObjectMeta, from.Status
	k.Spec = OldKennelSpec{Animals: from.Spec.Dogs, Food: from.Spec.Food}
	return nil
}

func register(scheme *runtime.Scheme) {
	v1 := schema.GroupVersion{Group: group, Version: "v1"}
	old := schema.GroupVersion{Group: group, Version: "v1alpha1"}
	scheme.AddKnownTypes(v1, &Kennel{}, &KennelList{})
	scheme.AddKnownTypeWithName(old.WithKind("Kennel"), &OldKennel{})
	metav1.AddToGroupVersion(scheme, v1)
	metav1.AddToGroupVersion(scheme, old)
}

// rules are the kennel's webhooks: food is filled in, more than ten dogs are refused, more than five warned about.
type rules struct{}

func (rules) Default(_ context.Context, kennel *Kennel) error {
	if kennel.Spec.Food == "" {
		kennel.Spec.Food = "bones"
	}
	return nil
}

func check(kennel *Kennel) (admission.Warnings, error) {
	if kennel.Spec.Dogs > 10 {
		return nil, fmt.Errorf("%d dogs don't fit", kennel.Spec.Dogs)
	}
	if kennel.Spec.Dogs > 5 {
		return admission.Warnings{"that is a lot of dogs"}, nil
	}
	return nil, nil
}

func (rules) ValidateCreate(_ context.Context, kennel *Kennel) (admission.Warnings, error) {
	return check(kennel)
}

func (rules) ValidateUpdate(_ context.Context, _, kennel *Kennel) (admission.Warnings, error) {
	return check(kennel)
}

func (rules) ValidateDelete(_ context.Context, kennel *Kennel) (admission.Warnings, error) {
	if kennel.Annotations["keep"] == "true" {
		return nil, fmt.Errorf("this kennel is kept")
	}
	return nil, nil
}
