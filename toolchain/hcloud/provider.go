// Package hcloud describes Hetzner's Terraform provider to Pulumi's bridge, so
// that the plugin behaves as the official pulumi-hcloud does: same tokens, same
// property names, same identifiers.
package hcloud

import (
	"context"
	_ "embed"

	upstream "github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Name is the package's name in tokens, configuration and plugin file names.
const Name = "hcloud"

// Version is the Pulumi package this plugin stands for; it is the SDK's version
// in requirements.txt, which a unit test compares.
const Version = "1.43.3"

// metadata is made by the generator (cmd/pulumi-tfgen-hcloud) and committed, so
// that building the plugin never runs the generator.
//
//go:embed bridge-metadata.json
var metadata []byte

// Schema is the Pulumi package schema made by the generator.
//
//go:embed schema.json
var Schema []byte

// Provider returns the bridge's description of the upstream provider. Upstream
// is half written on the old plugin SDK and half on the plugin framework; the
// bridge serves both as one.
func Provider(ctx context.Context) tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P: pf.MuxShimWithPF(ctx,
			shimv2.NewProvider(upstream.Provider()),
			upstream.NewPluginProvider(),
		),
		Name:             Name,
		Version:          Version,
		Description:      "Hetzner Cloud resources, bridged from the upstream Terraform provider.",
		License:          "Apache-2.0",
		GitHubOrg:        "hetznercloud",
		MetadataInfo:     tfbridge.NewProviderMetadata(metadata),
		UpstreamRepoPath: ".",
	}
	// Before the tokens, which would give numeric identifiers up as missing.
	idsAsStrings(&info)
	info.MustComputeTokens(tokens.SingleModule("hcloud_", "index", tokens.MakeStandard(Name)))
	// The official plugin makes a name from the resource's own where none is given.
	info.SetAutonaming(255, "-")
	return info
}

// idsAsStrings tells the bridge to turn numeric identifiers into strings: a
// Pulumi resource's id is always one, while some upstream resources have an
// integer.
func idsAsStrings(info *tfbridge.ProviderInfo) {
	info.P.ResourcesMap().Range(func(key string, resource shim.Resource) bool {
		id, exists := resource.Schema().GetOk("id")
		if !exists || id.Type() == shim.TypeString {
			return true
		}
		if info.Resources == nil {
			info.Resources = map[string]*tfbridge.ResourceInfo{}
		}
		info.Resources[key] = &tfbridge.ResourceInfo{
			Fields: map[string]*tfbridge.SchemaInfo{"id": {Type: "string"}},
		}
		return true
	})
}
