package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
)

// Machine is what describes this machine and never an experiment: nothing in it changes a result. Each field is a flag
// (--cache-dir), a variable (MIXR_CACHE_DIR) and a key of the configuration file (cache-dir), in this order.
type Machine struct {
	OrtLib   string // libonnxruntime; empty = look in the cache, else fetch
	CacheDir string // fetched files
	Results  string // where run folders land
	Workers  int    // units of compute at once
	InFlight int    // gradients held at once before they are added (the micro-batch, in units)
	LogLevel string // debug | info | warn | error
}

// bindMachine declares the settings on the root command and reads them before any command runs.
func (a *app) bindMachine(root *cobra.Command) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	f := root.PersistentFlags()
	f.String("ort-lib", "", "ONNX Runtime library to use (default: found in the cache, or fetched)")
	f.String("cache-dir", filepath.Join(cache, "mixr"), "folder for fetched files")
	f.String("results", "results", "folder for runs")
	f.Int("workers", runtime.NumCPU(), "units of compute at once; results do not depend on it")
	f.Int("in-flight", 0, "gradients held at once before they are added (0: workers + 1); results do not depend on it")
	f.String("log-level", "warn", "debug, info, warn or error")
	v := viper.New()
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		v.SetEnvPrefix("mixr")
		v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
		v.AutomaticEnv()
		if err := v.BindPFlags(root.PersistentFlags()); err != nil {
			return err
		}
		if dir, err := os.UserConfigDir(); err == nil {
			path := filepath.Join(dir, "mixr", "config.yaml")
			if _, err := os.Stat(path); err == nil {
				v.SetConfigFile(path)
				if err := v.ReadInConfig(); err != nil {
					return usageError{fmt.Errorf("%s: %w", path, err)}
				}
			}
		}
		a.machine = Machine{
			OrtLib: v.GetString("ort-lib"), CacheDir: v.GetString("cache-dir"), Results: v.GetString("results"),
			Workers: v.GetInt("workers"), InFlight: v.GetInt("in-flight"), LogLevel: v.GetString("log-level"),
		}
		if a.machine.Workers < 1 {
			return usageError{fmt.Errorf("workers: got %d, want at least 1", a.machine.Workers)}
		}
		if a.machine.InFlight < 0 {
			return usageError{fmt.Errorf("in-flight: got %d, want 0 or more", a.machine.InFlight)}
		}
		return nil
	}
}
