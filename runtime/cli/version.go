package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/cpu"

	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/schema"
)

// numerics is the version of mixr's arithmetic. It changes when the same experiment would give other bits, and with it every
// fingerprint.
const numerics = "mixr-3"

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

// engineNumerics is what decides results beside the experiment, its data and its policy, and is part of the fingerprint. Equal
// fingerprints give equal bits on one kind of processor and one build of ONNX Runtime, which picks its kernels by the vector unit
// it finds: versions names both, so that a run that goes on elsewhere says so.
func engineNumerics(onnxruntime string) string {
	return numerics + " onnxruntime " + onnxruntime + " " + runtime.GOARCH
}

// versions are what a run is not identified by and may still differ in, for mixr diff and for a run that goes on elsewhere.
func versions(engine *ort.Engine) (map[string]string, error) {
	sum, err := fetch.Sum(engine.Lib())
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	return map[string]string{
		"mixr": version(), "numerics": numerics, "onnxruntime": engine.Version(), "library": sum[:12],
		"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "vectors": vectors(),
	}, nil
}

// vectors is the processor's best vector unit for float32 products.
func vectors() string {
	switch {
	case cpu.X86.HasAVX512F:
		return "avx512"
	case cpu.X86.HasAVX2:
		return "avx2"
	case cpu.X86.HasAVX:
		return "avx"
	case cpu.ARM64.HasSVE:
		return "sve"
	case runtime.GOARCH == "arm64":
		return "neon" // part of every arm64
	}
	return "baseline"
}
