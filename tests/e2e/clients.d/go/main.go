// client-go against a cluster: client STEP, with POD and NAMESPACE in the environment (see tests/e2e/clients).
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

type cluster struct {
	config         *rest.Config
	client         kubernetes.Interface
	namespace, pod string
}

func list(ctx context.Context, c *cluster) error {
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil || len(nodes.Items) != 1 {
		return fmt.Errorf("nodes: %v", err)
	}
	pods, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if pod.Name == c.pod {
			return nil
		}
	}
	return errors.New("the pod is not listed")
}

// Says each object that the informer shows, until the one called "last".
func watch(ctx context.Context, c *cluster) error {
	ctx, done := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithNamespace(c.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "clients=watch" }))
	informer := factory.Core().V1().ConfigMaps().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		name := o.(*corev1.ConfigMap).Name
		fmt.Println("seen", name)
		if name == "last" {
			done()
		}
	}}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	return nil
}

func apply(ctx context.Context, c *cluster) error {
	maps := c.client.CoreV1().ConfigMaps(c.namespace)
	for _, value := range []string{"one", "two"} {
		wanted := applyv1.ConfigMap("applied-go", c.namespace).WithData(map[string]string{"k": value})
		got, err := maps.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "go"})
		if err != nil {
			return err
		}
		if got.Data["k"] != value || len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "go" {
			return fmt.Errorf("not what was applied: %v", got)
		}
	}
	return maps.Delete(ctx, "applied-go", metav1.DeleteOptions{})
}

func exec(ctx context.Context, c *cluster) error {
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(c.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"sh", "-c", "cat; echo err >&2; exit 3"}, Stdin: true, Stdout: true,
			Stderr: true}, scheme.ParameterCodec).URL()
	overWebSocket, err := remotecommand.NewWebSocketExecutor(c.config, "GET", url.String())
	if err != nil {
		return err
	}
	overSpdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", url)
	if err != nil {
		return err
	}
	for name, executor := range map[string]remotecommand.Executor{"WebSocket": overWebSocket, "SPDY": overSpdy} {
		var out, errors bytes.Buffer
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &errors})
		code, ok := err.(utilexec.CodeExitError)
		if !ok || code.Code != 3 || out.String() != "hello" || errors.String() != "err\n" {
			return fmt.Errorf("%s: %v, out %q, err %q", name, err, out.String(), errors.String())
		}
	}
	return nil
}

func page(dialer httpstream.Dialer) error {
	stop, ready := make(chan struct{}), make(chan struct{})
	defer close(stop)
	forwarder, err := portforward.New(dialer, []string{"0:80"}, stop, ready, io.Discard, os.Stderr)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- forwarder.ForwardPorts() }()
	select {
	case err := <-failed:
		return err
	case <-ready:
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	reply, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil || !strings.Contains(string(body), "hello") {
		return fmt.Errorf("page %q: %v", body, err)
	}
	return nil
}

func forward(ctx context.Context, c *cluster) error {
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(c.pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return err
	}
	if err := page(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url)); err != nil {
		return fmt.Errorf("SPDY: %w", err)
	}
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, c.config)
	if err != nil {
		return err
	}
	if err := page(overWebSocket); err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	return nil
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	c := &cluster{config: config, client: kubernetes.NewForConfigOrDie(config), namespace: os.Getenv("NAMESPACE"), pod: os.Getenv("POD")}
	steps := map[string]func(context.Context, *cluster) error{"list": list, "watch": watch, "apply": apply, "exec": exec, "forward": forward}
	step, ok := steps[os.Args[1]]
	if !ok {
		log.Fatalf("unknown step %q", os.Args[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := step(ctx, c); err != nil {
		log.Fatal(err)
	}
}
