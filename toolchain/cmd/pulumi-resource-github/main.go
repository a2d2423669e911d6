// Command pulumi-resource-github is the resource plugin the engine starts for
// GitHub resources.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

	"deployment-flow/toolchain/github"
)

func main() {
	tfbridge.Main(github.Name, github.Version, github.Provider(), github.Schema)
}
