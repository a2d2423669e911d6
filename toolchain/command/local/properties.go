// Package local runs commands on the machine the engine runs on.
//
// The package's name is part of the resource tokens (command:local:Command),
// and the property names are the official SDK's.
package local

import (
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Logging says which of a command's streams are shown while it runs.
type Logging string

// The values the official SDK's enum has.
const (
	LogStdout          Logging = "stdout"
	LogStderr          Logging = "stderr"
	LogStdoutAndStderr Logging = "stdoutAndStderr"
	LogNone            Logging = "none"
)

// Values lists the enum for the schema.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "stdout", Value: LogStdout, Description: "Show standard output only"},
		{Name: "stderr", Value: LogStderr, Description: "Show standard error only"},
		{Name: "stdoutAndStderr", Value: LogStdoutAndStderr, Description: "Show both streams"},
		{Name: "none", Value: LogNone, Description: "Show nothing"},
	}
}

// Settings is how a command is run, whichever step runs it.
type Settings struct {
	Stdin                  *string           `pulumi:"stdin,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
	Interpreter            []string          `pulumi:"interpreter,optional"`
	Dir                    *string           `pulumi:"dir,optional"`
	Environment            map[string]string `pulumi:"environment,optional"`
	AssetPaths             []string          `pulumi:"assetPaths,optional"`
	ArchivePaths           []string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
}

// Annotate gives the schema the one default the official plugin has.
func (s *Settings) Annotate(a infer.Annotator) {
	a.SetDefault(&s.AddPreviousOutputInEnv, true)
}

// Result is what a command left behind.
type Result struct {
	Stdout  string                           `pulumi:"stdout"`
	Stderr  string                           `pulumi:"stderr"`
	Assets  *map[string]types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive                `pulumi:"archive,optional"`
}
