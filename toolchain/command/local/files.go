package local

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

type rule struct {
	pattern glob.Glob
	exclude bool
}

// findAssets returns the files below dir that the patterns select, by their
// path relative to dir. Patterns apply in order; one that starts with "!" takes
// away what an earlier one selected.
func findAssets(dir string, patterns []string) (map[string]types.AssetOrArchive, error) {
	rules := make([]rule, 0, len(patterns))
	for _, pattern := range patterns {
		compiled, err := glob.Compile(strings.TrimPrefix(pattern, "!"), '/')
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule{compiled, strings.HasPrefix(pattern, "!")})
	}

	assets := map[string]types.AssetOrArchive{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		selected := false
		for _, rule := range rules {
			if rule.pattern.Match(path) {
				selected = !rule.exclude
			}
		}
		if !selected {
			return nil
		}
		asset, err := resource.NewPathAsset(filepath.Join(dir, path))
		assets[path] = types.AssetOrArchive{Asset: asset}
		return err
	})
	return assets, err
}

func archiveOf(dir string, patterns []string) (*resource.Archive, error) {
	assets, err := findAssets(dir, patterns)
	if err != nil {
		return nil, err
	}
	contents := make(map[string]any, len(assets))
	for path, asset := range assets {
		contents[path] = asset.Asset
	}
	return resource.NewAssetArchive(contents)
}
