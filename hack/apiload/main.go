// apiload loads one Kubernetes API server, any, with client-go and prints what it measured as a JSON object of figures, in the
// order of the phases: creates, gets, status patches, lists, watches, deletes. Pods name a scheduler that does not exist, so no
// controller and no node takes part. hack/bench runs it against Lighter and against the reference.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// shards is how many label values the pods are spread over: a selector of one of them matches 1 %.
const shards = 100

type load struct {
	clients   kubernetes.Interface
	ctx       context.Context
	namespace string
	accept    string
	pods      int
	writers   int
	watches   int
	events    int
	pids      []int
	cpu       float64 // of the server when this phase began
	figures   []figure
}

type figure struct {
	name  string
	value float64
}

func (l *load) report(name string, value float64) { l.figures = append(l.figures, figure{name, value}) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile sorts the durations and returns the q-th, in milliseconds.
func quantile(d []time.Duration, q float64) float64 {
	slices.Sort(d)
	return milliseconds(d[int(q*float64(len(d)-1))])
}

func must(err error) {
	if err != nil {
		log.Fatal("apiload: ", err)
	}
}

// sum adds up what read finds in the named file of /proc/PID of each measured process.
func (l *load) sum(file string, read func(text string) float64) float64 {
	total := 0.0
	for _, pid := range l.pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		must(err)
		total += read(string(text))
	}
	return total
}

func (l *load) residentMiB() float64 {
	return l.sum("statm", func(text string) float64 {
		pages, err := strconv.Atoi(strings.Fields(text)[1])
		must(err)
		return float64(pages*os.Getpagesize()) / (1 << 20)
	})
}

func (l *load) cpuSeconds() float64 {
	return l.sum("stat", func(text string) float64 {
		after := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name may hold spaces
		user, err := strconv.Atoi(after[11])
		must(err)
		system, err := strconv.Atoi(after[12])
		must(err)
		return float64(user+system) / 100
	})
}

// spent reports the CPU that one of n requests of a phase cost the server, in milliseconds, and starts the next phase. The system
// counts in hundredths of a second, so a phase has enough requests for the quotient to mean something.
func (l *load) spent(phase string, n int) {
	now := l.cpuSeconds()
	l.report("CPU of the server for "+phase+", ms", 1000*(now-l.cpu)/float64(n))
	l.cpu = l.cpuSeconds()
}

func name(i int) string { return fmt.Sprintf("load-%05d", i) }

func newPod(i int) *corev1.Pod {
	quantity := resource.MustParse
	container := corev1.Container{
		Name: "server", Image: "registry.invalid/team/server:2.7.1", Command: []string{"/bin/server"}, Args: []string{"--port=8080", "--log=json"},
		Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
		Env:   []corev1.EnvVar{{Name: "MODE", Value: "production"}, {Name: "REGION", Value: "here"}, {Name: "SETTINGS", Value: strings.Repeat("s", 64)}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: quantity("50m"), corev1.ResourceMemory: quantity("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: quantity("64Mi")},
		},
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name(i),
			Labels:      map[string]string{"app": "load", "shard": strconv.Itoa(i % shards)},
			Annotations: map[string]string{"load.invalid/note": strings.Repeat("n", 200)}},
		Spec: corev1.PodSpec{SchedulerName: "none", Containers: []corev1.Container{container}},
	}
}

