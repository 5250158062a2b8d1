// Drives client-go's own exec, attach and port-forward clients, over WebSocket and SPDY, against server.c.
// Arguments: base URL, CA file.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

var config *rest.Config
var failed bool

func check(name string, ok bool, format string, args ...any) {
	if ok {
		fmt.Println("ok  ", name)
		return
	}
	failed = true
	fmt.Println("FAIL", name, fmt.Sprintf(format, args...))
}

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	return v
}

type sizes struct{ c chan remotecommand.TerminalSize }

func (s sizes) Next() *remotecommand.TerminalSize {
	v, ok := <-s.c
	if !ok {
		return nil
	}
	return &v
}

func executor(kind, u string) remotecommand.Executor {
	if kind == "websocket" {
		return must(remotecommand.NewWebSocketExecutor(config, "GET", u))
	}
	return must(remotecommand.NewSPDYExecutor(config, "POST", must(url.Parse(u))))
}

func run(kind, query string, o remotecommand.StreamOptions) (string, string, error) {
	var out, errOut bytes.Buffer
	o.Stdout = &out
	if !o.Tty {
		o.Stderr = &errOut
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := executor(kind, config.Host+"/exec?"+query).StreamWithContext(ctx, o)
	return out.String(), errOut.String(), err
}

func execs(kind string) {
	in := strings.Repeat("some input\n", 50000)
	out, errOut, err := run(kind, "stdin=true&stdout=true&stderr=true", remotecommand.StreamOptions{Stdin: strings.NewReader(in)})
	check(kind+" echo", err == nil && out == in && errOut == "end of input\n", "%v, %d of %d bytes, stderr %q", err, len(out), len(in), errOut)

	_, _, err = run(kind, "stdin=true&stdout=true&stderr=true&code=7", remotecommand.StreamOptions{Stdin: strings.NewReader("x")})
	code, isCode := err.(utilexec.CodeExitError)
	check(kind+" exit code", isCode && code.Code == 7, "%T %v", err, err)

	_, _, err = run(kind, "stdout=true&stderr=true&command=fail", remotecommand.StreamOptions{})
	check(kind+" error", err != nil && strings.Contains(err.Error(), "no such container"), "%v", err)

	out, _, err = run(kind, "stdout=true&stderr=true&command=much", remotecommand.StreamOptions{})
	check(kind+" much output", err == nil && len(out) == 512*16384, "%v, %d bytes", err, len(out))

	c := make(chan remotecommand.TerminalSize, 2)
	c <- remotecommand.TerminalSize{Width: 80, Height: 24}
	c <- remotecommand.TerminalSize{Width: 132, Height: 50}
	r, w := io.Pipe()
	go func() { time.Sleep(300 * time.Millisecond); w.Write([]byte("hello\x04")); close(c) }()
	out, _, err = run(kind, "stdin=true&stdout=true&tty=true", remotecommand.StreamOptions{Stdin: r, Tty: true, TerminalSizeQueue: sizes{c}})
	w.Close()
	check(kind+" terminal", err == nil && strings.Contains(out, "size 80x24\nsize 132x50\n") && strings.Contains(out, "hello"), "%v %q", err, out)
}

func forward(kind string, target int) {
	u := must(url.Parse(config.Host + "/portforward"))
	transport, upgrader, err := spdy.RoundTripperFor(config)
	must(0, err)
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u)
	if kind == "websocket" {
		dialer = must(portforward.NewSPDYOverWebsocketDialer(u, config))
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	var out, errOut bytes.Buffer
	fw := must(portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", target), "0:1"}, stop, ready, &out, &errOut))
	done := make(chan error)
	go func() { done <- fw.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		check(kind+" forward", false, "%v", err)
		return
	case <-time.After(10 * time.Second):
		check(kind+" forward", false, "not ready")
		return
	}
	ports := must(fw.GetPorts())
	good := 0
	results := make(chan bool)
	for i := 0; i < 40; i++ {
		go func() {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
			resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
			if err != nil {
				fmt.Println(err)
				results <- false
				return
			}
			body, err := io.ReadAll(resp.Body)
			results <- err == nil && len(body) == 300000
		}()
	}
	for i := 0; i < 40; i++ {
		if <-results {
			good++
		}
	}
	check(kind+" forward 40 pages", good == 40, "%d of 40", good)
	conn := must(net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[1].Local)))
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	n, err := conn.Read(make([]byte, 1))
	check(kind+" forward to a closed port", n == 0 && err == io.EOF || err != nil && !os.IsTimeout(err), "%d %v", n, err)
	close(stop)
	<-done
}

func main() {
	config = &rest.Config{Host: os.Args[1], TLSClientConfig: rest.TLSClientConfig{CAFile: os.Args[2]}}
	page := strings.Repeat("x", 300000)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page) }))
	for _, kind := range []string{"websocket", "spdy"} {
		execs(kind)
		forward(kind, l.Addr().(*net.TCPAddr).Port)
	}
	if failed {
		os.Exit(1)
	}
}
