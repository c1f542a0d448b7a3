package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// errQuit ends the loop.
var errQuit = errors.New("quit")

// loop reads questions and commands until there are no more. Ctrl-C belongs to the answer here, so the loop takes signals itself.
func (c *conversation) loop(in io.Reader) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	lines, failed := make(chan string), make(chan error, 1)
	go func() { // it ends with the process: a read cannot be called off
		defer close(lines)
		reader := bufio.NewReader(in)
		for {
			line, err := reader.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				if err != io.EOF {
					failed <- err
				}
				return
			}
		}
	}()
	fmt.Fprintln(c.remarks, "/image FILE, /clear, /quit; Ctrl-C ends an answer, Ctrl-D the program")
	for {
		fmt.Fprint(c.remarks, "> ")
		select {
		case got := <-signals:
			fmt.Fprintln(c.remarks)
			if got == syscall.SIGTERM {
				return errStopped
			}
		case line, more := <-lines:
			if !more {
				fmt.Fprintln(c.remarks)
				select {
				case err := <-failed:
					return fmt.Errorf("read the question: %w", err)
				default:
					return nil
				}
			}
			err := c.line(strings.TrimSpace(line), signals)
			switch {
			case errors.Is(err, errQuit):
				return nil
			case errors.Is(err, errStopped), errors.Is(err, syscall.EPIPE):
				return err
			case err != nil: // the next question may do better
				fmt.Fprintln(c.remarks, err)
			}
		}
	}
}

// line carries out one line of input. A signal ends the answer; all but Ctrl-C also the program, by errStopped.
func (c *conversation) line(line string, signals <-chan os.Signal) error {
	command, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "":
		return nil
	case command == "/image":
		if rest = strings.TrimSpace(rest); rest == "" {
			return errors.New("/image: name a file")
		}
		return c.show(rest)
	case line == "/clear":
		c.clear()
		return nil
	case line == "/quit":
		return errQuit
	case strings.HasPrefix(line, "/"):
		return fmt.Errorf("no command %s: there are /image FILE, /clear and /quit", command)
	}
	ctx, cancel := context.WithCancel(context.Background())
	answered, ended := make(chan struct{}), make(chan os.Signal)
	go func() {
		var got os.Signal
		select {
		case got = <-signals:
			cancel()
		case <-answered:
		}
		ended <- got
	}()
	err := c.ask(ctx, line)
	close(answered)
	if <-ended == syscall.SIGTERM {
		err = errStopped
	}
	cancel()
	return err
}
