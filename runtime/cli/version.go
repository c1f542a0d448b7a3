package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"mixr/runtime/ort/fetch"
	"mixr/schema"
)

// numerics is the version of mixr's arithmetic. It changes when the same experiment would give other bits, and with it every
// fingerprint.
const numerics = "mixr-1"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print versions",
		Long:  "Print the version of mixr, and of what decides its results: arithmetic, schema, ONNX Runtime.",
		Args:  arguments(0, false),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(a.out, "mixr %s\nnumerics %s, schema %s, ONNX Runtime %s (pinned)\n%s %s/%s\n",
				version(), numerics, schema.Version, fetch.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// version is what the Go toolchain stamped into the binary: a release, a commit, or (devel).
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// engineNumerics is what decides results beside the experiment, its data and its policy.
func engineNumerics(onnxruntime string) string {
	return numerics + " onnxruntime " + onnxruntime + " " + runtime.GOARCH
}
