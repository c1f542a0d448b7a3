package cli

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/agnivade/levenshtein"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"mixr/runtime/report"
)

// isTerminal reports whether somebody watches a writer who can be shown a line that changes, or types what a reader reads.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

// style is how reports are drawn on the results' writer.
func (a *app) style() report.Style {
	if !isTerminal(a.out) {
		return report.Style{}
	}
	s := report.Style{Color: os.Getenv("NO_COLOR") == ""}
	if size, err := unix.IoctlGetWinsize(int(a.out.(*os.File).Fd()), unix.TIOCGWINSZ); err == nil {
		s.Width = int(size.Col)
	}
	return s
}

// newLogger logs for people on a terminal, else one JSON object a line.
func newLogger(w io.Writer, tty bool, level zerolog.Level) zerolog.Logger {
	if tty {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05", NoColor: os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// printJSON writes v for programs.
func (a *app) printJSON(v any) error { return writeJSON(a.out, v) }

// writeJSON writes v indented, and <think> as it is.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// columns writes rows with their columns aligned.
func columns(w io.Writer, rows [][]string) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := io.WriteString(t, strings.Join(row, "\t")+"\n"); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// nearest is the candidate that word may be a misspelling of, empty if none is near.
func nearest(word string, candidates []string) string {
	best, limit := "", max(1, min(3, len(word)/3))
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c)); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return " (did you mean " + name + "?)"
}
