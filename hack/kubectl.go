// The main package of the kubectl programs that hack/peers builds: the published command, with the plugins that log clients
// in. CheckErr, and not the exit code of cli.Run, is what ends with the code of a command run by `kubectl exec`.
package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
