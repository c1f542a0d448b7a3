package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mixr/runtime/download"
)

// The package clients know their registry, its mirror, proxy and certificates on this machine, so mixr need not. They
// cannot go on with a partial download; they report no progress either when they are not at a terminal.

// npm takes the library out of the package onnxruntime-node. Packing is not installing: no script of the package runs.
func (f *finder) npm(ctx context.Context, p pin, lib string) error {
	name, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("there is no npm client")
	}
	return f.byClient(ctx, "npm", p.npm, lib, func(dir string) []string {
		return []string{name, "pack", "onnxruntime-node@" + Version, "--ignore-scripts", "--pack-destination", dir}
	})
}

// pip takes the library out of the wheel onnxruntime. A wheel is asked for by platform and Python version, so that it does
// not matter which Python this machine has: no Python code of it is ever run.
func (f *finder) pip(ctx context.Context, p pin, lib string) error {
	var client []string
	if name, err := exec.LookPath("pip3"); err == nil {
		client = []string{name}
	} else if name, err := exec.LookPath("pip"); err == nil {
		client = []string{name}
	} else {
		return errors.New("there is no pip client")
	}
	return f.byClient(ctx, "pip", p.pip, lib, func(dir string) []string {
		return append(client, "download", "onnxruntime=="+Version, "--no-deps", "--only-binary=:all:", "--dest", dir,
			"--platform", p.wheel, "--python-version", "312", "--implementation", "cp", "--abi", "cp312",
			"--progress-bar", "off", "--disable-pip-version-check")
	})
}

// byClient lets a client put the archive into a new folder, installs from it and removes it.
func (f *finder) byClient(ctx context.Context, name string, s source, lib string, command func(dir string) []string) error {
	dir, err := os.MkdirTemp(filepath.Dir(lib), name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	args := command(dir)
	f.log("%s: fetching %s, %s", name, s.name, download.Megabytes(s.size))
	if err := f.run(ctx, name, dir, args); err != nil {
		return err
	}
	archive := filepath.Join(dir, s.name)
	if _, err := os.Stat(archive); err != nil {
		return fmt.Errorf("%s left no %s", strings.Join(args, " "), s.name)
	}
	return install(archive, s, lib)
}

// run runs a client to its end, logging every ten seconds that it still does. Its output is shown only if it fails.
func (f *finder) run(ctx context.Context, name, dir string, args []string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir // a project file in the user's folder must not change what the client does
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 5 * time.Second // for children that hold the output open after a kill
	if err := c.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, lastLines(out.String(), 8))
			}
			return nil
		case <-tick.C:
			f.log("%s: still fetching after %d s", name, int(time.Since(start).Seconds()))
		}
	}
}

// lastLines is where a client says what went wrong.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
