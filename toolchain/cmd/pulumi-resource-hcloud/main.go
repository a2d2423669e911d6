// Command pulumi-resource-hcloud is the resource plugin the engine starts for
// Hetzner Cloud resources.
package main

import (
	"context"

	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"deployment-flow/toolchain/hcloud"
)

func main() {
	ctx := context.Background()
	pf.MainWithMuxer(ctx, hcloud.Name, hcloud.Provider(ctx), hcloud.Schema)
}
