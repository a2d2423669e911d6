// Package github describes the GitHub Terraform provider to Pulumi's bridge, so
// that the plugin behaves as the official pulumi-github does: same tokens, same
// property names, same identifiers.
package github

import (
	_ "embed"

	upstream "github.com/integrations/terraform-provider-github/v6/github"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Name is the package's name in tokens, configuration and plugin file names.
const Name = "github"

// Version is the Pulumi package this plugin stands for; it is the SDK's version
// in requirements.txt, which a unit test compares.
const Version = "6.15.0"

// Schema is the Pulumi package schema made by the generator (cmd/pulumi-tfgen-github)
// and committed, so that building the plugin never runs the generator.
//
//go:embed schema.json
var Schema []byte

// Provider returns the bridge's description of the upstream provider, which is
// written on the old plugin SDK throughout.
func Provider() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:                shimv2.NewProvider(upstream.NewProvider(Version, "")()),
		Name:             Name,
		Version:          Version,
		Description:      "GitHub resources, bridged from the upstream Terraform provider.",
		License:          "Apache-2.0",
		GitHubOrg:        "integrations",
		UpstreamRepoPath: ".",
	}
	// Upstream allows one now; the official plugin has kept the list it was.
	info.Resources = map[string]*tfbridge.ResourceInfo{
		"github_repository_environment": {
			Fields: map[string]*tfbridge.SchemaInfo{"reviewers": {MaxItemsOne: tfbridge.False()}},
		},
	}
	info.MustComputeTokens(tokens.SingleModule("github_", "index", tokens.MakeStandard(Name)))
	// The official plugin makes a name from the resource's own where none is given.
	info.SetAutonaming(255, "-")
	return info
}
