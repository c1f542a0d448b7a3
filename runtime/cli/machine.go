package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
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
	InFlight int    // gradients held at once before they are added (the micro-batch, in units); 0 = Workers + 1
	LogLevel string // debug | info | warn | error

	Config  string            // the configuration file, whether or not it exists; empty where the user has no such folder
	Origins map[string]string // setting -> flag, MIXR_*, the configuration file, or default
}

// settingNames are the machine settings in the order in which doctor shows them.
func settingNames() []string {
	return []string{"ort-lib", "cache-dir", "results", "workers", "in-flight", "log-level"}
}

// value is the setting's value as text.
func (m Machine) value(name string) string {
	return map[string]string{
		"ort-lib": m.OrtLib, "cache-dir": m.CacheDir, "results": m.Results,
		"workers": strconv.Itoa(m.Workers), "in-flight": strconv.Itoa(m.InFlight), "log-level": m.LogLevel,
	}[name]
}

// bindMachine declares the settings on the root command and reads them before any command runs.
func (a *app) bindMachine(root *cobra.Command) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	f := root.PersistentFlags()
	f.String("ort-lib", "", "ONNX Runtime library (default: that of the cache, or fetched)")
	f.String("cache-dir", filepath.Join(cache, "mixr"), "folder for fetched files")
	f.String("results", "results", "folder for runs")
	f.Int("workers", runtime.NumCPU(), "units of compute at once")
	f.Int("in-flight", 0, "gradients held before they are added (default: workers + 1)")
	f.Lookup("workers").DefValue = "one a CPU" // in the help
	f.String("log-level", "warn", "debug, info, warn or error")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if c.Name() == "help" {
			return nil // also where the configuration file is the trouble
		}
		if err := a.readMachine(root); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func (a *app) readMachine(root *cobra.Command) error {
	v := viper.New()
	v.SetEnvPrefix("mixr")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	if err := v.BindPFlags(root.PersistentFlags()); err != nil {
		return err
	}
	m := Machine{Origins: map[string]string{}}
	keys, err := m.readConfig(v)
	if err != nil {
		return err
	}
	for _, name := range settingNames() {
		switch {
		case root.PersistentFlags().Changed(name):
			m.Origins[name] = "flag --" + name
		case os.Getenv(variable(name)) != "":
			m.Origins[name] = variable(name)
		case slices.Contains(keys, name):
			m.Origins[name] = m.Config
		default:
			m.Origins[name] = "default"
		}
	}
	m.OrtLib, m.CacheDir = v.GetString("ort-lib"), v.GetString("cache-dir")
	m.Results, m.LogLevel = v.GetString("results"), v.GetString("log-level")
	if m.Workers, err = m.atLeast(v, "workers", 1); err != nil {
		return err
	}
	if m.InFlight, err = m.atLeast(v, "in-flight", 0); err != nil {
		return err
	}
	if m.Results == "" || m.CacheDir == "" {
		return errors.New("results and cache-dir: got an empty name, want a folder")
	}
	level, err := zerolog.ParseLevel(m.LogLevel)
	if err != nil || !slices.Contains([]string{"debug", "info", "warn", "error"}, m.LogLevel) {
		return m.wrong("log-level", m.LogLevel, "debug, info, warn or error")
	}
	a.machine, a.log = m, newLogger(a.errOut, isTerminal(a.errOut), level)
	for _, name := range strangers(os.Environ()) {
		a.log.Warn().Msgf("%s is set, and mixr has no such setting%s", name, didYouMean(nearest(name, variables())))
	}
	return nil
}

// readConfig reads the configuration file into v, if there is one, and returns its keys.
func (m *Machine) readConfig(v *viper.Viper) ([]string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, nil // no home: flags and variables are all there is
	}
	m.Config = filepath.Join(dir, "mixr", "config.yaml")
	if _, err := os.Stat(m.Config); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	file := viper.New() // on its own, so that its keys are the file's
	file.SetConfigFile(m.Config)
	if err := file.ReadInConfig(); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Config, err)
	}
	for _, key := range file.AllKeys() {
		if !slices.Contains(settingNames(), key) {
			return nil, fmt.Errorf("%s: unknown key %q%s; the keys are %s", m.Config, key,
				didYouMean(nearest(key, settingNames())), strings.Join(settingNames(), ", "))
		}
	}
	return file.AllKeys(), v.MergeConfigMap(file.AllSettings())
}

// atLeast reads a whole number.
func (m Machine) atLeast(v *viper.Viper, name string, least int) (int, error) {
	text := v.GetString(name)
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, m.wrong(name, text, fmt.Sprintf("a whole number of at least %d", least))
	}
	return n, nil
}

func (m Machine) wrong(name, got, want string) error {
	return fmt.Errorf("%s: got %q (%s), want %s", name, got, m.Origins[name], want)
}

// variable is the setting's name in the environment.
func variable(name string) string {
	return "MIXR_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func variables() (out []string) {
	for _, name := range settingNames() {
		out = append(out, variable(name))
	}
	return out
}

// strangers are the variables that look like settings and are none: an ignored setting should not go unnoticed.
func strangers(environ []string) (out []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "MIXR_") && !slices.Contains(variables(), name) {
			out = append(out, name)
		}
	}
	return out
}
