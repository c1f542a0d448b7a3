package report

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// html writes a document as one file that needs no other: styles inside, no script, and a policy that lets a browser load nothing.
// Every text is escaped.
func (d *document) html(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%s</title>
<style>%s</style>
</head>
<body>
<h1>%s</h1>
`, htmlText(d.title), htmlStyle, htmlText(d.title))
	for _, b := range d.blocks {
		switch b := b.(type) {
		case heading:
			fmt.Fprintf(&out, "<h2>%s</h2>\n", htmlText(string(b)))
		case prose:
			fmt.Fprintf(&out, "<p>%s</p>\n", htmlText(string(b)))
		case lines:
			for _, l := range b {
				texts := make([]string, len(l))
				for i, c := range l {
					texts[i] = htmlCell(c)
				}
				fmt.Fprintf(&out, "<p class=\"line\">%s</p>\n", strings.Join(texts, " "))
			}
		case notes:
			for _, n := range b {
				fmt.Fprintf(&out, "<p class=\"note\">note: %s</p>\n", htmlText(n))
			}
		case grid:
			htmlGrid(&out, b)
		case exhibit:
			fmt.Fprintf(&out, "<section>\n<h3>%s</h3>\n", htmlText(b.head))
			for _, f := range b.facts {
				fmt.Fprintf(&out, "<p class=\"line\"><span class=\"quiet\">%s</span> %s</p>\n", f.name, htmlText(cut(f.text, pageChars)))
			}
			out.WriteString("<div class=\"sides\">\n")
			for _, side := range []fact{{"A", b.a}, {"B", b.b}} {
				fmt.Fprintf(&out, "<figure><figcaption>%s</figcaption><pre>%s</pre></figure>\n", side.name, htmlText(cut(side.text, pageChars)))
			}
			out.WriteString("</div>\n</section>\n")
		}
	}
	out.WriteString("</body>\n</html>\n")
	_, err := io.WriteString(w, out.String())
	return err
}

func htmlGrid(out *strings.Builder, g grid) {
	out.WriteString("<div class=\"wide\"><table>\n<thead><tr>")
	class := make([]string, len(g.headers))
	for i, h := range g.headers {
		name, right := aligned(h)
		if right {
			class[i] = ` class="right"`
		}
		fmt.Fprintf(out, "<th%s>%s</th>", class[i], htmlText(name))
	}
	out.WriteString("</tr></thead>\n<tbody>\n")
	for _, row := range g.rows {
		out.WriteString("<tr>")
		for i, c := range row {
			fmt.Fprintf(out, "<td%s>%s</td>", class[i], htmlCell(c))
		}
		out.WriteString("</tr>\n")
	}
	out.WriteString("</tbody>\n</table></div>\n")
}

func htmlCell(c cell) string {
	text := htmlText(c.text)
	switch c.look {
	case loud:
		return "<strong>" + text + "</strong>"
	case quiet:
		return `<span class="quiet">` + text + "</span>"
	case rising:
		return `<span class="rising">` + text + "</span>"
	case falling:
		return `<span class="falling">` + text + "</span>"
	}
	return text
}

// pageChars is how much of a completion a page holds: all of any but one that never ended.
const pageChars = 20_000

func htmlText(text string) string { return html.EscapeString(Printable(text)) }

const htmlStyle = `
:root { color-scheme: light dark; --line: #8884; --quiet: #666; --rising: #17682c; --falling: #a3211c }
@media (prefers-color-scheme: dark) { :root { --quiet: #999; --rising: #6fce85; --falling: #f28b82 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem; margin: 0 0 .5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; white-space: nowrap }
th { border-bottom: 1px solid var(--line) }
.right { text-align: right }
.line { margin: .1rem 0 } .quiet, .note { color: var(--quiet) } .note { margin: .2rem 0; font-size: .9rem }
.rising { color: var(--rising) } .falling { color: var(--falling) }
section { border-top: 1px solid var(--line); padding: 1rem 0 }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; margin-top: .5rem }
figure { margin: 0 } figcaption { color: var(--quiet) }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: .5rem; border: 1px solid var(--line) }
`
