// Package cli is the command line: one file a command. It is the only package that prints, and the only one that knows of
// machine settings (flags, MIXR_*, the configuration file).
//
// Every command is a function of a context, two writers and its arguments. Results go to out, diagnostics, progress and logs to
// errOut. Exit status: 0 done, 1 failed, 2 the input was wrong (spec, data, flags), 130 interrupted.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mixr/runtime/spec"
	"mixr/runtime/train"
)

// Main runs one command line and returns the exit status.
func Main(ctx context.Context, out, errOut io.Writer, args []string) int {
	a := &app{ctx: ctx, out: out, errOut: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errOut, err)
	var mistakes spec.Diagnostics
	var interrupted *train.Interrupted
	switch {
	case errors.As(err, &interrupted):
		return 130
	case errors.As(err, &mistakes), errors.As(err, new(usageError)):
		return 2
	}
	return 1
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

// app is what commands share.
type app struct {
	ctx         context.Context
	out, errOut io.Writer
	machine     Machine
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "mixr",
		Short:             "declarative GRPO experiments on multimodal language models",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see mixr %s --help)", err, c.Name())}
	})
	a.bindMachine(root)
	root.AddCommand(a.runCommand())
	return root
}
