// Command pulumi-tfgen-github makes the github plugin's schema.json. It is run by hand when the provider or the bridge moves
// to another version (toolchain/README.md), never during an installation.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"

	"deployment-flow/toolchain/github"
)

func main() {
	tfgen.Main(github.Name, github.Version, github.Provider())
}
