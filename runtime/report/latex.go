package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// latex writes a document's grids as LaTeX tables in the style of package booktabs, which the reader's document must load, with
// amssymb for \checkmark; what stands around them becomes footnote-sized text. Everything is escaped.
func (d *document) latex(w io.Writer) error {
	var out strings.Builder
	small := func(text string) { fmt.Fprintf(&out, "\\par\\smallskip{\\footnotesize %s}\n", latexText(text)) }
	for _, b := range d.blocks {
		switch b := b.(type) {
		case lines:
			for _, l := range b {
				for _, c := range l {
					small(c.text)
				}
			}
		case notes:
			for _, n := range b {
				small("note: " + n)
			}
		case grid:
			latexGrid(&out, b)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func latexGrid(out *strings.Builder, g grid) {
	columns := ""
	names := make([]string, len(g.headers))
	for i, h := range g.headers {
		name, right := aligned(h)
		names[i] = latexText(name)
		if right {
			columns += "r"
		} else {
			columns += "l"
		}
	}
	row := func(texts []string) { fmt.Fprintf(out, "%s \\\\\n", strings.Join(texts, " & ")) }
	fmt.Fprintf(out, "\\begin{tabular}{%s}\n\\toprule\n", columns)
	row(names)
	out.WriteString("\\midrule\n")
	for _, cells := range g.rows {
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = latexText(c.text)
			switch {
			case texts[i] == "":
			case c.look == loud:
				texts[i] = `\textbf{` + texts[i] + "}"
			case c.look != plain:
				texts[i] = `{\footnotesize ` + texts[i] + "}"
			}
		}
		row(texts)
	}
	out.WriteString("\\bottomrule\n\\end{tabular}\n")
}

var (
	// A "[" that begins a row would be an argument of the "\\" before it.
	latexEscapes = strings.NewReplacer(
		`\`, `\textbackslash{}`, "&", `\&`, "%", `\%`, "$", `\$`, "#", `\#`, "_", `\_`, "{", `\{`, "}", `\}`,
		"~", `$\sim$`, "^", `\textasciicircum{}`, "<", "{<}", ">", "{>}", "[", "{[}", "\n", " ",
		"±", `$\pm$`, "Δ", `$\Delta$`, "✓", `\checkmark{}`, "†", `$\dagger$`, "*", `$^{*}$`,
	)
	signedNumber = regexp.MustCompile(`(^|[ (\[])([+-]\d[\d.]*)`)
)

// latexText escapes a text and sets its signed numbers in mathematics, for a minus sign that looks like one.
func latexText(text string) string {
	return signedNumber.ReplaceAllString(latexEscapes.Replace(Printable(text)), "$1$$$2$$")
}
