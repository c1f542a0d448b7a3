package report

import (
	"fmt"
	"io"
	"strings"
)

// markdown writes a document as GitHub's Markdown. Completions stand in fences, everything else is escaped: no text of a run becomes
// markup.
func (d *document) markdown(w io.Writer) error {
	var out strings.Builder
	if d.title != "" {
		fmt.Fprintf(&out, "# %s\n\n", markdownText(d.title))
	}
	for _, b := range d.blocks {
		switch b := b.(type) {
		case heading:
			fmt.Fprintf(&out, "## %s\n\n", markdownText(string(b)))
		case prose:
			fmt.Fprintf(&out, "%s\n\n", markdownText(string(b)))
		case lines:
			for _, l := range b {
				texts := make([]string, len(l))
				for i, c := range l {
					texts[i] = markdownCell(c)
				}
				fmt.Fprintf(&out, "- %s\n", strings.Join(texts, " "))
			}
			out.WriteString("\n")
		case notes:
			for _, n := range b {
				fmt.Fprintf(&out, "- note: %s\n", markdownText(n))
			}
			out.WriteString("\n")
		case grid:
			markdownGrid(&out, b)
			out.WriteString("\n")
		case exhibit:
			fmt.Fprintf(&out, "### %s\n\n", markdownText(b.head))
			for _, f := range b.facts {
				fmt.Fprintf(&out, "- %s: %s\n", f.name, markdownText(cut(f.text, completionChars)))
			}
			for _, side := range []fact{{"A", b.a}, {"B", b.b}} {
				fmt.Fprintf(&out, "\n%s:\n\n%s\n", side.name, fenced(cut(Printable(side.text), completionChars)))
			}
			out.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, strings.TrimRight(out.String(), "\n")+"\n")
	return err
}

func markdownGrid(out *strings.Builder, g grid) {
	names, rules := make([]string, len(g.headers)), make([]string, len(g.headers))
	for i, h := range g.headers {
		name, right := aligned(h)
		names[i], rules[i] = markdownText(name), "---"
		if right {
			rules[i] = "---:"
		}
	}
	row := func(texts []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(texts, " | ")) }
	row(names)
	row(rules)
	for _, cells := range g.rows {
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = markdownCell(c)
		}
		row(texts)
	}
}

func markdownCell(c cell) string {
	text := markdownText(c.text)
	if c.look == loud && text != "" {
		return "**" + text + "**"
	}
	return text
}

// markdownText escapes what means something in Markdown or HTML, and keeps the text on one line.
func markdownText(text string) string {
	return markdownEscapes.Replace(Printable(text))
}

var markdownEscapes = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", "<br>",
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "#", `\#`, "~", `\~`, "$", `\$`,
)

// fenced puts a text into a fence that no line of it can close.
func fenced(text string) string {
	longest, run := 2, 0
	for _, r := range text {
		run++
		if r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + "text\n" + text + "\n" + fence
}
