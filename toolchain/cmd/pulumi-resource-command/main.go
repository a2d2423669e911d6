// Command pulumi-resource-command stands in for the official pulumi-command
// plugin where that one cannot be downloaded. It knows local:Command and
// local:run only, with the official tokens and properties, so a stack moves
// from one plugin to the other without a change.
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"deployment-flow/toolchain/command/local"
)

// version is the SDK's version in requirements.txt, which a unit test compares.
const version = "1.2.1"

func main() {
	provider, err := infer.NewProviderBuilder().
		WithResources(infer.Resource(&local.Command{})).
		WithFunctions(infer.Function(&local.Run{})).
		Build()
	if err == nil {
		err = p.RunProvider(context.Background(), "command", version, provider)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
