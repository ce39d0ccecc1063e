// A pod webhook in Go that does what Flyte's does for Kubernetes Secrets, with the decoder and the types of k8s.io and
// the reader of annotations that Flyte has. `make bench-go` measures the policy beside it.
//
// It reads an AdmissionReview from the file that its argument names, and from standard input, line by line, how often
// to answer it. For each line it prints how many nanoseconds that took; for the line "answer" the answer, and for
// "versions" what it is made of.
//
// It leaves out what would only make it slower: HTTP and TLS, log lines, metrics, and the library that Flyte makes its
// patches with, which formats each path anew. Flyte's cache of secrets is not for those of Kubernetes.
package main

import (
	"bufio"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

const (
	annotationPrefix = "flyte.secrets/s"
	envPrefix        = "_UNION_"
	envVar           = protoreflect.EnumNumber(1)
)

// The version of k8s.io/api, which the linker writes.
var api string

var annotationEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz123456").WithPadding(base32.NoPadding)

// Where the webhook keeps its global secrets.
var globalSecrets = filepath.Join("/etc", "secrets")

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-webhook REVIEW.json")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	hook, err := newWebhook()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "versions":
			fmt.Printf("%s with k8s.io/api %s\n", goruntime.Version(), api)
			continue
		case "answer":
			answer, err := hook.answer(body)
			if err != nil {
				return err
			}
			fmt.Println(string(answer))
			continue
		}
		count, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		start := time.Now()
		for range count {
			if _, err := hook.answer(body); err != nil {
				return err
			}
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
	return lines.Err()
}

type webhook struct {
	reviews runtime.Decoder
	pods    runtime.Decoder
	message protoreflect.MessageDescriptor
}

func newWebhook() (*webhook, error) {
	reviews, pods := runtime.NewScheme(), runtime.NewScheme()
	if err := admissionv1.AddToScheme(reviews); err != nil {
		return nil, err
	}
	if err := corev1.AddToScheme(pods); err != nil {
		return nil, err
	}
	message, err := secretMessage()
	if err != nil {
		return nil, err
	}
	return &webhook{
		reviews: serializer.NewCodecFactory(reviews).UniversalDeserializer(),
		pods:    serializer.NewCodecFactory(pods).UniversalDeserializer(),
		message: message,
	}, nil
}

// The message flyteidl.core.Secret
// (https://github.com/flyteorg/flyte/blob/master/flyteidl/protos/flyteidl/core/security.proto).
func secretMessage() (protoreflect.MessageDescriptor, error) {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind}
	}
	requirement := field("mount_requirement", 4, descriptorpb.FieldDescriptorProto_TYPE_ENUM)
	requirement.TypeName = proto.String("MountType")
	var values []*descriptorpb.EnumValueDescriptorProto
	for number, name := range []string{"ANY", "ENV_VAR", "FILE"} {
		values = append(values, &descriptorpb.EnumValueDescriptorProto{Name: proto.String(name), Number: proto.Int32(int32(number))})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:   proto.String("secret.proto"),
		Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("Secret"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("group", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("group_version", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("key", 3, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				requirement,
				field("env_var", 5, descriptorpb.FieldDescriptorProto_TYPE_STRING),
			},
			EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("MountType"), Value: values}},
		}},
	}, nil)
	if err != nil {
		return nil, err
	}
	return file.Messages().ByName("Secret"), nil
}

// From the bytes of an AdmissionReview to those of its answer.
func (w *webhook) answer(body []byte) ([]byte, error) {
	review := admissionv1.AdmissionReview{}
	if _, _, err := w.reviews.Decode(body, nil, &review); err != nil {
		return nil, err
	}
	original := review.Request.Object.Raw
	pod := &corev1.Pod{}
	if _, _, err := w.pods.Decode(original, nil, pod); err != nil {
		return nil, err
	}
	if err := w.mutate(pod); err != nil {
		return nil, err
	}
	mutated, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	operations, err := patch(original, mutated)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	kind := admissionv1.PatchTypeJSONPatch
	response := admissionv1.AdmissionReview{
		TypeMeta: review.TypeMeta,
		Response: &admissionv1.AdmissionResponse{
			UID:       review.Request.UID,
			Allowed:   true,
			Patch:     encoded,
			PatchType: &kind,
		},
	}
	return json.Marshal(response)
}

func (w *webhook) mutate(pod *corev1.Pod) error {
	// Flyte goes through them in the random order of a Go map; in the order of the names, two answers are the same.
	var names []string
	for name := range pod.Annotations {
		if strings.HasPrefix(name, annotationPrefix) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := annotationEncoding.DecodeString(pod.Annotations[name])
		if err != nil {
			return err
		}
		secret := dynamicpb.NewMessage(w.message)
		if err := proto.UnmarshalText(string(text), protoadapt.MessageV1Of(secret)); err != nil {
			return err
		}
		get := func(field protoreflect.Name) protoreflect.Value {
			return secret.Get(w.message.Fields().ByName(field))
		}
		group, key := get("group").String(), get("key").String()
		if isGlobal(group, key) {
			return fmt.Errorf("%s/%s is a global secret", group, key)
		}
		if get("mount_requirement").Enum() == envVar {
			addVariable(pod, group, key)
		} else {
			addFile(pod, group, key)
		}
	}
	return nil
}

