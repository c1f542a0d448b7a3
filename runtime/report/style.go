package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// Style says how a report is drawn. The zero value is plain text of 100 columns.
type Style struct {
	Color bool // ANSI colours; the caller knows whether it writes to a terminal
	Width int  // columns; 0 = 100, at least 60
}

func (s Style) width() int { return max(cmp.Or(s.Width, 100), 60) }

// paint styles a text if colours are on.
func (s Style) paint(look lipgloss.Style, text string) string {
	if !s.Color {
		return text
	}
	return look.Render(text)
}

var (
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	better = lipgloss.NewStyle().Foreground(lipgloss.Green)
	worse  = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// grid is a table of cells without outer borders. A header that starts with ">" makes its column align right. A table
// wider than the style allows is squeezed to it, its cells wrapped.
func (s Style) grid(headers []string, rows [][]string) string {
	names := make([]string, len(headers))
	for i, h := range headers {
		names[i] = strings.TrimPrefix(h, ">")
	}
	t := table.New().Headers(names...).Rows(rows...).
		Border(lipgloss.NormalBorder()).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderColumn(false).
		StyleFunc(func(row, col int) lipgloss.Style {
			look := lipgloss.NewStyle()
			if col < len(headers)-1 {
				look = look.PaddingRight(2)
			}
			if strings.HasPrefix(headers[col], ">") {
				look = look.Align(lipgloss.Right)
			}
			if s.Color && row == table.HeaderRow {
				look = look.Bold(true)
			}
			return look
		})
	out := t.Render()
	if lipgloss.Width(out) > s.width() {
		out = t.Width(s.width()).Render()
	}
	return trimRight(out)
}

// trimRight drops the blanks that cells are padded with at the end of each line.
func trimRight(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

// page writes a report and keeps the first error of writing.
type page struct {
	Style
	w   io.Writer
	err error
}

// line writes one line, or a block of them; what is wider than the page is wrapped.
func (p *page) line(format string, args ...any) {
	if p.err == nil {
		text := fmt.Sprintf(format, args...)
		if lipgloss.Width(text) > p.width() {
			text = lipgloss.Wrap(text, p.width(), "")
		}
		_, p.err = fmt.Fprintln(p.w, text)
	}
}

// title starts a section.
func (p *page) title(format string, args ...any) {
	p.line("\n%s", p.paint(strong, fmt.Sprintf(format, args...)))
}

// notes prints warnings, one a line.
func (p *page) notes(warnings []string) {
	for _, w := range warnings {
		p.line("%s", p.paint(faint, "note: "+Printable(w)))
	}
}

// number prints a reward, a share or a loss with three decimals, and small ones with three digits.
func number(x float64) string {
	if x != 0 && x < 0.01 && x > -0.01 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

func optional(x *float64) string {
	if x == nil {
		return "-"
	}
	return number(*x)
}

// Printable makes model output and spec values safe for a terminal: control characters other than line feeds become
// visible, so that a completion cannot move the cursor or change colours.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.In(r, unicode.Bidi_Control):
			return '\uFFFD'
		default:
			return r
		}
	}, text)
}

// cut shortens a text to n characters and says how many are missing.
func cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return fmt.Sprintf("%s ... (%d more characters)", string(runes[:n]), len(runes)-n)
}
