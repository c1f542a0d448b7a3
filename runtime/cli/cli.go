// Package cli is the command line: one file a command. It is the only package that prints, and the only one that knows of
// machine settings (flags, MIXR_*, the configuration file).
//
// In: a context, two writers and arguments (Main). Out: results on the first writer; diagnostics, progress and logs on the
// second; an exit status: 0 done, 1 failed (diff: the runs differ), 2 the input was wrong (spec, data, flags, names of runs),
// 130 interrupted. A command returns its error, and Main prints it once. It never decides what a result is: settings of the
// machine reach package train as Options, which change none.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"mixr/runtime/spec"
	"mixr/runtime/train"
)

// Main runs one command line and returns the exit status.
func Main(ctx context.Context, out, errOut io.Writer, args []string) int {
	a := &app{out: out, errOut: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var silent status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return int(silent)
	}
	fmt.Fprintln(errOut, err)
	if errors.Is(err, syscall.ENOSPC) {
		fmt.Fprintln(errOut, "the disk is full: make room and run the same command again; what was saved is kept")
	}
	switch {
	case errors.As(err, new(*train.Interrupted)), errors.Is(err, context.Canceled):
		return 130
	case errors.As(err, new(spec.Diagnostics)), errors.As(err, new(usageError)):
		return 2
	}
	return 1
}

// usageError is a mistake in the arguments or settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// status ends the process with that status; everything has been said.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// app is what commands share.
type app struct {
	out, errOut io.Writer
	machine     Machine
	log         zerolog.Logger
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mixr",
		Short: "declarative GRPO experiments on multimodal language models",
		Long: `mixr trains multimodal language models with GRPO under mixed rewards, from experiments written
in CUE.

An experiment is a file: check it (vet), ask where a value comes from (explain), see what would
run and why (plan), run it (run), and compare what came out (ls, show, diff, table). Nothing is
computed twice, and a run that was stopped goes on. What came out is a policy: score it on any data
(eval), talk to it (chat), and take it elsewhere (export).`,
		Example: `  mixr vet experiments/quickstart.cue
  mixr run experiments/quickstart.cue
  mixr diff quickstart-0123abcd quickstart-4567cdef`,
		Version:                    version(),
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:                       cobra.ArbitraryArgs, // so that an unknown command is answered here, as a usage error
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, args[0])
		},
	}
	root.SetHelpCommand(helpCommand(root))
	root.SetVersionTemplate("mixr {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, c.CommandPath())
	})
	a.bindMachine(root)
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Experiments:", []*cobra.Command{a.vetCommand(), a.explainCommand(), a.planCommand(), a.runCommand()}},
		{"Results:", []*cobra.Command{a.lsCommand(), a.showCommand(), a.diffCommand(), a.tableCommand()}},
		{"Policies:", []*cobra.Command{a.evalCommand(), a.exportCommand(), a.chatCommand()}},
		{"This machine:", []*cobra.Command{a.doctorCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	return root
}

// helpCommand is cobra's, but that an unknown command fails.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "print what a command does",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil {
				return usageError{err}
			}
			if c == root && len(rest) > 0 {
				return unknownCommand(root, rest[0])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	var hint string
	if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return usagef("mixr has no command %q%s; mixr help lists them", name, hint)
}

// arguments checks how many arguments a command got; many means that it takes more than the least.
func arguments(least int, many bool) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > least && !many {
			_, names, _ := strings.Cut(c.Use, " ")
			if names == "" {
				names = "none"
			}
			return usagef("%s: got %s, want %s (see %s --help)", c.CommandPath(), counted(len(args), "argument"), names, c.CommandPath())
		}
		return nil
	}
}

// counted is "1 file", "2 files".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
