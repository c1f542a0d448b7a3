package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/runtime/report"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "check this machine: ONNX Runtime, memory, folders, settings",
		Long: `Check what a run needs of this machine and print it, with what to do about each problem; then every
machine setting with where it comes from. ONNX Runtime is loaded and made to compute if it is here;
it is not fetched. Nothing is written.

Exit status: 1 if something is broken.`,
		Example: `  mixr doctor
  mixr doctor --json
  MIXR_ORT_LIB=/usr/lib/libonnxruntime.so.1 mixr doctor`,
		Args: arguments(0, false),
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print {checks, settings} as JSON")
	return c
}

// finding is the outcome of one check.
type finding struct {
	Name   string `json:"name"`
	State  state  `json:"state"`
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// state is how a check came out.
type state string

const (
	fine   state = "ok"
	note   state = "note"   // works, and may not be what is wanted
	broken state = "broken" // a run will fail
)

// origin is a machine setting with where it comes from.
type origin struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func (a *app) doctor(ctx context.Context, asJSON bool) error {
	checks := a.checkLibrary()
	checks = append(checks, checkClients()...)
	checks = append(checks, a.checkProcessors(), checkMemory(), a.checkCache(), a.checkResults(), a.checkConfig())
	if err := ctx.Err(); err != nil {
		return err
	}
	var settings []origin
	for _, name := range settingNames() {
		settings = append(settings, origin{name, a.machine.value(name), a.machine.Origins[name]})
	}
	var err error
	if asJSON {
		err = a.printJSON(struct {
			Checks   []finding `json:"checks"`
			Settings []origin  `json:"settings"`
		}{checks, settings})
	} else {
		err = a.printDoctor(checks, settings)
	}
	for _, c := range checks {
		if c.State == broken && err == nil {
			err = status(1)
		}
	}
	return err
}

func (a *app) printDoctor(checks []finding, settings []origin) error {
	looks := map[state]lipgloss.Style{fine: lipgloss.NewStyle().Foreground(lipgloss.Green),
		note: lipgloss.NewStyle().Foreground(lipgloss.Yellow), broken: lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)}
	for _, c := range checks {
		word := fmt.Sprintf("%-6s", c.State)
		if a.style().Color {
			word = looks[c.State].Render(word)
		}
		fmt.Fprintf(a.out, "%s  %-13s %s\n", word, c.Name, c.Detail)
		if c.Do != "" {
			fmt.Fprintf(a.out, "        %-13s do: %s\n", "", c.Do)
		}
	}
	rows := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = "-"
		}
		rows = append(rows, []string{s.Name, value, s.From})
	}
	fmt.Fprintln(a.out)
	return columns(a.out, rows)
}

// checkLibrary looks for ONNX Runtime, loads it and lets it compute.
func (a *app) checkLibrary() []finding {
	lib, err := fetch.Look(a.fetchOptions())
	switch {
	case err != nil:
		return []finding{{"ONNX Runtime", broken, err.Error(), "correct or clear the setting ort-lib"}}
	case lib == "":
		return []finding{{Name: "ONNX Runtime", State: note,
			Detail: fetch.Version + " is not here: the first mixr run fetches it by npm, pip or from GitHub, whichever works first"}}
	}
	engine, err := ort.Open(lib)
	if err != nil {
		do := "delete the file: the next mixr run fetches it again"
		if a.machine.OrtLib != "" { // the user's own
			do = "set ort-lib to another library, or clear it and mixr run fetches one"
		}
		return []finding{{"ONNX Runtime", broken, err.Error(), do}}
	}
	defer engine.Close()
	start := time.Now()
	probe := finding{Name: "computes", State: fine}
	if err := engine.Probe(); err != nil {
		probe.State, probe.Detail, probe.Do = broken, err.Error(), "set ort-lib to an ONNX Runtime built for this machine"
	} else {
		probe.Detail = fmt.Sprintf("a small graph, %s", time.Since(start).Round(100*time.Microsecond))
	}
	return []finding{
		{Name: "ONNX Runtime", State: fine, Detail: engine.Version() + ", " + lib},
		{Name: "providers", State: fine, Detail: strings.Join(engine.Providers(), ", ")},
		probe,
	}
}

// checkClients looks for what can fetch ONNX Runtime.
func checkClients() []finding {
	var found []string
	for _, names := range [][]string{{"npm"}, {"pip3", "pip"}} {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				found = append(found, path)
				break
			}
		}
	}
	if found == nil {
		return []finding{{"clients", note, "neither npm nor pip is here: ONNX Runtime can be fetched from GitHub alone",
			"install npm or pip if GitHub cannot be reached"}}
	}
	return []finding{{Name: "clients", State: fine, Detail: strings.Join(found, ", ")}}
}

func (a *app) checkProcessors() finding {
	n := runtime.NumCPU()
	f := finding{Name: "processors", State: fine, Detail: fmt.Sprintf("%s %s/%s, %s of one thread each", counted(n, "CPU"),
		runtime.GOOS, runtime.GOARCH, counted(a.machine.Workers, "worker"))}
	if a.machine.Workers > n {
		f.State, f.Do = note, fmt.Sprintf("set workers to %d: more only take memory", n)
	}
	return f
}

// checkMemory reads Linux's account; elsewhere it knows nothing.
func checkMemory() finding {
	total, available := memoryHere()
	if total == 0 {
		return finding{Name: "memory", State: note, Detail: "not known on this system"}
	}
	return finding{Name: "memory", State: fine, Detail: fmt.Sprintf("%s, %s available", size(total), size(available))}
}

// meminfo reads one line of /proc/meminfo, in bytes.
func meminfo(text, name string) int64 {
	_, rest, _ := strings.Cut(text, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

func (a *app) checkCache() finding {
	f := finding{Name: "cache", State: fine}
	within, err := canWrite(a.machine.CacheDir)
	if err != nil {
		f.State, f.Detail, f.Do = broken, err.Error(), "set cache-dir to a folder that you can write to"
		return f
	}
	used, err := folderSize(a.machine.CacheDir)
	if err != nil {
		f.State, f.Detail = note, err.Error()
		return f
	}
	f.Detail = fmt.Sprintf("%s, %s used, %s", a.machine.CacheDir, size(used), freeSpace(within))
	return f
}

// leastFree is the free space below which a run may not be able to save itself.
const leastFree = 1 << 30

func (a *app) checkResults() finding {
	f := finding{Name: "results", State: fine}
	within, err := canWrite(a.machine.Results)
	var runs []report.Listing
	if err == nil {
		runs, err = report.List(a.machine.Results)
	}
	if err != nil {
		f.State, f.Detail, f.Do = broken, err.Error(), "name another folder with --results"
		return f
	}
	f.Detail = fmt.Sprintf("%s, %s, %s", a.machine.Results, counted(len(runs), "run"), freeSpace(within))
	if free, err := free(within); err == nil && free < leastFree {
		f.State, f.Do = note, "make room, or name another folder with --results: a checkpoint is three times the policy in float32"
	}
	return f
}

func (a *app) checkConfig() finding {
	f := finding{Name: "configuration", State: fine, Detail: a.machine.Config}
	if _, err := os.Stat(a.machine.Config); err != nil {
		f.Detail += " (none: defaults, MIXR_* and flags count)"
	}
	return f
}
