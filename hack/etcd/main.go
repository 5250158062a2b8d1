// etcd, as its own module starts it: built by hack/peers to compare with and to test the etcd driver against.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
