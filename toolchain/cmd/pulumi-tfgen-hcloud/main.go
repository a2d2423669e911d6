// Command pulumi-tfgen-hcloud makes the hcloud plugin's schema.json and
// bridge-metadata.json. It is run by hand when the provider or the bridge moves
// to another version (toolchain/README.md), never during an installation.
package main

import (
	"context"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"deployment-flow/toolchain/hcloud"
)

func main() {
	tfgen.MainWithMuxer(hcloud.Name, hcloud.Provider(context.Background()))
}
