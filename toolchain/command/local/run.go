package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// run starts one command and waits for it.
//
// It ends with an error, which carries the command and all it printed, when the
// command's exit status is not zero or the context's deadline (the resource's
// custom timeout) passes. As with the official plugin, only the interpreter
// itself is killed then, and a grandchild that keeps the output open is waited
// for.
func run(ctx context.Context, command string, settings Settings, previous Result) (Result, error) {
	argv := append(interpreter(settings), command)
	process := exec.CommandContext(ctx, argv[0], argv[1:]...)
	process.Dir = "."
	if settings.Dir != nil {
		process.Dir = *settings.Dir
	}
	process.Env = environment(settings, previous)
	if settings.Stdin != nil {
		process.Stdin = strings.NewReader(*settings.Stdin)
	}

	printed := newTranscript(ctx, settings.Logging)
	process.Stdout = printed.stdout
	process.Stderr = printed.stderr
	err := process.Run()
	printed.finish()
	if err == nil {
		err = printed.err()
	}
	if err != nil {
		return previous, fmt.Errorf("%w: running %q:\n%s", err, command, printed.both.String())
	}

	result := Result{
		Stdout:  strings.TrimSuffix(printed.stdout.kept.String(), "\n"),
		Stderr:  strings.TrimSuffix(printed.stderr.kept.String(), "\n"),
		Assets:  previous.Assets,
		Archive: previous.Archive,
	}
	if settings.AssetPaths != nil {
		assets, err := findAssets(process.Dir, settings.AssetPaths)
		if err != nil {
			return previous, err
		}
		result.Assets = &assets
	}
	if settings.ArchivePaths != nil {
		archive, err := archiveOf(process.Dir, settings.ArchivePaths)
		if err != nil {
			return previous, err
		}
		result.Archive = archive
	}
	return result, nil
}

func interpreter(settings Settings) []string {
	if len(settings.Interpreter) > 0 {
		return append([]string{}, settings.Interpreter...)
	}
	if runtime.GOOS == "windows" {
		return []string{"cmd", "/C"}
	}
	return []string{"/bin/sh", "-c"}
}

// environment is the engine's own, then the settings', then the last run's
// output: the later entry wins.
func environment(settings Settings, previous Result) []string {
	variables := os.Environ()
	for name, value := range settings.Environment {
		variables = append(variables, name+"="+value)
	}
	if settings.AddPreviousOutputInEnv == nil || *settings.AddPreviousOutputInEnv {
		if previous.Stdout != "" {
			variables = append(variables, "PULUMI_COMMAND_STDOUT="+previous.Stdout)
		}
		if previous.Stderr != "" {
			variables = append(variables, "PULUMI_COMMAND_STDERR="+previous.Stderr)
		}
	}
	return variables
}
