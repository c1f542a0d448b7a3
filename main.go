// Command mixr runs declarative GRPO experiments on multimodal language models; see README.md and `mixr help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mixr/runtime/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks; a second one ends the process
	os.Exit(cli.Main(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}