// parallel calls do(0) to do(n-1) from the writers and returns how long each took, and all of them.
func (l *load) parallel(n int, do func(i int) error) (each []time.Duration, all time.Duration) {
	each = make([]time.Duration, n)
	var taken atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for range l.writers {
		group.Go(func() {
			for i := int(taken.Add(1)) - 1; i < n; i = int(taken.Add(1)) - 1 {
				start := time.Now()
				must(do(i))
				each[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return each, time.Since(begin)
}

// median of several runs, in milliseconds.
func median(runs int, do func()) float64 {
	d := make([]time.Duration, runs)
	for i := range d {
		start := time.Now()
		do()
		d[i] = time.Since(start)
	}
	return quantile(d, .5)
}

// prepare makes the namespace and waits until pods are admitted there: a fresh one may lack its service account.
func (l *load) prepare() {
	_, err := l.clients.CoreV1().Namespaces().Create(l.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.namespace}}, metav1.CreateOptions{})
	must(err)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err = l.clients.CoreV1().Pods(l.namespace).Create(l.ctx, newPod(0), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			must(err)
		}
	}
}

func (l *load) write() {
	pods := l.clients.CoreV1().Pods(l.namespace)
	each, all := l.parallel(l.pods, func(i int) error {
		_, err := pods.Create(l.ctx, newPod(i), metav1.CreateOptions{})
		return err
	})
	l.report("creates/s", float64(l.pods)/all.Seconds())
	l.report("create, ms (p50)", quantile(each, .5))
	l.report("create, ms (p99)", quantile(each, .99))
	l.spent("a create", l.pods)
	some := min(l.pods, 2000)
	each, _ = l.parallel(some, func(i int) error {
		_, err := pods.Get(l.ctx, name(i), metav1.GetOptions{})
		return err
	})
	l.report("get, ms (p50)", quantile(each, .5))
	l.spent("a get", some)
	patch := []byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`)
	each, all = l.parallel(some, func(i int) error {
		_, err := pods.Patch(l.ctx, name(i), types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	l.report("status patches/s", float64(some)/all.Seconds())
	l.report("status patch, ms (p99)", quantile(each, .99))
	l.spent("a status patch", some)
}

// list takes bodies as they come: the time of the server and the wire, not of client-go's decoding.
func (l *load) list(selector string) {
	request := l.clients.CoreV1().RESTClient().Get().Namespace(l.namespace).Resource("pods").SetHeader("Accept", l.accept)
	if selector != "" {
		request = request.Param("labelSelector", selector)
	}
	_, err := request.Do(l.ctx).Raw()
	must(err)
}

func (l *load) listInPages() {
	options, seen := metav1.ListOptions{Limit: 500}, 0
	for {
		page, err := l.clients.CoreV1().Pods(l.namespace).List(l.ctx, options)
		must(err)
		seen += len(page.Items)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if seen != l.pods {
		log.Fatalf("apiload: pages held %d pods of %d", seen, l.pods)
	}
}

func (l *load) read() {
	const lists, paged, selected = 10, 5, 50
	l.report(fmt.Sprintf("list of %d pods, ms", l.pods), median(lists, func() { l.list("") }))
	l.spent("a list", lists)
	l.report("the same in pages of 500, ms", median(paged, l.listInPages))
	l.spent("a list in pages", paged)
	l.report("list by a selector of 1 %, ms", median(selected, func() { l.list("shard=7") }))
	l.spent("a list by the selector", selected)
	l.report(fmt.Sprintf("resident with %d pods, MiB", l.pods), l.residentMiB())
}

// fan writes config maps under many watches; each watch must see each of them. What is timed is write to delivery.
func (l *load) fan() {
	maps := l.clients.CoreV1().ConfigMaps(l.namespace)
	began := make([]atomic.Int64, l.events)
	seen := make([][]time.Duration, l.watches)
	var watching, done sync.WaitGroup
	watching.Add(l.watches)
	for w := range l.watches {
		done.Go(func() {
			watch, err := maps.Watch(l.ctx, metav1.ListOptions{LabelSelector: "app=load"})
			must(err)
			defer watch.Stop()
			watching.Done()
			for len(seen[w]) < l.events {
				event, open := <-watch.ResultChan()
				if !open {
					log.Fatal("apiload: a watch ended early")
				}
				i, err := strconv.Atoi(strings.TrimPrefix(event.Object.(*corev1.ConfigMap).Name, "load-"))
				must(err)
				seen[w] = append(seen[w], time.Duration(time.Now().UnixNano()-began[i].Load()))
			}
		})
	}
	watching.Wait()
	l.report(fmt.Sprintf("resident with %d watches too, MiB", l.watches), l.residentMiB())
	l.cpu = l.cpuSeconds()
	for i := range l.events {
		began[i].Store(time.Now().UnixNano())
		_, err := maps.Create(l.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(i), Labels: map[string]string{"app": "load"}},
			Data: map[string]string{"text": strings.Repeat("t", 500)}}, metav1.CreateOptions{})
		must(err)
	}
	done.Wait()
	l.spent(fmt.Sprintf("a write and its delivery in %d watches", l.watches), l.events)
	all := slices.Concat(seen...)
	l.report(fmt.Sprintf("write to delivery in %d watches, ms (p50)", l.watches), quantile(all, .5))
	l.report(fmt.Sprintf("write to delivery in %d watches, ms (p99)", l.watches), quantile(all, .99))
}

func (l *load) clear() {
	now := int64(0)
	_, all := l.parallel(l.pods, func(i int) error {
		return l.clients.CoreV1().Pods(l.namespace).Delete(l.ctx, name(i), metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	l.report("deletes/s", float64(l.pods)/all.Seconds())
	l.spent("a delete", l.pods)
}

// object prints the figures as a JSON object in their order.
func (l *load) object() string {
	var out bytes.Buffer
	for i, f := range l.figures {
		key, err := json.Marshal(f.name)
		must(err)
		fmt.Fprintf(&out, "%s  %s: %.3f", map[bool]string{true: "{\n", false: ",\n"}[i == 0], key, f.value)
	}
	return out.String() + "\n}"
}

func main() {
	log.SetFlags(0)
	l := load{ctx: context.Background()}
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "of the server to load")
	content := flag.String("content", "json", "json or protobuf")
	pids := flag.String("pids", "", "processes whose memory and CPU time are counted, with commas between")
	flag.StringVar(&l.namespace, "namespace", "apiload", "made, filled and deleted")
	flag.IntVar(&l.pods, "pods", 5000, "pods to create")
	flag.IntVar(&l.writers, "writers", 32, "requests at a time")
	flag.IntVar(&l.watches, "watches", 100, "watches that see every write")
	flag.IntVar(&l.events, "events", 1000, "writes that they see")
	flag.Parse()
	contents := map[string]string{"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}
	if l.accept = contents[*content]; l.accept == "" {
		log.Fatalf("apiload: unknown content '%s'", *content)
	}
	for _, pid := range strings.FieldsFunc(*pids, func(r rune) bool { return r == ',' }) {
		number, err := strconv.Atoi(pid)
		must(err)
		l.pids = append(l.pids, number)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	config.QPS = -1 // no limit on the client's side
	config.ContentType = l.accept
	l.clients, err = kubernetes.NewForConfig(config)
	must(err)

	l.report("resident at the start, MiB", l.residentMiB())
	before := l.cpuSeconds()
	l.prepare()
	l.cpu = l.cpuSeconds()
	l.write()
	l.read()
	l.fan()
	l.clear()
	l.report("CPU of the server in all, s", l.cpuSeconds()-before)
	must(l.clients.CoreV1().Namespaces().Delete(l.ctx, l.namespace, metav1.DeleteOptions{}))
	fmt.Println(l.object())
}