// Whether the webhook itself has the secret, in a variable or a file.
func isGlobal(group, key string) bool {
	if _, found := os.LookupEnv("FLYTE_SECRET_" + strings.ToUpper(group+"_"+key)); found {
		return true
	}
	_, err := os.ReadFile(filepath.Join(globalSecrets, strings.ToLower(group), strings.ToLower(key)))
	return err == nil
}

func addVariable(pod *corev1.Pod, group, key string) {
	optional := true
	prepend(pod, corev1.EnvVar{
		Name: strings.ToUpper(envPrefix + group + "_" + key),
		ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: group},
			Key:                  key,
			Optional:             &optional,
		}},
	})
	prepend(pod, corev1.EnvVar{Name: "FLYTE_SECRETS_ENV_PREFIX", Value: envPrefix})
}

func addFile(pod *corev1.Pod, group, key string) {
	optional := true
	item := corev1.KeyToPath{Key: key, Path: strings.ToLower(key)}
	name := annotationEncoding.EncodeToString([]byte(group + "_"))
	found := false
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil && volume.Secret.SecretName == group {
			volume.Secret.Items = append(volume.Secret.Items, item)
			found = true
		}
	}
	if !found {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
			Name: name,
			VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName: group,
				Items:      []corev1.KeyToPath{item},
				Optional:   &optional,
			}},
		})
	}
	// Where the Pod has a volume of that Secret already, there is none of this name: so it is in Flyte.
	mount := corev1.VolumeMount{
		Name:      name,
		ReadOnly:  true,
		MountPath: filepath.Join("/etc/flyte/secrets", strings.ToLower(group)),
	}
	eachContainer(pod, func(container *corev1.Container) {
		for _, known := range container.VolumeMounts {
			if known.Name == mount.Name {
				return
			}
		}
		container.VolumeMounts = append(container.VolumeMounts, mount)
	})
	prepend(pod, corev1.EnvVar{Name: "FLYTE_SECRETS_DEFAULT_DIR", Value: "/etc/flyte/secrets"})
	prepend(pod, corev1.EnvVar{Name: "FLYTE_SECRETS_FILE_PREFIX"})
}

// Puts a variable in front of those that a container has, in place of one of its name.
func prepend(pod *corev1.Pod, variable corev1.EnvVar) {
	eachContainer(pod, func(container *corev1.Container) {
		env := make([]corev1.EnvVar, 0, len(container.Env)+1)
		env = append(env, variable)
		for _, known := range container.Env {
			if known.Name != variable.Name {
				env = append(env, known)
			}
		}
		container.Env = env
	})
}

func eachContainer(pod *corev1.Pod, change func(*corev1.Container)) {
	for index := range pod.Spec.InitContainers {
		change(&pod.Spec.InitContainers[index])
	}
	for index := range pod.Spec.Containers {
		change(&pod.Spec.Containers[index])
	}
}

type operation struct {
	Operation string `json:"op"`
	Path      string `json:"path"`
	Value     any    `json:"value"`
}

// The JSON patch from one document to another; lists are compared item by item.
func patch(before, after []byte) ([]operation, error) {
	var from, to any
	if err := json.Unmarshal(before, &from); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(after, &to); err != nil {
		return nil, err
	}
	return compare(from, to, "", nil), nil
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func compare(from, to any, path string, operations []operation) []operation {
	switch to := to.(type) {
	case map[string]any:
		from, ok := from.(map[string]any)
		if !ok {
			break
		}
		for key, value := range to {
			path := path + "/" + escapePointer.Replace(key)
			if known, found := from[key]; found {
				operations = compare(known, value, path, operations)
			} else {
				operations = append(operations, operation{"add", path, value})
			}
		}
		for key := range from {
			if _, found := to[key]; !found {
				operations = append(operations, operation{"remove", path + "/" + escapePointer.Replace(key), nil})
			}
		}
		return operations
	case []any:
		from, ok := from.([]any)
		if !ok {
			break
		}
		for index := len(from) - 1; index >= len(to); index-- {
			operations = append(operations, operation{"remove", path + "/" + strconv.Itoa(index), nil})
		}
		for index := range to {
			path := path + "/" + strconv.Itoa(index)
			if index < len(from) {
				operations = compare(from[index], to[index], path, operations)
			} else {
				operations = append(operations, operation{"add", path, to[index]})
			}
		}
		return operations
	default:
		if from == to {
			return operations
		}
	}
	return append(operations, operation{"replace", path, to})
}
